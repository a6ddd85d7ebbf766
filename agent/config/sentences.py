"""pydantic's errors as sentences: what was found, what is allowed, what was probably meant. Never a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

from agent.config.faults import did_you_mean, listed
from agent.units import DURATION_ALLOWED, duration_text, parse_duration, parse_size, size_text

_SECRET_NAME = re.compile(r"pass|pwd|secret|token(?!s)|credential|auth|key$", re.IGNORECASE)
_USER_PART = re.compile(r"(?<=://).*@", re.DOTALL)
_BEHIND_HOST = re.compile(r"(://[^/?#]*)[/?#].*", re.DOTALL)

_ALLOWED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bytes": "a text",
    "path": "a path",
    "dict": "a mapping (lines of 'key: value')",
    "mapping": "a mapping (lines of 'key: value')",
    "model": "a mapping (lines of 'key: value')",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen": "a list",
    "is": "a plugin",
}
_BOUNDS = {"greater_than": "more than {gt}", "less_than": "less than {lt}"}
_BOUNDS |= {"greater_than_equal": "{ge} or more", "less_than_equal": "{le} or less"}
_LENGTHS = {
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "string_too_short": "a text of {min_length} or more characters",
    "string_too_long": "a text of {max_length} or fewer characters",
    "string_pattern_mismatch": "a text of the form {pattern}",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it stands in the config."""

    value: Any
    written: str | None = None
    """A plain scalar as it was typed, where YAML reads it as something other than text."""
    hidden: bool = False

    def __str__(self) -> str:
        match self.value:
            case None:
                return "nothing"
            case Mapping():
                return "a mapping"
            case list() | tuple():
                return "a list" if self.hidden else _list_text(self.value)
        if self.hidden:
            return "a text that is not shown" if isinstance(self.value, str) else f"a {self._kind} that is not shown"
        return quoted(self.value) if isinstance(self.value, str) else self._as_read()

    def _as_read(self) -> str:
        plain = str(self.value).lower() if isinstance(self.value, bool) else str(self.value)
        if self.written in (None, plain):
            return plain
        return f"{self.written}, which YAML reads as {'' if isinstance(self.value, bool) else 'the number '}{plain}"

    @property
    def _kind(self) -> str:
        return "truth value" if isinstance(self.value, bool) else "number"


def hides(name: str | int) -> bool:
    """By its name, this key's value is nobody's business, wherever it was put."""
    return isinstance(name, str) and bool(_SECRET_NAME.search(name))


def _list_text(value: Sequence[Any]) -> str:
    """A few numbers as they are; of anything else, what it is."""
    few = 0 < len(value) <= 6 and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    shown = str(list(value)) if few else ""
    return shown if 0 < len(shown) <= 60 else "a list"


def quoted(text: str) -> str:
    """A text as a sentence may show it: short, printable, of a URL no more than the host."""
    shown = _BEHIND_HOST.sub(r"\1/…", _USER_PART.sub("***@", text)) if "://" in text else text
    return repr(shown if len(shown) <= 60 else shown[:57] + "…")


def sentence(error: ErrorDetails, found: Found, description: str | None = None) -> str:
    """One error's message; ``description`` is the key's own, for one that is missing."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"is missing: {first_sentence(description)}" if description else "is missing"
    if kind in ("value_error", "assertion_error"):
        told = str(context.get("error", error["msg"])).rstrip(".")
        plain = found.hidden or isinstance(found.value, Mapping | list | tuple) or str(found.value) in told
        return told if plain else f"found {found}; {told}"
    hint = _hint(kind, context, found)
    return f"found {found}; {allowed(error, found)} is allowed{hint}"


def allowed(error: ErrorDetails, found: Found) -> str:
    """What may stand there, as far as one error says."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "refused":
        return str(context["allowed"])
    if kind in ("literal_error", "enum"):
        return re.sub(r"\b(True|False|None)\b", lambda word: word[0].lower(), str(context["expected"]))
    if template := _BOUNDS.get(kind):
        return _bound(template, context, found)
    if template := _LENGTHS.get(kind):
        return template.format(**context)
    if known := _ALLOWED.get(kind.split("_", 1)[0]):
        return known
    return f"something else ({error['msg']})"


def _bound(template: str, context: Mapping[str, Any], found: Found) -> str:
    """A bound in the unit of what it bounds: ``5s or more``."""
    for parse, write in ((parse_duration, duration_text), (parse_size, size_text)):
        with suppress(ValueError, TypeError):
            parse(found.value)
            return template.format(**{name: write(bound) for name, bound in context.items()})
    shown = {name: str(bound).removesuffix(".0") for name, bound in context.items()}
    return "a number of " + template.format(**shown)


def _hint(kind: str, context: Mapping[str, Any], found: Found) -> str:
    if kind == "refused" and context["allowed"] == DURATION_ALLOWED:
        return _duration_hint(context, found)
    if kind == "refused":
        return f". Did you mean '{context['instead']}'?" if context.get("instead") and not found.hidden else ""
    if kind in ("literal_error", "enum") and isinstance(found.value, str) and not found.hidden:
        near = did_you_mean(found.value, re.findall(r"'([^']*)'", str(context["expected"])))
        return f".{near}" if near else ""
    if kind.startswith("string"):
        return _text_hint(found)
    return ""


def _text_hint(found: Found) -> str:
    match found.value:
        case bool() | int() | float():
            how = "put it in quotes" if found.hidden else f"put it in quotes: '{found.written or found.value}'"
            return f". To mean the text, {how}"
        case None:
            return ". Leave the key out, or put a text that begins with # or & in quotes"
        case Mapping():
            return ". Put a text that begins with { in quotes; a variable is written ${VAR}"
        case list():
            return ". Put a text that begins with [ in quotes"
    return ""


def _duration_hint(context: Mapping[str, Any], found: Found) -> str:
    if context.get("instead"):
        return "" if found.hidden else f". Did you mean '{context['instead']}'?"
    if isinstance(found.value, bool):
        return ". Leave the key out to do without"
    if not isinstance(found.value, int | float) or found.hidden or not 0 < found.value < 10**8:
        return ""
    if found.written and ":" in found.written:
        return f". Write {duration_text(found.value)} or {duration_text(found.value * 60)}, whichever you mean"
    return f". Write {found.value:g}s, if seconds are meant"


def unknown_key(name: str, known: Iterable[str]) -> str:
    """``is no key here``, with the likeliest or with all that are."""
    keys = sorted(known)
    near = did_you_mean(name, keys)
    return f"there is no such key here.{near}" + (f" Allowed: {', '.join(keys)}" if keys and not near else "")


def either(sentences: list[ErrorDetails], found: Found) -> str:
    """One message for a value that fits no member of a union."""
    if len(sentences) == 1:
        return sentence(sentences[0], found)
    told = [error for error in sentences if error["type"] in ("value_error", "assertion_error")]
    if told:
        return sentence(told[0], found)
    hint = next((hint for error in sentences if (hint := _hint(error["type"], error.get("ctx", {}), found))), "")
    return f"found {found}; {listed(dict.fromkeys(allowed(error, found) for error in sentences))} is allowed{hint}"


def first_sentence(text: str) -> str:
    """The first sentence of a description, on one line, without its markup."""
    flat = " ".join(text.split()).replace("``", "'")
    return re.split(r"(?<=[.;:])\s", flat, maxsplit=1)[0].rstrip(".;:")
