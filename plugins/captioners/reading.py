"""What free words say to a question: its value, or None where they do not say one that it may have."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.plugin import BooleanQuestion, ChoiceQuestion, NumberQuestion, Question

Value = bool | int | float | str | None
YES = frozenset({"yes", "true", "ja", "oui", "sí", "sì", "sim"})
NO = frozenset({"no", "false", "nein", "nee", "non", "não"})
"""A model that is asked in another language may answer in it, whatever it was told."""
_WORD = re.compile(r"[^\W\d_]+")
_BOTH = re.compile(r"\W*\w+\s*(and|or|/)\s*(\w+)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,])(?P<sign>[-+\u2212]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?:[.,](?P<part>\d+))?")
_AROUND = " .!*`'\"\u2018\u2019\u201a\u201c\u201d\u201e"
_NEGATION = re.compile(r"(?<!\w)(not|no|never|neither|nor|cannot)(?!\w)|n['\u2019]t(?!\w)", re.IGNORECASE)


def value_of(question: Question, words: str) -> Value:
    """Nothing is guessed: where the words may be read in two ways, they are not read."""
    match question:
        case BooleanQuestion():
            return _truth(words)
        case NumberQuestion():
            return _number(question, words)
        case ChoiceQuestion():
            return _option(question.options, words)
    return words or None


def _truth(text: str) -> bool | None:
    words = _WORD.findall(text.casefold())
    both = _BOTH.match(text)
    if not words or (both and {both[2].casefold()} & (YES | NO)):
        return None
    for word in (words[0], words[-1]):
        if word in YES or word in NO:
            return word in YES
    return None


def _number(question: NumberQuestion, text: str) -> int | float | None:
    found = [one for one in _NUMBER.finditer(text) if _ends(text[one.end() :], question.unit)]
    if len(found) != 1 or len(re.findall(r"\d+(?:[.,]\d+)*", text)) != 1:
        return None
    sign = "-" if found[0]["sign"] in ("-", "\u2212") else ""
    return fitted(question, f"{sign}{found[0]['whole'].replace(',', '')}.{found[0]['part'] or 0}")


def _ends(rest: str, unit: str | None) -> bool:
    """No letter follows the number (``3rd``, ``4x``), unless it is the unit's."""
    return not re.match(r"\w", rest) or (unit is not None and rest.casefold().startswith(unit.casefold()))


def fitted(question: NumberQuestion, number: str) -> int | float | None:
    """With the question's decimals; None where it is out of its range."""
    try:
        value = round(float(number), question.decimals)
    except (ValueError, OverflowError):
        return None
    if not question.min <= value <= question.max:
        return None
    return value if question.decimals else int(value)


def _option(options: Iterable[str], text: str) -> str | None:
    """The only one it names. Of ``open`` and ``open wide`` the longer is meant where both fit."""
    plain = {_plain(option): option for option in options}
    if (whole := _plain(text)) in plain:
        return plain[whole]
    longest_first = sorted(plain, key=len, reverse=True)
    named = set(re.findall(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", whole))
    return plain[named.pop()] if len(named) == 1 and not _NEGATION.search(text) else None


def _plain(text: str) -> str:
    squeezed = " ".join(text.casefold().split())
    return squeezed.strip(_AROUND) or squeezed
