"""A camera, a journal and a captioning desk without the rest of the house: for the tests of tests/agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from agent.camera import Camera
from agent.captioning import Captioning
from agent.clock import Clock
from agent.config import CameraSettings, PluginChoice
from agent.journal import Journal
from agent.observing import Observer
from agent.plugin import Captioner, Context, PluginConfig, Source
from agent.queue import FrameQueue, Waiting
from agent.status import Counters
from agent.values import Caption, CaptionRequest, Detail, Frame, Geometry, ModelView, Observation
from tests.fakes.clock import FakeClock


class NoConfig(PluginConfig):
    pass


class ScriptedSource(Source[NoConfig]):
    """Gives what ``give()`` returns or raises."""

    give: Callable[[], Frame]
    takes = 0

    async def take(self, timeout: float) -> Frame:
        self.takes += 1
        await asyncio.sleep(0)
        return self.give()


class ScriptedCaptioner(Captioner[NoConfig]):
    """Says what ``say(request)`` returns or raises, once ``gate`` is open."""

    say: Callable[[CaptionRequest], str]

    def __init__(self, config: NoConfig, context: Context) -> None:
        super().__init__(config, context)
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[CaptionRequest] = []

    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        return ModelView(Geometry.SQUARE, 96)

    async def caption(self, request: CaptionRequest) -> Caption:
        self.requests.append(request)
        await self.gate.wait()
        return Caption(self.say(request), False, 5, 10.0, 2.0, "scripted")


class Desk:
    """Everything a look passes, on a clock that the test moves."""

    def __init__(self, folder: Path, journal: Journal, clock: Any, counters: Counters) -> None:
        self.clock, self.counters, self.journal = clock, counters, journal
        self.observer = Observer(journal, clock, counters, finished=lambda _observation: None)
        self.queue = FrameQueue(counters)
        self.context = Context("test", logging.getLogger("camscribe.test"), folder, folder)
        self.captioner = ScriptedCaptioner(NoConfig(), self.context)
        self.captioner.say = lambda _request: "A cat."
        self._tasks: list[asyncio.Task[None]] = []
        self._pool = ThreadPoolExecutor(1)
        self.start("default", self.captioner)

    def start(self, name: str, captioner: Captioner[Any]) -> Captioning:
        """Let it caption what waits for it, in as many slots as it has."""
        made = Captioning(name, captioner, self.queue, self.observer, self.clock, self.counters, self._pool)
        self._tasks += [asyncio.create_task(made.run()) for _ in range(captioner.slots)]
        return made

    def spare(self, say: Callable[[CaptionRequest], str]) -> ScriptedCaptioner:
        """A second captioner, called ``spare``."""
        spare = ScriptedCaptioner(NoConfig(), self.context)
        spare.say = say
        self.start("spare", spare)
        return spare

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._pool.shutdown()

    def frame(self, age: float = 0.0, shade: int = 100) -> Frame:
        now = self.clock.now()
        return Frame("door", np.full((48, 64, 3), shade, np.uint8), now.plus(-age))

    def camera(self, **options: object) -> Camera:
        source = ScriptedSource(NoConfig(), self.context)
        source.give = self.frame
        choice = PluginChoice("scripted", ScriptedSource, NoConfig())
        settings = CameraSettings.model_validate({"id": "door", "source": choice, **options})
        return Camera(
            settings,
            source,
            hand_over=lambda camera, look, frame: self.queue.put(
                Waiting(camera, look, frame, self.clock.now().monotonic, camera.captioner[0])
            ),
            failed=self.observer.failed,
            clock=self.clock,
            counters=self.counters,
            changed=lambda: None,
        )

    async def recorded(self) -> list[Observation]:
        return list(reversed(await self.journal.recent(100)))


@asynccontextmanager
async def desk(folder: Path, clock: Clock | None = None) -> AsyncIterator[Desk]:
    """With the captioning running; on a clock that stands still unless another is given."""
    clock, counters = clock or FakeClock(), Counters()
    journal = await Journal.open(folder / "data", clock=clock, counters=counters)
    made = Desk(folder, journal, clock, counters)
    try:
        yield made
    finally:
        await made.close()
        await journal.close()
