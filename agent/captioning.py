"""From the queue through a captioner: prepares the two pictures, asks, falls back, and hands on what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from agent import picture
from agent.camera import Camera
from agent.clock import Clock
from agent.config import CameraSettings
from agent.errors import CaptionUnavailable, Failure, FrameUnavailable
from agent.observing import Observer, Timing
from agent.plugin import Captioner
from agent.prompt import in_language
from agent.queue import FrameQueue, Waiting
from agent.status import Counters
from agent.supervise import being_cancelled
from agent.values import Caption, CaptionRequest, Frame, ModelView, Pixels, Question

GRACE = 1.0
"""Seconds a captioner may overrun its timeout before it is cancelled."""
READY_WITHIN = 20.0
"""Seconds a frame waits for an engine that is starting before its look fails; in a long outage only the first does."""
RETAKE_WITHIN = 5.0
"""Seconds a captioner waits for a camera whose frame grew old in the queue."""


@dataclass(frozen=True, slots=True)
class _Answer:
    caption: Caption
    captioner: str
    sent: picture.Picture
    view: ModelView
    encoded: float


class Captioning:
    """Serves one queue with ``captioners`` (by name): a frame goes to its camera's first, then to its fallbacks."""

    def __init__(
        self,
        queue: FrameQueue,
        captioners: Mapping[str, Captioner[Any]],
        observer: Observer,
        clock: Clock,
        counters: Counters,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._queue = queue
        self._captioners = captioners
        self._observer = observer
        self._clock = clock
        self._counters = counters
        self._pool = pool
        self._log = logging.getLogger("camscribe.captions")

    async def run(self, first: str) -> None:
        """Caption what waits for the captioner called ``first``. Run it once a slot."""
        patience = READY_WITHIN
        while True:
            await self._queue.wait()
            try:
                # The frame stays in the queue meanwhile, so that a fresher one can still take its place.
                await self._captioners[first].ready(patience)
                patience = READY_WITHIN
            except CaptionUnavailable as error:
                # Once an outage: from now on frames fail, or go to the fallback, while they are fresh.
                patience = 0.0
                self._log.debug("%s is not ready: %s", first, error)
            waiting = self._queue.pop()
            if waiting is not None:
                await self._serve(waiting)

    async def _serve(self, waiting: Waiting) -> None:
        """To the end, whatever happens: whoever asked gets an answer."""
        answer = waiting.look.answer
        try:
            await self._look(waiting)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            self._log.exception("a look at %s could not be told: a bug", waiting.camera.id)
            self._counters.add("bugs_total", part="captioning")
            if answer is not None and not answer.done():
                answer.set_exception(RuntimeError(f"the look failed in a way it should not ({type(error).__name__})"))

    async def _look(self, waiting: Waiting) -> None:
        camera, look = waiting.camera, waiting.look
        try:
            frame, handed_over = await self._fresh(waiting)
        except FrameUnavailable as error:
            await self._observer.failed(camera, look, error.kind, str(error))
            return
        began = self._clock.now().monotonic
        timing = Timing(frame.taken, handed_over, began, began)
        shown: picture.Picture | None = None
        try:
            pixels, shown = await self._off_loop(_people_see, camera, frame)
            answer = await self._ask(waiting, pixels)
        except CaptionUnavailable as error:
            await self._observer.failed(camera, look, error.kind, str(error), timing, shown)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            self._log.exception("captioning a frame of %s failed: a bug", camera.id)
            self._counters.add("bugs_total", part="captioning")
            message = f"Captioning failed in a way it should not ({type(error).__name__}); see the log."
            await self._observer.failed(camera, look, Failure.INTERNAL, message, timing, shown)
        else:
            timing = Timing(frame.taken, handed_over, began, answer.encoded)
            await self._observer.succeeded(
                camera, look, timing, answer.caption, answer.captioner, shown, answer.sent, answer.view
            )

    async def _fresh(self, waiting: Waiting) -> tuple[Frame, float]:
        """The frame, or another one where it grew too old while it waited: its camera keeps its turn."""
        camera, frame = waiting.camera, waiting.frame
        if camera.age(frame) <= camera.settings.max_age:
            return frame, waiting.handed_over
        try:
            async with asyncio.timeout(RETAKE_WITHIN):
                frame = await camera.retake()
        except TimeoutError:
            message = f"The picture grew old while others had their turn, and a new one took over {RETAKE_WITHIN:g} s."
            raise FrameUnavailable(Failure.STALE, message) from None
        return frame, self._clock.now().monotonic

    async def _ask(self, waiting: Waiting, pixels: Pixels) -> _Answer:
        """The first captioner of the camera's that answers."""
        settings = waiting.camera.settings
        failure: CaptionUnavailable | None = None
        for name in settings.captioner:
            captioner = self._captioners[name]
            if failure is not None:
                self._counters.add("fallbacks_total", camera=settings.id, captioner=name)
            view = captioner.view(settings.detail)
            sent = await self._off_loop(picture.sent, pixels, view)
            encoded = self._clock.now().monotonic
            request = CaptionRequest(
                settings.id,
                sent.jpeg,
                waiting.look.prompt,
                settings.max_tokens,
                settings.timeout,
                _questions(settings),
            )
            try:
                async with asyncio.timeout(settings.timeout + GRACE):
                    caption = await captioner.caption(request)
            except TimeoutError:
                message = f"The captioner '{name}' took longer than {settings.timeout:g} s (the camera's timeout)."
                failure = CaptionUnavailable(Failure.ENGINE_TIMEOUT, message)
            except CaptionUnavailable as error:
                failure = error
            else:
                return _Answer(caption, name, sent, view, encoded)
            if name != settings.captioner[-1]:
                self._log.debug("%s: %s can't: %s", settings.id, name, failure)
        assert failure is not None  # the config makes sure that a camera names a captioner
        raise failure

    async def _off_loop(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


def _questions(settings: CameraSettings) -> tuple[Question, ...]:
    return tuple(Question(id_, in_language(text, settings.language)) for id_, text in settings.questions.items())


def _people_see(camera: Camera, frame: Frame) -> tuple[Pixels, picture.Picture]:
    settings = camera.settings
    pixels = picture.prepare(
        frame.pixels, rotate=settings.rotate, flip=settings.flip, crop=settings.crop, masks=settings.masks
    )
    return pixels, picture.shown(pixels)
