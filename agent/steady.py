"""Yes or no, without flicker: one shaky answer turns nothing on or off.

It turns on where yes is as likely as ``on_at`` or likelier, and off where it is as likely as ``off_at`` or less, in as
many looks in a row as ``looks`` says. Between the two, and where there is no answer, it stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.questions import BooleanQuestion, Question
from agent.values import Answer


@dataclass(frozen=True, slots=True)
class Stand:
    """How it stands with a question."""

    steady: bool | None = None
    """None until looks have been sure enough."""
    turn: bool | None = None
    """What the last look would turn it to; None where it would not."""
    looks: int = 0
    """So many in a row would."""


def likely(answer: Answer) -> float | None:
    """How likely yes is; None without an answer. One without a confidence counts as certain."""
    if not isinstance(answer.value, bool):
        return None
    sure = 1.0 if answer.confidence is None else answer.confidence
    return sure if answer.value else round(1 - sure, 9)  # 1 - 0.7 is a little more than 0.3


def after(question: BooleanQuestion, stand: Stand, answer: Answer) -> Stand:
    """How it stands after one more look."""
    yes = likely(answer)
    if yes is None or question.off_at < yes < question.on_at:
        return Stand(stand.steady)
    says = yes >= question.on_at
    if says == stand.steady:
        return Stand(stand.steady)
    looks = stand.looks + 1 if stand.turn == says else 1
    return Stand(says) if looks >= question.looks else Stand(stand.steady, says, looks)


class Steadiness:
    """How it stands with each camera's questions."""

    def __init__(self) -> None:
        self._cameras: dict[str, dict[str, tuple[str, Stand]]] = {}
        """By the question's name: what was asked, and how it stands."""

    def told(
        self,
        camera: str,
        questions: Mapping[str, Question],
        answers: Mapping[str, Answer],
        before: Mapping[str, Answer],
    ) -> dict[str, Answer]:
        """The answers of one look, the yes/no ones with what is steady now.

        ``before``: those of the last good look that anybody knows of, for the first one after a start.
        """
        known = self._cameras.get(camera)
        stands: dict[str, tuple[str, Stand]] = {}
        told = dict(answers)
        for name, question in questions.items():
            if not isinstance(question, BooleanQuestion) or name not in answers:
                continue
            if known is None:
                stand = Stand(before[name].steady) if name in before else Stand()
            else:
                asked, stand = known.get(name, (question.ask, Stand()))
                stand = stand if asked == question.ask else Stand()
            stand = after(question, stand, answers[name])
            stands[name] = question.ask, stand
            told[name] = answers[name].model_copy(update={"steady": stand.steady})
        self._cameras[camera] = stands
        return told

    def forget(self, camera: str) -> None:
        """It is another one from now on: what stood says nothing of it."""
        self._cameras[camera] = {}
