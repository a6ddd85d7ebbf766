"""One camera: its source, its looks, and how it is doing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent.clock import Clock
from agent.config import CameraSettings
from agent.errors import CommandRefused, Failure, FrameUnavailable
from agent.plugin import Source
from agent.prompt import checked, in_language
from agent.status import Counters
from agent.supervise import being_cancelled
from agent.values import CameraState, Frame, LookError, Moment, Observation, Reason

MOST_ASKED = 8
"""Looks with different prompts that may be under way at one camera; more are refused, so that nothing grows."""
KEPT_BACK = 0.25
"""Seconds of the camera's timeout, at most a tenth of it, that a source does not get: the look must end in time."""
LATE = 3
"""So many intervals after its last good look a camera's is stale, but not before"""
LATE_AT_LEAST = 60.0
"""seconds, and twice its timeout for picture and caption on top."""
AWAY = frozenset(
    {
        CameraState.NO_KEY_FRAMES,
        CameraState.UNAUTHORIZED,
        CameraState.NOT_FOUND,
        CameraState.SILENT,
        CameraState.GONE,
        CameraState.DAMAGED,
        CameraState.NO_PERMISSION,
        CameraState.BUSY,
        CameraState.PARKED,
    }
)
"""States in which a camera gives no picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A look that is due: by itself (``answer`` is None), or because somebody waits for the answer."""

    reason: Reason
    prompt: str
    began: Moment
    answer: asyncio.Future[Observation] | None = None
    questions: bool = True
    """The camera's own, with its own prompt; whoever has another prompt asks that alone."""
    kept: bool = True
    """False: of a picture that somebody brought along. Only they hear of it, and nothing of it is written down."""


class Camera:
    """Takes frames, one at a time, and hands them on; never waits for a caption.

    ``hand_over`` gets each frame with its look; ``failed`` gets the looks that have none, with kind and sentence.
    """

    def __init__(  # everything a camera needs, named at its one call
        self,
        settings: CameraSettings,
        source: Source[Any],
        *,
        hand_over: Callable[[Camera, Look, Frame], None],
        failed: Callable[[Camera, Look, Failure, str], Awaitable[None]],
        clock: Clock,
        counters: Counters,
        changed: Callable[[], None],
    ) -> None:
        self.id = settings.id
        self.settings = settings
        self.source = source
        self.enabled = settings.enabled
        self.every = settings.every
        self.prompt = settings.prompt
        self.captioner = settings.captioner
        self.state = CameraState.STARTING
        self.since = clock.now()
        self.problem: str | None = None
        self._detail: str | None = None
        """What the source said last of its state."""
        self.last_good: Observation | None = None
        """By its own prompt; with when, on the monotonic clock:"""
        self._last_good_at = 0.0
        self._expecting_since = 0.0
        """When it was told to look as it does: for what it did not look before, nobody blames it."""
        self.failing: LookError | None = None
        """Why its last look of its own failed, where it did."""
        self.failures = 0
        """Looks that failed since the start."""
        self.paused = False
        """All cameras are: it looks for nobody."""
        self.online = True
        self._hand_over = hand_over
        self._failed = failed
        self._clock = clock
        self._counters = counters
        self._changed = changed
        self._log = logging.getLogger(f"camscribe.camera.{self.id}")
        self._scheduled: Look | None = None
        self._asked: list[Look] = []
        self._taking: list[Look] = []
        self._open: list[Look] = []
        self._due = asyncio.Event()
        self._source_free = asyncio.Lock()

    def due(self, reason: Reason = "schedule") -> None:
        """A look that nobody waits for. One that is still waiting to begin takes this one's place too."""
        if not self.enabled or self.paused:
            return
        if self._scheduled is not None:
            self._counters.add("looks_merged_total", camera=self.id)
            return
        self._scheduled = Look(reason, self._worded(self.prompt), self._clock.now())
        self._due.set()

    def ask(self, reason: Reason, prompt: str | None = None) -> asyncio.Future[Observation]:
        """A look that somebody waits for: it goes first and always answers. Two alike share one result.

        Raises CommandRefused: the prompt is none, all cameras are paused, or too many looks are under way.
        """
        if self.paused:
            raise CommandRefused("All cameras are paused: nobody looks through them until that is ended.")
        own = prompt is None
        prompt = self._worded(self.prompt if prompt is None else checked(prompt))
        look = next((look for look in self._asked if (look.prompt, look.questions) == (prompt, own)), None)
        if look is None:
            if len(self._open) >= MOST_ASKED:
                raise CommandRefused(f"Too many looks at '{self.id}' are under way already.")
            answer: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
            look = Look(reason, prompt, self._clock.now(), answer, own)
            self._asked.append(look)
            self._open.append(look)
            answer.add_done_callback(lambda _: self._open.remove(look))
            self._due.set()
        assert look.answer is not None
        return asyncio.shield(look.answer)  # one who gives up waiting must not take the answer from the others

    def _worded(self, prompt: str) -> str:
        return in_language(prompt, self.settings.language)

    async def retake(self) -> Frame:
        """Another frame, for a look whose own grew too old in the queue. Raises FrameUnavailable."""
        self._counters.add("frames_dropped_total", reason="stale", camera=self.id)
        async with self._source_free:
            frame = await self._take()
        self._counters.add("frames_total", camera=self.id)
        return frame

    async def run(self) -> None:
        """Serve the looks, one frame at a time."""
        while True:
            await self._due.wait()
            self._due.clear()
            looks = self._wanted([*self._asked, *([self._scheduled] if self._scheduled else [])])
            self._asked.clear()
            self._scheduled = None
            if looks:
                self._taking = looks
                await self._serve(looks)
                self._taking = []

    async def _serve(self, looks: list[Look]) -> None:
        """One frame for all of them."""
        try:
            async with self._source_free:
                frame = await self._take()
        except FrameUnavailable as error:
            for look in self._wanted(looks):
                await self._failed(self, look, error.kind, str(error))
            return
        for look in self._wanted(looks):
            self._counters.add("frames_total", camera=self.id)
            self._hand_over(self, look, frame)

    def _wanted(self, looks: list[Look]) -> list[Look]:
        """Without those by schedule where the camera has been switched off or paused meanwhile."""
        return [look for look in looks if look.answer is not None or (self.enabled and not self.paused)]

    async def _take(self) -> Frame:
        timeout = self.settings.timeout
        try:
            kept_back = min(KEPT_BACK, timeout / 10)
            async with asyncio.timeout(timeout - kept_back / 2):
                frame = await self.source.take(timeout - kept_back)
        except FrameUnavailable:
            raise
        except TimeoutError:
            raise FrameUnavailable(
                Failure.TIMEOUT, f"The camera gave no picture within {timeout:g} s. Is it switched on and reachable?"
            ) from None
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            self._log.exception("the source of %s has a bug", self.id)
            self._counters.add("bugs_total", part=f"camera {self.id}")
            raise FrameUnavailable(
                Failure.INTERNAL, f"The source failed in a way it should not ({type(error).__name__}); see the log."
            ) from error
        age = self.age(frame)
        if age > self.settings.max_age:
            raise FrameUnavailable(Failure.STALE, too_old(self.id, age, self.settings.max_age))
        return frame

    def age(self, frame: Frame) -> float:
        """Seconds since the frame was taken."""
        return self._clock.now().monotonic - frame.taken.monotonic

    def configure(self, settings: CameraSettings) -> None:
        """The config has changed. What a command has set stays, unless the file has another value of that than before.

        A source that has changed is for ``change_source``.
        """
        before, self.settings = self.settings, settings
        if settings.enabled != before.enabled:
            self.enabled = settings.enabled
        if (settings.every, settings.cron) != (before.every, before.cron):
            self.every = settings.every
        if settings.prompt != before.prompt:
            self.prompt = settings.prompt
        if settings.captioner != before.captioner:
            self.captioner = settings.captioner
        self.expect()
        self._changed()

    async def change_source(self, exchange: Callable[[Source[Any]], Awaitable[Source[Any]]]) -> None:
        """``exchange`` ends the old source and gives a new one; looks wait for it."""
        async with self._source_free:
            self.source = await exchange(self.source)
        self._detail = None
        self.report(CameraState.STARTING, "")

    def retire(self) -> list[Look]:
        """It is no longer in the config: the asked-for looks that have no frame yet, for somebody to answer."""
        self.enabled = False
        self.captioner = ()  # a look that is with a captioner ends with that one
        waiting = (*self._taking, *self._asked)
        looks = [look for look in waiting if look.answer is not None and not look.answer.done()]
        self._asked.clear()
        return looks

    def pending(self) -> list[Look]:
        """The asked-for looks that have no answer yet, wherever they are."""
        return list(self._open)

    @property
    def scheduled(self) -> bool:
        """It looks by itself, so that its looks tell how it is doing."""
        return self.every is not None or self.settings.cron is not None

    def report(self, state: CameraState, detail: str) -> None:
        """The source says what it is doing."""
        if (state, detail or None) == (self.state, self.problem):
            return
        if state != self.state:
            self._log.debug("%s: %s. %s", self.id, state.value, detail)
            self.state, self.since = state, self._clock.now()
        self.problem = self._detail = detail or None
        if not self.scheduled and (state not in AWAY) != self.online:
            self.online = state not in AWAY
            if self.online:
                self._log.info("%s: %s again.", self.id, state.value)
            else:
                self._log.warning("%s: %s. %s", self.id, state.value, detail)
        self._changed()

    @property
    def fresh_for(self) -> float | None:
        """Seconds after which its last good look is stale; None where it does not look every so often."""
        if self.every is None:
            return None
        return max(LATE * self.every, LATE_AT_LEAST) + 2 * self.settings.timeout

    @property
    def stale(self) -> bool:
        """It should have had a good look since its last one."""
        if self.fresh_for is None or not self.enabled or self.paused or self.last_good is None:
            return False
        return self._clock.now().monotonic - max(self._last_good_at, self._expecting_since) > self.fresh_for

    def expect(self) -> None:
        """It looks otherwise from now on, or again."""
        self._expecting_since = self._clock.now().monotonic
        if not self.enabled:
            self.failing = None

    def remember(self, observation: Observation) -> None:
        """Its last good look, of an earlier run. A wall clock that was set back makes it no younger than now."""
        now = self._clock.now()
        age = max(0.0, (now.wall - observation.finished_at).total_seconds())
        self.last_good, self._last_good_at = observation, now.monotonic - age

    def looked(self, observation: Observation) -> None:
        """A look ended: the camera is online if it gave a picture, whatever the captioner made of it.

        One that never looks by itself, as a folder of uploads, is asked out of its time: a failure says nothing of it.
        """
        if observation.error is not None and observation.error.kind is Failure.STOPPED:
            return
        self.failures += observation.error is not None
        if not observation.ad_hoc:
            self.failing = observation.error
        if observation.error is None and not observation.ad_hoc:
            self.last_good, self._last_good_at = observation, self._clock.now().monotonic
        seen = observation.error is None or observation.picture is not None
        if seen or self.scheduled:
            self.online = seen
        self.problem = observation.error.message if observation.error and not self.online else self._detail
        self._changed()


def too_old(camera: str, age: float, max_age: float) -> str:
    return (
        f"The newest picture is {age:.0f} s old (max_age is {max_age:g} s); see why it comes so late, or raise "
        f"cameras.{camera}.max_age."
    )
