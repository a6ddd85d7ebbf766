"""Durations and sizes as config.yaml writes them: 500ms, 30s, 1h30m; 500MB, 5GB."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _SECONDS))
_LONGEST = 3650 * _SECONDS["d"]

_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(rf"({_NUMBER}) ?([kKMGT]?i?B)")

_WORDS = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d", "millisecond": "ms"}
_NOTHING_OR_LESS = re.compile(r"-[0-9].*|0[0.]*[dhms]*")
_LOOSE = re.compile(r"([0-9.]+) *([a-z]+)")


class Seconds(float):
    """A duration that was read already: as good as its text."""


def refusal(allowed: str, instead: str | None = None) -> PydanticCustomError:
    """A validator's error that a config fault tells as ``found …; <allowed> is allowed. Did you mean '<instead>'?``."""
    return PydanticCustomError("refused", "{allowed} is allowed", {"allowed": allowed, "instead": instead})


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise ValueError("a duration is written like 30s, 5m or 1h30m")
    seconds = sum(
        float(number) * unit for number, unit in zip(found.groups(), _SECONDS.values(), strict=True) if number
    )
    if not 0 < seconds <= _LONGEST:
        raise ValueError("a duration is longer than nothing and shorter than ten years")
    return seconds


def duration_text(seconds: float) -> str:
    """``5400`` as ``1h30m``; whole milliseconds."""
    left, parts = round(seconds * 1000), []
    for unit, size in _SECONDS.items():
        count, left = divmod(left, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    size = int(float(found[1]) * _BYTES[found[2].upper()]) if found else 0
    if size <= 0:
        raise ValueError("a size is written like 500MB or 5GB")
    return size


def size_text(size: int) -> str:
    """``5000000000`` as ``5GB``."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= _BYTES[unit] and size % (_BYTES[unit] // 10 or 1) == 0:
            return f"{size / _BYTES[unit]:g}{unit}"
    return f"{size}B"


def _meant(text: str) -> str | None:
    """What ``30 sec`` or ``5 Minutes`` would be, written rightly."""
    pieces = _LOOSE.findall(text.lower())
    unit = {word + plural: short for word, short in _WORDS.items() for plural in ("", "s")} | {u: u for u in _SECONDS}
    written = "".join(number + unit.get(word, "?") for number, word in pieces)
    try:
        parse_duration(written)
    except ValueError:
        return None
    return written


DURATION_ALLOWED = "a duration such as 30s, 5m or 1h30m"
LONGER_ALLOWED = "a duration of more than zero, such as 30s or 5m,"
SIZE_ALLOWED = "a size such as 500MB or 5GB"


def _duration(value: Any, info: ValidationInfo) -> float:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            if _NOTHING_OR_LESS.fullmatch(value.strip()):
                raise refusal(LONGER_ALLOWED) from None
            raise refusal(DURATION_ALLOWED, _meant(value)) from None
    if isinstance(value, Seconds):
        return float(value)
    # A number of what? In a file it is a mistake to point at; code that builds a config by hand means seconds.
    if info.context is None and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    negative = isinstance(value, int | float) and not isinstance(value, bool) and value <= 0
    raise refusal(LONGER_ALLOWED if negative else DURATION_ALLOWED)


def _size(value: Any, info: ValidationInfo) -> int:
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError:
            raise refusal(SIZE_ALLOWED) from None
    if info.context is None and isinstance(value, int) and not isinstance(value, bool):
        return value
    raise refusal(SIZE_ALLOWED)


DURATION_SCHEMA = {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["30s", "5m", "1h30m"]}
SIZE_SCHEMA = {"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["500MB", "5GB"]}

Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema(DURATION_SCHEMA)]
"""Seconds; in config.yaml a text such as ``30s``. A bare number there is a fault that says what to write."""

Size = Annotated[int, BeforeValidator(_size), WithJsonSchema(SIZE_SCHEMA)]
"""Bytes; in config.yaml a text such as ``5GB``."""
