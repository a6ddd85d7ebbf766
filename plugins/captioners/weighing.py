"""What a model answered by the probabilities of its tokens: the value, and how sure of it the model is.

An engine that keeps to a grammar still tells what the model by itself would have said. So two things come of the
tokens: of all that might have been answered, the share of the given answer (the confidence), and how likely the model
was to answer at all (where that is next to nothing, the grammar has only made it babble).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plugins.captioners.forms import END, Form, folded
from plugins.captioners.reading import Value

LEAST = 0.01
"""A model that would have given none of the possible answers in 99 of 100 cases has given none. Measured with the tiny
model: where it understands a question, the possible answers have 0.99 together; where it would rather describe the
picture 0.0002 at most, and what a grammar then wrings from it hardly hangs on the picture."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of what was said, as bytes: letters may be cut up. At the end, nothing."""

    said: bytes
    likely: Mapping[bytes, float]
    """What might have been said in its place, itself included, each with its probability by the model alone."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the tokens say; a ``value`` of None: none of the possible answers."""

    value: Value
    confidence: float | None


NOTHING = Weighed(None, None)


def weigh(form: Form, tokens: Sequence[Token]) -> Weighed:
    """The answer that the tokens give, or begin to give where the likelier one was begun in several ways."""
    text = b""
    confidence = able = 1.0
    for token in tokens:
        pieces = _Pieces(form, text, token.likely)
        after = _text(text, token.said)
        if not form.admits(after) or not pieces.total:
            return NOTHING
        able *= min(1.0, pieces.total)
        if not _text(text) and (other := pieces.likelier(after)):
            return _enough(form.value(other), pieces.share(other), able)
        confidence *= pieces.share(after)
        text += token.said
        if not form.open(after) and form.value(after) is not None:
            break
    return _enough(form.value(_text(text)), confidence, able)


def _enough(value: Value, confidence: float, able: float) -> Weighed:
    return Weighed(value, round(confidence, 4)) if value is not None and able >= LEAST else NOTHING


class _Pieces:
    """What might stand at one place of an answer."""

    def __init__(self, form: Form, text: bytes, likely: Mapping[bytes, float]) -> None:
        self._form = form
        self._ways: dict[str, float] = {}
        for piece, probability in likely.items():
            after = _text(text, piece)
            if form.admits(after):
                self._ways[after] = self._ways.get(after, 0.0) + probability
        self.total = sum(self._ways.values())

    def share(self, after: str) -> float:
        """Of the admissible, what goes the same way."""
        return min(1.0, self._sum(after) / self.total)

    def likelier(self, after: str) -> str | None:
        """Another whole answer, which has more to it in all its spellings together than the one that was said."""
        whole = [way for way in self._ways if not self._form.open(way) and self._form.value(way) is not None]
        best = max(whole, key=self._sum, default=after)
        return best if not self._form.agree(best, after) and self._sum(best) > self._sum(after) else None

    def _sum(self, after: str) -> float:
        return sum(one for way, one in self._ways.items() if self._form.agree(way, after))


def _text(before: bytes, piece: bytes | None = None) -> str:
    """Folded. An empty piece is the end."""
    text = folded((before + (piece or b"")).decode("utf-8", "surrogateescape"))
    return text + END if piece == b"" else text


def of_words(tokens: Iterable[Token]) -> float | None:
    """How sure a model is of free words: its tokens' probability, on the average (the geometric mean)."""
    logs = [math.log(max(token.likely[token.said], 1e-30)) for token in tokens if token.said]
    return round(math.exp(sum(logs) / len(logs)), 4) if logs else None
