"""What is wrong with a config: every fault at once, each with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from agent.errors import Misconfigured

Path_ = tuple[str | int, ...]
"""Where in the config: ``("cameras", "front_door", "every")``."""

ENVIRONMENT = "environment"
_SHOWN = 50
_COMPARED = 50
"""Comparing costs time, and nobody has more cameras."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something is wrong at a path; not yet where that path was written."""

    path: Path_
    message: str
    line: int | None = None
    """Where the path alone does not say it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to change. The message never holds a secret."""

    file: str
    """The config file as it was named, or ``environment``."""
    line: int | None
    key: str
    """``cameras.front_door.every``, or the variable's name."""
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigFaults(Misconfigured):
    """Everything that is wrong with a config; ``str()`` is one line a fault and a closing one."""

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        super().__init__(file, self.faults)

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults[:_SHOWN]]
        if len(self.faults) > _SHOWN:
            lines.append(f"… and {len(self.faults) - _SHOWN} more")
        count = len(self.faults)
        return "\n".join([*lines, f"{count} fault{'' if count == 1 else 's'} in {self.file}: nothing was started"])


def dotted(path: Path_) -> str:
    return ".".join(str(part) for part in path)


def listed(words: Iterable[str], last: str = "or") -> str:
    """``a, b or c``."""
    *head, tail = list(words) or ["nothing"]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    by_form = {one.lower(): one for one in islice(known, _COMPARED)}
    near = difflib.get_close_matches(word.lower()[:100], list(by_form), n=1, cutoff=0.6)
    return by_form[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?``, or nothing."""
    near = closest(word, known)
    return f" Did you mean '{near}'?" if near else ""
