"""How a look becomes an Observation, and which failed looks are worth telling."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import uuid6

from agent.camera import Camera, Look
from agent.clock import Clock
from agent.errors import Failure, JournalUnavailable
from agent.journal import Journal
from agent.picture import Picture
from agent.status import Counters
from agent.steady import Steadiness
from agent.values import Answer, Caption, Latency, LookError, ModelView, Moment, Observation, PictureFacts, SentFacts

# A full stop within a number or before a letter ends nothing; the marks of Chinese, Japanese, Arabic and Hindi do.
_SENTENCE_END = re.compile(r"[.!?…](?=\s|$)|[\u3002\uff01\uff1f\u061f\u0964]")
REMIND = 600.0
"""Seconds after which a failure that goes on is told again."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The monotonic moments of a look, seconds, as far as it got."""

    taken: Moment
    handed_over: float
    """The source gave the frame."""
    began: float
    """The captioner's turn came."""
    encoded: float
    """The model's picture was ready."""


def latency(timing: Timing, caption: Caption | None, finished: float) -> Latency:
    """Whole milliseconds whose parts add up to the total, exactly."""
    moments = [timing.taken.monotonic, timing.handed_over, timing.began, timing.encoded, finished]
    # Rounded as points in time, so that what lies between them adds up.
    marks = [_ms(moment - moments[0]) for moment in moments]
    capture, queue, encode, rest = (after - before for before, after in pairwise(marks))
    image, generate = (round(caption.image_ms), round(caption.generate_ms)) if caption else (0, 0)
    if image + generate > rest:  # an engine whose clock disagrees with ours: the shares are right, the sum is ours
        generate = rest * generate // (image + generate)
        image = rest - generate
    return Latency(
        capture=capture,
        queue=queue,
        encode=encode,
        image=image,
        generate=generate,
        other=rest - image - generate,
        total=marks[-1],
    )


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def finish_sentence(text: str) -> str:
    """A caption that hit its limit, cut after its last whole sentence; as it is where there is none."""
    ends = [mark.end() for mark in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else text


class Observer:
    """Makes the observation of each look, writes it to the journal and answers whoever asked.

    A look that fails is told the first time, when its kind changes, and then every 10 minutes; the repeats between are
    counted. One that somebody asked for is always told. One that is not to be kept is for whoever asked alone.
    """

    def __init__(
        self, journal: Journal, clock: Clock, counters: Counters, finished: Callable[[Observation], None]
    ) -> None:
        """``finished`` is called with what each look came to, told or only counted."""
        self._journal = journal
        self._clock = clock
        self._counters = counters
        self._finished = finished
        self._failing: dict[str, tuple[Failure, float, int]] = {}
        self._steadiness = Steadiness()
        self._log = logging.getLogger("camscribe.looks")

    async def succeeded(  # the facts of one look, named at its one call
        self,
        camera: Camera,
        look: Look,
        timing: Timing,
        caption: Caption,
        captioner: str,
        shown: Picture,
        sent: Picture,
        view: ModelView,
    ) -> None:
        now = self._clock.now().monotonic
        observation = _observation(
            camera,
            look,
            timing.taken,
            latency(timing, caption, now),
            shown,
            caption=finish_sentence(caption.text) if caption.truncated else caption.text,
            truncated=caption.truncated,
            captioner=captioner,
            model=caption.model,
            tokens=caption.tokens,
            answers=self._answers(camera, look, caption),
            sent=SentFacts(width=sent.width, height=sent.height, geometry=view.geometry, sha256=sent.sha256),
        )
        self._recovered(camera)
        await self._tell(camera, look, observation, shown, sent)

    async def failed(
        self,
        camera: Camera,
        look: Look,
        kind: Failure,
        message: str,
        timing: Timing | None = None,
        shown: Picture | None = None,
    ) -> None:
        """The look came to nothing. With ``timing`` and ``shown`` where there was a frame but no caption."""
        now = self._clock.now().monotonic
        self._counters.add("looks_failed_total", camera=camera.id, kind=kind.value)
        timing = timing or Timing(look.began, now, now, now)
        error = LookError(kind=kind, message=message)
        spent = latency(timing, None, now)
        observation = _observation(camera, look, timing.taken, spent, shown, caption=None, error=error)
        if not look.kept or self._worth_telling(camera, kind, message) or look.answer is not None:
            await self._tell(camera, look, observation, shown)
        else:
            self._counters.add("looks_failed_untold_total", camera=camera.id, kind=kind.value)
            camera.looked(observation)
            self._finished(observation)

    def forget(self, camera: str) -> None:
        """It is another one from now on: how its looks fail is news again, and what was steady says nothing of it."""
        self._failing.pop(camera, None)
        self._steadiness.forget(camera)

    def _answers(self, camera: Camera, look: Look, caption: Caption) -> Mapping[str, Answer]:
        if not look.questions:
            return caption.answers
        before = camera.last_good.answers if camera.last_good else {}
        return self._steadiness.told(camera.id, camera.settings.questions, caption.answers, before)

    def _worth_telling(self, camera: Camera, kind: Failure, message: str) -> bool:
        now = self._clock.now().monotonic
        before = self._failing.get(camera.id)
        if before and before[0] == kind and now - before[1] < REMIND:
            self._failing[camera.id] = (kind, before[1], before[2] + 1)
            return False
        if before is None or before[0] != kind:
            # A refused password is for somebody to mend; the rest may come back by itself.
            level = logging.ERROR if kind is Failure.UNAUTHORIZED else logging.WARNING
            self._log.log(level, "%s: no caption (%s): %s", camera.id, kind.value, message)
        else:
            self._log.warning("%s: still no caption (%s; %d more since): %s", camera.id, kind.value, before[2], message)
        self._failing[camera.id] = (kind, now, 0)
        return True

    def _recovered(self, camera: Camera) -> None:
        failing = self._failing.pop(camera.id, None)
        if failing:
            self._log.info("%s: captions again after %s", camera.id, failing[0].value)

    async def _tell(
        self, camera: Camera, look: Look, observation: Observation, shown: Picture | None, sent: Picture | None = None
    ) -> None:
        if look.kept:
            observation = await self._keep(camera, observation, shown, sent)
        if look.answer is not None and not look.answer.done():
            look.answer.set_result(observation)

    async def _keep(
        self, camera: Camera, observation: Observation, shown: Picture | None, sent: Picture | None
    ) -> Observation:
        """As it is written down, and then told to everybody."""
        try:
            observation = await self._journal.record(
                observation, shown.jpeg if shown else None, sent.jpeg if sent else None
            )
        except JournalUnavailable:
            # The journal has said and counted it. The looks go on, and whoever asked gets the answer.
            self._log.debug("%s: observation %s is not in the journal", camera.id, observation.id)
        self._counters.add("observations_total", camera=camera.id)
        camera.looked(observation)
        self._finished(observation)
        return observation


def _observation(
    camera: Camera, look: Look, taken: Moment, spent: Latency, shown: Picture | None, **outcome: Any
) -> Observation:
    """What every look has in common, good or failed, and its outcome."""
    return Observation(
        id=str(uuid6.uuid7()),
        camera=camera.id,
        reason=look.reason,
        taken_at=taken.wall,
        finished_at=taken.wall + timedelta(milliseconds=spent.total),
        prompt=look.prompt,
        ad_hoc=not look.questions,
        latency_ms=spent,
        picture=PictureFacts(width=shown.width, height=shown.height, sha256=shown.sha256) if shown else None,
        **outcome,
    )
