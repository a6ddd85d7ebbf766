"""From the queue through a captioner: prepares the two pictures, asks, and hands on what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from agent import picture
from agent.camera import Camera, Look
from agent.clock import Clock
from agent.config import CameraSettings
from agent.errors import CaptionUnavailable, Failure, FrameUnavailable
from agent.observing import Observer, Timing
from agent.plugin import Captioner
from agent.prints import Prints
from agent.prompt import in_language
from agent.questions import Question, TextQuestion
from agent.queue import FrameQueue, Waiting
from agent.status import Counters, Outage
from agent.supervise import being_cancelled
from agent.values import Caption, CaptionRequest, Frame, ModelView, Pixels

GRACE = 1.0
"""Seconds a captioner may overrun its timeout before it is cancelled."""
READY_WITHIN = 20.0
"""Seconds a frame waits for an engine that is starting before its look fails; in a long outage only the first does."""
RETAKE_WITHIN = 5.0
"""Seconds a captioner waits for a camera whose frame grew old in the queue."""


T = TypeVar("T")
_PRINTS = Prints()
"""Shared by all captioners: a fallback sends what the first one did."""


class Captioning:
    """One captioner's work: takes what waits for it, and passes on what it can't do to the camera's next captioner.

    Nobody else asks the captioner anything, so that it never has more to do at once than its slots.
    """

    def __init__(
        self,
        name: str,
        captioner: Captioner[Any],
        queue: FrameQueue,
        observer: Observer,
        clock: Clock,
        counters: Counters,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._name = name
        self._captioner = captioner
        self._queue = queue
        self._observer = observer
        self._clock = clock
        self._counters = counters
        self._pool = pool
        self._busy: set[asyncio.Task[Any] | None] = set()
        self._leaving = False
        self._log = logging.getLogger("camscribe.captions")
        self._outage = Outage(f"captioner {name}", self._log, clock, each="looks")

    async def run(self) -> None:
        """Caption what waits for the captioner. Run it once a slot."""
        patience = READY_WITHIN
        while not self._leaving:
            await self._queue.wait(self._name)
            try:
                # The frame stays in the queue meanwhile, so that a fresher one can still take its place.
                await self._ready(patience)
                patience = READY_WITHIN
            except CaptionUnavailable as error:
                # Once an outage: from now on frames fail, or go to the fallback, while they are fresh.
                patience = 0.0
                self._log.debug("%s is not ready: %s", self._name, error)
            waiting = self._queue.pop(self._name)
            if waiting is None:
                continue
            task = asyncio.current_task()
            self._busy.add(task)
            try:
                await self._serve(waiting)
            finally:
                self._busy.discard(task)

    async def _ready(self, patience: float) -> None:
        """Raises CaptionUnavailable, on time, whatever the captioner does: somebody may wait for an answer."""
        try:
            async with asyncio.timeout(patience + GRACE):
                await self._captioner.ready(patience)
        except CaptionUnavailable:
            raise
        except TimeoutError:
            raise CaptionUnavailable(Failure.ENGINE_TIMEOUT, f"nothing heard of it for {patience:g} s") from None
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            self._log.exception("whether %s is ready could not be asked: a bug", self._name)
            self._counters.add("bugs_total", part=f"captioner {self._name}")
            raise CaptionUnavailable(Failure.INTERNAL, "a bug") from error

    def leave(self, slots: Iterable[asyncio.Task[None]]) -> None:
        """Take nothing more: the tasks of ``run`` end with what they are busy with, those that wait at once."""
        self._leaving = True
        for slot in slots:
            if slot not in self._busy:
                slot.cancel()

    async def _serve(self, waiting: Waiting) -> None:
        """To the end, whatever happens: whoever asked gets an answer."""
        answer = waiting.look.answer
        try:
            await self._look(waiting)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                self._counters.add("frames_dropped_total", reason="stopped", camera=waiting.camera.id)
                raise
            self._log.exception("a look at %s could not be told: a bug", waiting.camera.id)
            self._counters.add("bugs_total", part="captioning")
            if answer is not None and not answer.done():
                answer.set_exception(RuntimeError(f"the look failed in a way it should not ({type(error).__name__})"))

    async def _look(self, waiting: Waiting) -> None:
        camera, look = waiting.camera, waiting.look
        try:
            waiting = await self._fresh(waiting)
        except FrameUnavailable as error:
            await self._observer.failed(camera, look, error.kind, str(error))
            return
        began = self._clock.now().monotonic
        timing = Timing(waiting.frame.taken, waiting.handed_over, began, began)
        shown: asyncio.Future[picture.Picture] | None = None
        try:
            view = self._captioner.view(camera.settings.detail)
            pixels, sent = await self._off_loop(_model_sees, camera, waiting.frame, view)
            timing = replace(timing, encoded=self._clock.now().monotonic)
            shown = self._off_loop(_people_see, camera, waiting.frame, pixels)  # while the model works
            caption = await self._ask(waiting, sent)
            people_see = await shown
        except CaptionUnavailable as error:
            await self._failed(waiting, error, timing, shown)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            self._log.exception("captioning a frame of %s failed: a bug", camera.id)
            self._counters.add("bugs_total", part="captioning")
            self._counters.add("captions_failed_total", camera=camera.id, kind=Failure.INTERNAL.value)
            message = f"Captioning failed in a way it should not ({type(error).__name__}); see the log."
            await self._observer.failed(camera, look, Failure.INTERNAL, message, timing, await _made(shown))
        else:
            self._outage.ends()
            self._counters.add("captions_total", camera=camera.id, captioner=self._name)
            await self._observer.succeeded(camera, look, timing, caption, self._name, people_see, sent, view)

    async def _fresh(self, waiting: Waiting) -> Waiting:
        """With its frame, or another one where that grew too old while it waited: its camera keeps its turn."""
        camera = waiting.camera
        if camera.age(waiting.frame) <= camera.settings.max_age:
            return waiting
        try:
            async with asyncio.timeout(RETAKE_WITHIN):
                frame = await camera.retake()
        except TimeoutError:
            message = f"The picture grew old while others had their turn, and a new one took over {RETAKE_WITHIN:g} s."
            raise FrameUnavailable(Failure.STALE, message) from None
        return replace(waiting, frame=frame, handed_over=self._clock.now().monotonic)

    async def _ask(self, waiting: Waiting, sent: picture.Picture) -> Caption:
        settings, look = waiting.camera.settings, waiting.look
        questions = _questions(settings) if look.questions else {}
        request = CaptionRequest(settings.id, sent.jpeg, look.prompt, settings.max_tokens, settings.timeout, questions)
        try:
            async with asyncio.timeout(settings.timeout + GRACE) as deadline:
                with _no_longer_than_wanted(look, deadline):
                    return await self._captioner.caption(request)
        except TimeoutError:
            if look.answer is not None and look.answer.cancelled():
                raise CaptionUnavailable(Failure.STOPPED, "Whoever brought the picture has gone.") from None
            message = f"The captioner '{self._name}' took longer than {settings.timeout:g} s (the camera's timeout)."
            raise CaptionUnavailable(Failure.ENGINE_TIMEOUT, message) from None

    async def _failed(
        self,
        waiting: Waiting,
        error: CaptionUnavailable,
        timing: Timing,
        shown: asyncio.Future[picture.Picture] | None,
    ) -> None:
        """On to the camera's next captioner, or the look has failed."""
        camera, failures = waiting.camera, (*waiting.failures, (self._name, error))
        tried = {name for name, _ in failures}
        following = next((name for name in camera.captioner if name not in tried), None)
        if following is not None:
            self._log.debug("%s: %s can't: %s", camera.id, self._name, error)
            self._outage.begins(f"{error} Its looks go to {following}.")
            self._counters.add("fallbacks_total", camera=camera.id, captioner=following)
            self._queue.pass_on(replace(waiting, captioner=following, failures=failures))
            return
        self._counters.add("captions_failed_total", camera=camera.id, kind=error.kind.value)
        told = str(error) if len(failures) == 1 else " ".join(f"{name}: {reason}" for name, reason in failures)
        await self._observer.failed(camera, waiting.look, error.kind, told, timing, await _made(shown))

    def _off_loop(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


@contextmanager
def _no_longer_than_wanted(look: Look, deadline: asyncio.Timeout) -> Iterator[None]:
    """A visitor who goes must not keep the captioner from the cameras. The cameras' own looks are always wanted."""

    asking = True

    def gone(_answer: object) -> None:
        if asking:
            deadline.reschedule(0)

    if not look.kept and look.answer is not None:
        look.answer.add_done_callback(gone)
    try:
        yield
    finally:
        asking = False


def _questions(settings: CameraSettings) -> dict[str, Question]:
    """As they are asked: what has a fixed form is answered in it, whatever the camera's language."""
    return {name: _worded(question, settings.language) for name, question in settings.questions.items()}


def _worded(question: Question, language: str | None) -> Question:
    if not isinstance(question, TextQuestion):
        return question
    return question.model_copy(update={"ask": in_language(question.ask, language)})


def _model_sees(camera: Camera, frame: Frame, view: ModelView) -> tuple[Pixels, picture.Picture]:
    """The pixels that anybody may see, and the model's picture of them."""
    settings = camera.settings
    pixels = picture.prepare(
        frame.pixels, rotate=settings.rotate, flip=settings.flip, crop=settings.crop, masks=settings.masks
    )
    return pixels, _PRINTS.once(frame.pixels, (_making(settings), view), lambda: picture.sent(pixels, view))


def _people_see(camera: Camera, frame: Frame, pixels: Pixels) -> picture.Picture:
    return _PRINTS.once(frame.pixels, _making(camera.settings), lambda: picture.shown(pixels))


def _making(settings: CameraSettings) -> Hashable:
    return settings.rotate, settings.flip, settings.crop, tuple(tuple(mask) for mask in settings.masks)


async def _made(shown: asyncio.Future[picture.Picture] | None) -> picture.Picture | None:
    """The picture people see, for a look that failed; None where that is what failed."""
    if shown is None:
        return None
    await asyncio.wait({shown})
    return None if shown.exception() else shown.result()
