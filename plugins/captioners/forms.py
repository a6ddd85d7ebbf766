"""Which answers a question may have: told to the model, as a grammar for the engine, and piece by piece.

The pieces are for ``weighing``: an answer comes as tokens, and in the place of each others were likely too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from agent.plugin import BooleanQuestion, ChoiceQuestion, NumberQuestion, Question
from plugins.captioners.reading import Value, fitted

END = "\0"
"""The answer's end, as a piece of it: no word goes on behind it."""
_SPACE = '" "?'
"""Many a model begins its words with one."""
_LONGEST_TAIL = 15
_ANY = r"[^\n]"
_NO_DIGIT = r"[^0-9.,\n]"
_NO_LETTER = r"[^0-9A-Za-z_\n\U00000080-\U0010FFFF]"
_CUT = re.compile(r"[\udc80-\udcff]+\Z")
"""Bytes of which the rest is still to come."""
_NUMERAL = re.compile(r"(?P<numeral>-?\d*(?:[.,]\d*)?)(?P<tail>.*)", re.DOTALL)


class Form(Protocol):
    """The answers of one question. Texts are ``folded``."""

    @property
    def hint(self) -> str:
        """What is said behind the question."""

    @property
    def grammar(self) -> str:
        """GBNF, for engines that take it."""

    @property
    def most_tokens(self) -> int:
        """So many tell which answer it is."""

    def admits(self, text: str) -> bool:
        """It is the beginning of an answer, or one with words behind it."""

    def agree(self, one: str, other: str) -> bool:
        """Two such texts may be of the same answer."""

    def open(self, text: str) -> bool:
        """It may still become more than one answer."""

    def value(self, text: str) -> Value:
        """The answer; None where it is not whole, or none that may be given."""


def form(question: Question) -> Form | None:
    """None where it is answered in words of any form."""
    match question:
        case BooleanQuestion():
            return YesOrNo({"yes": True, "no": False}, "Answer yes or no.")
        case ChoiceQuestion(options=options):
            listed = ("; " if any("," in option for option in options) else ", ").join(options)
            return Options({option: option for option in options}, f"Answer with one of these only: {listed}.")
        case NumberQuestion():
            return Number(question)
    return None


def folded(text: str) -> str:
    """Without what makes no other answer: capitals, and spaces before it. As long as it was, but for those."""
    return "".join(lower if len(lower := char.lower()) == 1 else char for char in text.lstrip())


@dataclass(frozen=True)
class Options:
    """One of some words."""

    values: Mapping[str, bool | str]
    hint: str

    @property
    def grammar(self) -> str:
        return f"root ::= {_SPACE} ({' | '.join(self._rule(option) for option in self.values)})"

    def _rule(self, option: str) -> str:
        goes_on = any(
            folded(other) != (this := folded(option)) and folded(other).startswith(this) for other in self.values
        )
        return f"{_letters(option)} {_tail(_NO_LETTER)}" if goes_on else _letters(option)

    @property
    def most_tokens(self) -> int:
        return max(len(option.encode()) for option in self.values) + 2

    def admits(self, text: str) -> bool:
        return bool(self._left(text))

    def agree(self, one: str, other: str) -> bool:
        return bool(self._left(one) & self._left(other))

    def open(self, text: str) -> bool:
        return len(self._left(text)) > 1

    def value(self, text: str) -> Value:
        whole = next((option for option in self._left(text) if text.startswith(folded(option))), None)
        return None if whole is None else self.values[whole]

    def _left(self, text: str) -> set[str]:
        """Those it may be the beginning of, else the longest that stands at its own beginning."""
        begun = {option for option in self.values if _begins(text, option)}
        if begun:
            return begun
        behind = [option for option in self.values if _behind(text, folded(option))]
        return {max(behind, key=len)} if behind else set()


@dataclass(frozen=True)
class YesOrNo(Options):
    """Told apart by their first token, even by their first letter: a token more would be time lost."""

    @property
    def grammar(self) -> str:
        # No space before it: one that is a token of its own would be all that is said.
        return super().grammar.replace(f"{_SPACE} ", "")

    @property
    def most_tokens(self) -> int:
        return 1

    def value(self, text: str) -> Value:
        left = self._left(text)
        return self.values[left.pop()] if len(left) == 1 else None


def _begins(text: str, option: str) -> bool:
    """Up to the part of a letter that may stand at its end."""
    letters = _CUT.sub("", text)
    cut = text[len(letters) :].encode("utf-8", "surrogateescape")
    return folded(option).startswith(letters) and (
        not cut or any(one.encode().startswith(cut) for one in _cases(option[len(letters) : len(letters) + 1]))
    )


def _behind(text: str, option: str) -> bool:
    """Something follows the option, and is no more of its last word."""
    return text.startswith(option) and not re.match(r"\w", text[len(option) :])


@dataclass(frozen=True)
class Number:
    """Digits. Its range is told and looked at, not forced: of a model that counts 12, 1 would be no answer."""

    question: NumberQuestion

    @property
    def hint(self) -> str:
        asked = self.question
        kind = "a number" if asked.decimals else "a whole number"
        unit = f" ({asked.unit})" if asked.unit else ""
        return f"Answer with {kind}{unit} from {asked.min:g} to {asked.max:g} only."

    @property
    def grammar(self) -> str:
        sign = '"-"? ' if self.question.min < 0 else ""
        part = f" ([.,] {_some('[0-9]', self.question.decimals)})?" if self.question.decimals else ""
        return f"root ::= {_SPACE} {sign}{_some('[0-9]', self._digits)}{part} {_tail(_NO_DIGIT, '[.,]')}"

    @property
    def most_tokens(self) -> int:
        return self._digits + self.question.decimals + 4

    @property
    def _digits(self) -> int:
        """One more than any answer has: what is too large shall show."""
        return max(len(f"{abs(bound):.0f}") for bound in (self.question.min, self.question.max)) + 1

    def admits(self, text: str) -> bool:
        numeral, tail = self._parts(text)
        if re.match(r"[.,]\d", tail):  # 1,000 or 2.5 where whole numbers are asked for
            return False
        return text in ("", "-" if self.question.min < 0 else "") or re.search(r"\d", numeral) is not None

    def agree(self, one: str, other: str) -> bool:
        (shorter, tail), (longer, _) = sorted((self._parts(one), self._parts(other)), key=lambda parts: len(parts[0]))
        return shorter == longer if tail else longer.startswith(shorter)

    def open(self, text: str) -> bool:
        return self._parts(text)[1] in ("", ".", ",")

    def value(self, text: str) -> Value:
        return fitted(self.question, self._parts(text)[0].rstrip("."))

    def _parts(self, text: str) -> tuple[str, str]:
        """The numeral, and what ends it."""
        found = _NUMERAL.match(text)
        assert found
        numeral, tail = found["numeral"], found["tail"]
        if not self.question.decimals and (point := re.search("[.,]", numeral)):
            numeral, tail = numeral[: point.start()], numeral[point.start() :] + tail
        numeral = numeral.replace(",", ".")
        return (numeral.rstrip(".") if tail else numeral), tail


def _tail(first: str, point: str = "") -> str:
    """What may follow an answer that could go on (3 of 30, open of open wide): were nothing allowed, it would go on.

    A few letters, as more would only cost time. Behind a ``point`` no digit may stand.
    """
    rest = f"({_some(_ANY, _LONGEST_TAIL)})?"
    return f"({first} {rest} | {point} ({first} {rest})?)?" if point else f"({first} {rest})?"


def _some(what: str, most: int) -> str:
    """One to so many, written out: older engines know no ``{1,4}``."""
    rest = ""
    for _ in range(most - 1):
        rest = f" ({what}{rest})?"
    return f"{what}{rest}"


def _letters(option: str) -> str:
    """In capitals too, as models begin sentences with them."""
    return " ".join(_either(char) for char in option)


def _either(char: str) -> str:
    return f"[{''.join(map(_escaped, _cases(char)))}]"


def _cases(char: str) -> dict[str, None]:
    return dict.fromkeys(one for one in (char, char.lower(), char.upper()) if len(one) == 1)


def _escaped(char: str) -> str:
    return char if char.isascii() and char.isalnum() else f"\\U{ord(char):08X}"
