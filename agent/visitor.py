"""Captions a picture that somebody brings along, such as a browser with its own webcam."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

from agent import upload
from agent.camera import Camera, Look
from agent.clock import Clock
from agent.config import DEFAULT, CameraSettings, CaptionerSettings, PluginChoice
from agent.errors import CaptionUnavailable, CommandRefused, Failure, FrameUnavailable, TooBusy
from agent.house import House
from agent.observing import Observer
from agent.plugin import Captioner, Context, PluginConfig, Source
from agent.prompt import checked
from agent.queue import FrameQueue, Waiting
from agent.running.engines import Engines
from agent.status import Counters
from agent.values import Frame, Observation, Pixels

CAMERA = "live-page"
"""No camera of a config can have that id."""
MOST = 4
"""Pictures under way at once, of all visitors."""
RETRY_AFTER = 1.0
LONG_EDGE = 1280
LOADED_WITHIN = 30.0
"""Seconds a picture waits for a model that is being loaded."""
CAPTIONED_WITHIN = 60.0
"""Seconds the captioner may take; a large model on a small machine needs half of that."""
ANSWERED_WITHIN = 90.0
"""Seconds for everything, the wait in the line as well."""
KEPT_UP = 600.0
"""Seconds for which a captioner that no camera asks stays up after a visitor's last picture."""
LOOK_AROUND = 15.0
NOT_RUNNING = "not running"

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("camscribe.visitor")


@dataclass(frozen=True, slots=True)
class About:
    """A captioner that a visitor may choose."""

    name: str
    use: str
    """Its plugin."""
    model: str
    state: str
    running: bool


class Visitor:
    """A visitor's picture goes the way of all pictures, through the queue to a captioner: a look that is not kept, of a
    camera that is none of the house's. Only the visitor hears of it.
    """

    def __init__(
        self,
        house: House,
        queue: FrameQueue,
        observer: Observer,
        engines: Engines,
        captioners: Callable[[], Mapping[str, CaptionerSettings]],
        clock: Clock,
        counters: Counters,
    ) -> None:
        """``captioners``: those of the config as it is now."""
        self._house = house
        self._queue = queue
        self._observer = observer
        self._engines = engines
        self._captioners = captioners
        self._clock = clock
        self._counters = counters
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="uploads")
        """Its own, and one: large pictures of visitors keep no camera waiting, and take no memory side by side."""
        self._inside = 0
        self._open: dict[Look, Camera] = {}
        self._used: dict[str, float] = {}
        """When each captioner was wanted last."""

    async def caption(
        self, picture: bytes, prompt: str | None = None, captioner: str | None = None, max_tokens: int | None = None
    ) -> Observation:
        """What the captioner says of it, or the ``error`` that kept it from it.

        Raises CommandRefused, where the request can't be served as it is: PictureRefused, TooBusy, or just that.
        """
        with self.admitted() as visit:
            return await visit.caption(picture, prompt, captioner, max_tokens)

    @contextmanager
    def admitted(self, most: int = MOST) -> Iterator[Visit]:
        """A place, before the picture has even been read. ``most``: not the last ones of them. Raises TooBusy."""
        if self._inside >= most:
            self._counters.add("visits_refused_total")
            raise TooBusy(f"{MOST} pictures are being captioned already; try again in a moment.", RETRY_AFTER)
        self._inside += 1
        try:
            yield Visit(self)
        finally:
            self._inside -= 1

    async def off_loop(self, work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*arguments, **more))

    def captioners(self) -> list[About]:
        """In the config's order."""
        running = dict(self._engines)
        return [self._about(settings, running.get(name)) for name, settings in self._captioners().items()]

    def wanted(self) -> list[str]:
        """The captioners that visitors want to be up."""
        since = self._clock.now().monotonic - KEPT_UP
        return [name for name, used in self._used.items() if used > since and name in self._captioners()]

    def pending(self) -> list[tuple[Camera, Look]]:
        """The looks that have no answer yet."""
        return [(camera, look) for look, camera in self._open.items()]

    async def watch(self) -> None:
        """Forever: what no visitor wants any more goes."""
        while True:
            await self._clock.sleep(LOOK_AROUND)
            if gone := set(self._used) - set(self.wanted()):
                for name in gone:
                    del self._used[name]
                self._house.engines_wanted()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _caption(
        self, picture: bytes, prompt: str | None, captioner: str | None, max_tokens: int | None
    ) -> Observation:
        if self._house.paused:
            raise CommandRefused("All cameras are paused, and so is this: nothing is captioned until that is ended.")
        name = self._chosen(captioner)
        camera = self._camera(name, max_tokens)
        asked = checked(camera.prompt if prompt is None else prompt)
        answer: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        look = Look("http", asked, self._clock.now(), answer, questions=False, kept=False)
        self._open[look] = camera
        bringing = asyncio.create_task(self._bring(picture, camera, look))
        try:
            await asyncio.wait({answer}, timeout=ANSWERED_WITHIN)
            if not answer.done():
                late = f"The picture was not captioned within {ANSWERED_WITHIN:g} s: others were before it."
                await self._observer.failed(camera, look, Failure.ENGINE_TIMEOUT, late)
            return await answer
        finally:
            del self._open[look]
            bringing.cancel()
            self._queue.withdraw(look)
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # heard, whether or not anybody still waits

    async def _bring(self, picture: bytes, camera: Camera, look: Look) -> None:
        """Into the line."""
        name = camera.captioner[0]
        answer = look.answer
        assert answer is not None
        try:
            pixels: Pixels = await self.off_loop(upload.decode, picture, LONG_EDGE)
            read = self._clock.now().monotonic
            await self._up(name)
        except CaptionUnavailable as error:
            await self._observer.failed(camera, look, error.kind, str(error))
        except Exception as error:  # noqa: BLE001 (whoever waits for the answer raises it)
            if not answer.done():
                answer.set_exception(error)
        else:
            self._counters.add("frames_total", camera=camera.id)
            self._queue.put(Waiting(camera, look, Frame(camera.id, pixels, look.began, "brought"), read, name))

    async def _up(self, name: str) -> None:
        """Wait until the captioner works, and see to it that it does. Raises CaptionUnavailable."""
        running = dict(self._engines)
        if self._engines.gave_up(name):
            # Not wanted any longer by this one: some minutes later it may be tried afresh.
            _never(_state(running[name]))
        self._used[name] = self._clock.now().monotonic
        if name not in running:
            log.info("captioner %s is started for a visitor", name)
            self._house.engines_wanted()
        captioner: Captioner[Any] | None = None
        try:
            async with asyncio.timeout(LOADED_WITHIN):
                captioner = await self._engines.one(name)
                await captioner.ready(LOADED_WITHIN)
        except TimeoutError:
            _not_yet("" if captioner is None else _state(captioner))
        except CaptionUnavailable as error:
            _not_yet(str(error) if captioner is None else _state(captioner))
        self._used[name] = self._clock.now().monotonic

    def _chosen(self, captioner: str | None) -> str:
        """The default one, unless that would have to be loaded and another is up already."""
        there = self._captioners()
        if captioner is None:
            running = [name for name, _ in self._engines]
            return DEFAULT if DEFAULT in running or not running else running[0]
        if captioner not in there:
            raise CommandRefused(f"There is no captioner '{captioner[:60]}'. There is: {', '.join(there)}.")
        return captioner

    def _camera(self, captioner: str, max_tokens: int | None) -> Camera:
        """One for each picture: what the visitor wishes is its settings."""
        own = {} if max_tokens is None else {"max_tokens": max_tokens}
        settings = CameraSettings(
            id=CAMERA,
            source=PluginChoice("visitor", _Gone, PluginConfig()),
            name="Live page",
            captioner=(captioner,),
            timeout=CAPTIONED_WITHIN,
            max_age=2 * ANSWERED_WITHIN,
            **own,
        )
        return Camera(
            settings,
            _Gone(PluginConfig(), Context(CAMERA, log, Path(), Path())),
            hand_over=lambda *_: None,
            failed=self._observer.failed,
            clock=self._clock,
            counters=self._counters,
            changed=lambda: None,
        )

    def _about(self, settings: CaptionerSettings, running: Captioner[Any] | None) -> About:
        captioner = running or self._engines.made(settings)
        state = NOT_RUNNING if running is None else _state(running)
        return About(settings.name, settings.plugin.use, captioner.model, state, running is not None)


@dataclass(frozen=True, slots=True)
class Visit:
    """One place of those that the visitors have."""

    _visitor: Visitor

    async def off_loop(self, work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
        """For what has to be done before, such as reading the picture out of a text."""
        return await self._visitor.off_loop(work, *arguments, **more)

    async def caption(
        self, picture: bytes, prompt: str | None = None, captioner: str | None = None, max_tokens: int | None = None
    ) -> Observation:
        """As Visitor.caption."""
        return await self._visitor._caption(picture, prompt, captioner, max_tokens)  # noqa: SLF001 (its own)


class _Gone(Source[PluginConfig]):
    """A visitor has brought one picture, and can't be asked for another."""

    async def take(self, timeout: float) -> Frame:  # noqa: ARG002
        raise FrameUnavailable(Failure.STALE, "The picture grew old while others had their turn.")


def _state(captioner: Captioner[Any]) -> str:
    try:
        return captioner.state
    except Exception as error:  # noqa: BLE001 (a captioner's bug in telling its state is no reason to stop)
        return f"unknown ({type(error).__name__})"


def _never(state: str) -> NoReturn:
    raise CaptionUnavailable(Failure.ENGINE, f"The model can't be used. {state.removeprefix('failed: ')}")


def _not_yet(state: str) -> NoReturn:
    if state.startswith("failed"):
        _never(state)
    detail = state.removeprefix("starting").removeprefix(": ") or "it takes its time"
    raise CaptionUnavailable(Failure.ENGINE, f"The model is still loading: {detail}. Try again in a moment.")
