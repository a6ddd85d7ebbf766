"""A captioner with all that the service has around it: camera, queue, both pictures, journal. And its bare engine."""

from __future__ import annotations

import asyncio
import http.client
import logging
import re
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from agent import picture
from agent.bench.results import Engine, Look, Memory
from agent.bench.wire import BareClient, Reply
from agent.camera import Camera
from agent.camera import Look as CameraLook
from agent.captioning import Captioning
from agent.clock import SystemClock
from agent.config import CameraSettings, PluginChoice
from agent.journal import Journal
from agent.observing import Observer
from agent.plugin import Captioner, Context, PluginConfig, Source, Wire
from agent.queue import FrameQueue, Waiting
from agent.status import Counters
from agent.values import CaptionRequest, Frame, Moment, Pixels

CAMERA = "bench"
_THREADS = re.compile(r"\bn_threads *= *(\d+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about every picture."""

    prompt: str = "Describe the image."
    max_tokens: int = 60
    timeout: float = 300.0


class _Given(Source[PluginConfig]):
    """The camera: its next frame is the picture it was given."""

    pixels: Pixels

    async def take(self, timeout: float) -> Frame:  # noqa: ARG002  it is there already
        return Frame(CAMERA, self.pixels, Moment.now(), "given")


class Pipeline:
    """One captioner, looked through and asked directly."""

    def __init__(self, captioner: Captioner[Any], camera: Camera, bare: ThreadPoolExecutor, timeout: float) -> None:
        self.captioner = captioner
        self.camera = camera
        self._bare = bare
        self._client = BareClient(timeout)
        self._resident = 0
        self._agent_resident = 0

    async def look(self, number: int, pixels: Pixels) -> Look:
        """As the service looks: from the frame to the journal."""
        source = self.camera.source
        assert isinstance(source, _Given)
        source.pixels = pixels
        began = time.perf_counter()
        observation = await self.camera.ask("manual")
        ms = (time.perf_counter() - began) * 1000
        await self._in_thread(self._weigh)
        error = observation.error
        return Look(
            number=number,
            way="agent",
            ms=ms,
            caption=observation.caption,
            failure=error.kind.value if error else None,
            message=error.message if error else None,
            tokens=observation.tokens or 0,
            latency_ms=observation.latency_ms,
        )

    def request(self, pixels: Pixels) -> CaptionRequest:
        """What the captioner is asked about the picture. Blocks."""
        view = self.captioner.view(self.camera.settings.detail)
        return self._about(picture.sent(picture.prepare(pixels), view).jpeg)

    def wire(self, pixels: Pixels) -> Wire | None:
        """The same as it goes to the engine. Blocks."""
        return self.captioner.wire(self.request(pixels))

    def as_it_is(self, jpeg: bytes) -> Wire | None:
        """With a picture that is in no way made ready."""
        return self.captioner.wire(self._about(jpeg))

    def _about(self, jpeg: bytes) -> CaptionRequest:
        settings = self.camera.settings
        return CaptionRequest(CAMERA, jpeg, settings.prompt, settings.max_tokens, settings.timeout)

    async def bare(self, number: int, wire: Wire) -> Look:
        """Without camscribe: only the engine's own time."""
        try:
            reply = await self._in_thread(self._client.post, wire)
        except (OSError, http.client.HTTPException) as error:
            return Look(number=number, way="bare", ms=0, failure="unreachable", message=str(error))
        await self._in_thread(self._weigh)
        caption = reply.at("choices", 0, "message", "content")
        if reply.status != http.client.OK or not isinstance(caption, str):
            told = reply.body[:300].decode("utf-8", "replace")
            return Look(number=number, way="bare", ms=reply.ms, failure=f"http {reply.status}", message=told)
        tokens = reply.at("usage", "completion_tokens")
        return Look(
            number=number, way="bare", ms=reply.ms, caption=caption, tokens=tokens if isinstance(tokens, int) else 0
        )

    async def engine(self, pixels: Pixels) -> Engine:
        """Who answers, as far as it tells: in its own words, by llama-server's /props, and in its log."""
        about = await self.captioner.check()
        wire = await asyncio.to_thread(self.wire, pixels)
        build = await self._build(wire) if wire else None
        threads = next((int(found[1]) for line in self.captioner.said if (found := _THREADS.search(line))), None)
        return Engine(about=about, build=build, threads=threads)

    async def _build(self, wire: Wire) -> str | None:
        try:
            reply: Reply = await self._in_thread(self._client.get, wire, "/props")
        except (OSError, http.client.HTTPException):
            return None
        told = reply.at("build_info")
        return told[:100] if isinstance(told, str) and "unknown" not in told else None

    @property
    def memory(self) -> Memory:
        return Memory(engine=self._resident or None, agent=self._agent_resident)

    def close(self) -> None:
        self._client.close()

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._bare, work, *arguments)

    def _weigh(self) -> None:
        """Between looks: what is resident now."""
        self._resident = max(self._resident, sum(_resident(pid) for pid in self.captioner.processes))
        self._agent_resident = max(self._agent_resident, psutil.Process().memory_info().rss)


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@asynccontextmanager
async def pipeline(name: str, captioner: Captioner[Any], asked: Asked, folder: Path) -> AsyncIterator[Pipeline]:
    """The captioner's engine and the lookers, running; ended in reverse. The journal goes into ``folder``.

    Raises Misconfigured, in a group, where the captioner can't work as configured.
    """
    clock, counters = SystemClock(), Counters()
    queue = FrameQueue(counters)
    journal = await Journal.open(folder / name, clock=clock, counters=counters)
    pictures = ThreadPoolExecutor(2, thread_name_prefix="pictures")
    bare = ThreadPoolExecutor(1, thread_name_prefix="bare")
    observer = Observer(journal, clock, counters, finished=lambda _observation: None)
    camera = _camera(name, asked, queue, observer, clock, counters)
    captioning = Captioning(name, captioner, queue, observer, clock, counters, pictures)
    made = Pipeline(captioner, camera, bare, asked.timeout)
    try:
        async with asyncio.TaskGroup() as group:
            engine = group.create_task(captioner.run())
            lookers = [group.create_task(camera.run()), group.create_task(captioning.run())]
            try:
                yield made
            finally:
                for task in (*lookers, engine):
                    task.cancel()
    finally:
        made.close()
        await journal.close()
        pictures.shutdown(wait=False, cancel_futures=True)
        bare.shutdown(wait=False, cancel_futures=True)


def _camera(
    name: str, asked: Asked, queue: FrameQueue, observer: Observer, clock: SystemClock, counters: Counters
) -> Camera:
    context = Context(CAMERA, logging.getLogger("camscribe.bench"), Path(), Path())
    source = _Given(PluginConfig(), context)
    settings = CameraSettings(
        id=CAMERA,
        name=CAMERA,
        source=PluginChoice("given", _Given, source.config),
        prompt=asked.prompt,
        timeout=asked.timeout,
        max_age=asked.timeout,
        max_tokens=asked.max_tokens,
        captioner=(name,),
    )

    def hand_over(camera: Camera, look: CameraLook, frame: Frame) -> None:
        queue.put(Waiting(camera, look, frame, clock.now().monotonic, name))

    return Camera(
        settings,
        source,
        hand_over=hand_over,
        failed=observer.failed,
        clock=clock,
        counters=counters,
        changed=lambda: None,
    )
