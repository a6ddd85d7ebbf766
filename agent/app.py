"""Builds everything from a Config, starts it in order, stops it in reverse. The only one who knows everybody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

from agent import control
from agent.camera import Camera, Look
from agent.captioning import Captioning
from agent.clock import Clock, SystemClock
from agent.config import DEFAULT, CameraSettings, Config
from agent.delivery import Courier
from agent.errors import CaptionUnavailable, CommandRefused, Failure
from agent.house import House
from agent.journal import Journal
from agent.journal.retention import Retention
from agent.observing import Observer
from agent.plugin import Captioner, Context, Source
from agent.queue import FrameQueue, Waiting
from agent.runtime import control_socket, remove_runtime_folder, runtime_folder
from agent.schedule import Schedule, Timing
from agent.status import Counters
from agent.supervise import forever
from agent.values import CameraState, Frame, Observation

GOODBYE = 4.0
"""Seconds the outputs have to say goodbye. With the engine's own stop beside it, SIGTERM ends within 10."""
ENGINE_GOODBYE = 8.0
"""Seconds after which a part that does not end is left behind; an engine takes TERM, 5 s, KILL."""
ASKED_WITHIN = 300.0

E = TypeVar("E", bound=BaseException)

log = logging.getLogger("camscribe")


class CamerasStuck(Exception):
    """Most cameras hang in native code: only a new process helps, and the supervisor starts one."""


class App:
    """The service. ``run`` is the whole of it; ``look`` is one look without the rest."""

    def __init__(self, config: Config, clock: Clock | None = None, stopping: Callable[[], None] = lambda: None) -> None:
        """``stopping`` is called when the end begins, whatever brings it about."""
        self._config = config
        self._stopping = stopping
        self._clock = clock or SystemClock()
        self._counters = Counters()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="pictures")
        self._captioners: dict[str, Captioner[Any]] = {}
        self._queues = {name: FrameQueue(self._counters) for name in config.captioners}
        self._talkers: list[Courier] = []
        self._leaving: list[asyncio.Task[None]] = []
        self._house = House(version("camscribe"), self._queues, self._engine_state, self._clock, self._counters)

    async def run(self, stop: asyncio.Event) -> None:
        """Everything, until ``stop``. Raises Misconfigured, CamerasStuck, in a group."""
        config = self._config
        async with self._core() as (journal, group):
            couriers = self._talkers = self._couriers(journal)
            speaking = [self._start(group, f"output {courier.name}", courier.run) for courier in couriers]
            schedule = self._schedule()
            retention = Retention(journal, config.keep, self._clock, self._counters)
            minding = [
                self._start(group, "retention", retention.run),
                self._start(group, "schedule", schedule.watch),
                group.create_task(self._give_up_when_stuck()),
            ]
            try:
                schedule.start()
                async with control.serve(control_socket(config.data_dir), self._answer):
                    log.info("camscribe %s watches %s", version("camscribe"), _listed(list(config.cameras)))
                    await stop.wait()
                log.info("stopping")
            finally:
                self._stopping()
                schedule.stop()
                await _end(minding)
                for courier in couriers:
                    courier.stop()
                self._leaving += speaking

    async def look(self, camera: str, prompt: str | None) -> Observation:
        """One look where no service runs; journaled, so that the outputs hear of it when the service next starts."""
        async with self._core(only=camera):
            first = self._captioners[self._config.cameras[camera].captioner[0]]
            with suppress(CaptionUnavailable):  # the look itself says why
                await first.ready(ASKED_WITHIN)
            return await self._house.cameras[camera].ask("manual", prompt)

    @asynccontextmanager
    async def _core(self, only: str | None = None) -> AsyncIterator[tuple[Journal, asyncio.TaskGroup]]:
        """Journal, captioners and cameras, running; stopped in reverse when the block ends."""
        config = self._config
        wanted = {only: config.cameras[only]} if only else config.cameras
        async with AsyncExitStack() as last:
            last.callback(self._pool.shutdown, wait=False, cancel_futures=True)
            journal = await Journal.open(config.data_dir, clock=self._clock, counters=self._counters)
            last.push_async_callback(journal.close)
            # Under the journal's lock: the folder is the data_dir's, and may have been another run's until now.
            self._runtime = await asyncio.to_thread(runtime_folder, config.data_dir)
            last.push_async_callback(asyncio.to_thread, remove_runtime_folder, self._runtime)
            observer = Observer(journal, self._clock, self._counters, told=self._told)
            for settings in wanted.values():
                self._house.cameras[settings.id] = self._camera(settings, observer)
            for camera in self._house.cameras.values():
                camera.last_good = await journal.last_good(camera.id)
            async with asyncio.TaskGroup() as group:
                engines = self._start_captioners(group, wanted)
                lookers = self._start_lookers(group, observer)
                try:
                    yield journal, group
                finally:
                    await _end(lookers)
                    await self._answer_the_rest(observer)
                    # Engines and outputs stop beside each other, so that the slowest alone sets the time.
                    for engine in engines:
                        engine.cancel()
                    if self._leaving:
                        await asyncio.wait(self._leaving, timeout=GOODBYE)
                    await _end([*self._leaving, *engines])

    def _start(self, group: asyncio.TaskGroup, part: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return group.create_task(forever(part, work, self._clock, self._counters), name=part)

    def _start_captioners(
        self, group: asyncio.TaskGroup, cameras: Mapping[str, CameraSettings]
    ) -> list[asyncio.Task[None]]:
        used = dict.fromkeys(name for settings in cameras.values() for name in settings.captioner)
        for name in used:
            choice = self._config.captioners[name].plugin
            self._captioners[name] = choice.type(choice.options, self._context(name, f"captioner.{name}"))
        return [self._start(group, f"captioner {name}", captioner.run) for name, captioner in self._captioners.items()]

    def _start_lookers(self, group: asyncio.TaskGroup, observer: Observer) -> list[asyncio.Task[None]]:
        tasks = []
        for camera in self._house.cameras.values():
            tasks.append(self._start(group, f"source of {camera.id}", camera.source.run))
            tasks.append(self._start(group, f"camera {camera.id}", camera.run))
        for name, captioner in self._captioners.items():
            captioning = Captioning(
                self._queues[name], self._captioners, observer, self._clock, self._counters, self._pool
            )
            tasks += [
                self._start(group, f"captions of {name}", partial(captioning.run, name)) for _ in range(captioner.slots)
            ]
        return tasks

    def _camera(self, settings: CameraSettings, observer: Observer) -> Camera:
        def report(state: CameraState, detail: str) -> None:
            self._house.cameras[settings.id].report(state, detail)

        def appeared() -> None:
            self._house.cameras[settings.id].due("change")

        context = self._context(
            settings.id, f"source.{settings.id}", report=report, appeared=appeared, max_age=settings.max_age
        )
        source: Source[Any] = settings.source.type(settings.source.options, context)
        return Camera(
            settings,
            source,
            hand_over=self._hand_over,
            failed=observer.failed,
            clock=self._clock,
            counters=self._counters,
            changed=self._house.touch,
        )

    def _hand_over(self, camera: Camera, look: Look, frame: Frame) -> None:
        queue = self._queues[camera.settings.captioner[0]]
        queue.put(Waiting(camera, look, frame, self._clock.now().monotonic))

    def _told(self, observation: Observation) -> None:
        if observation.error is None:
            self._house.captioned()

    def _couriers(self, journal: Journal) -> list[Courier]:
        return [
            Courier(
                settings.plugin.type(settings.plugin.options, self._context(name, f"output.{name}", home=self._house)),
                name,
                journal,
                backlog=settings.backlog,
                expire=settings.expire,
                timeout=settings.timeout,
                cameras=settings.cameras,
                clock=self._clock,
                counters=self._counters,
                log=logging.getLogger(f"camscribe.output.{name}"),
            )
            for name, settings in self._config.outputs.items()
        ]

    def _schedule(self) -> Schedule:
        cameras = self._house.cameras
        timings = {id_: Timing(c.settings.every, c.settings.cron) for id_, c in cameras.items() if c.enabled}
        schedule = Schedule(timings, lambda camera: cameras[camera].due(), clock=self._clock)
        self._house.schedule = schedule
        return schedule

    def _context(self, name: str, logger: str, **more: Any) -> Context:
        log_ = logging.getLogger(f"camscribe.{logger}")
        return Context(name=name, log=log_, data_dir=self._config.data_dir, runtime_dir=self._runtime, **more)

    def _engine_state(self) -> str:
        captioner = self._captioners.get(DEFAULT) or next(iter(self._captioners.values()), None)
        if captioner is None:
            return "none"
        try:
            return captioner.state
        except Exception as error:  # noqa: BLE001 (a captioner's bug in telling its state is no reason to stop)
            return f"unknown ({type(error).__name__})"

    async def _answer_the_rest(self, observer: Observer) -> None:
        for camera in self._house.cameras.values():
            for look in camera.pending():
                await observer.failed(camera, look, Failure.STOPPED, "camscribe was stopped before this look was done.")

    async def _give_up_when_stuck(self) -> None:
        cameras = self._house.cameras.values()
        async for _ in self._house.changes():
            parked = sum(camera.state is CameraState.PARKED for camera in cameras)
            if parked * 2 > len(cameras):
                raise CamerasStuck(f"{parked} of {len(cameras)} cameras hang in their driver; a new process helps.")

    async def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("do") == "look":
            camera = self._house.cameras.get(str(request.get("camera")))
            if camera is None:
                raise CommandRefused(f"There is no camera '{request.get('camera')}' in the running service.")
            try:
                observation = await asyncio.wait_for(camera.ask("manual", request.get("prompt")), ASKED_WITHIN)
            except TimeoutError:
                raise CommandRefused(
                    f"The look was not done within {ASKED_WITHIN:g} s; others are before it."
                ) from None
            return {"observation": observation.model_dump(mode="json")}
        if request.get("do") == "status":
            return self._status()
        raise CommandRefused("The service can look or tell its status.")

    def _status(self) -> dict[str, Any]:
        state = self._house.state
        cameras = {
            camera.id: {
                "state": camera.state.value,
                "since": camera.since.wall.isoformat(timespec="seconds"),
                "online": camera.online,
                "problem": camera.problem,
            }
            for camera in state.cameras.values()
        }
        return {
            "version": state.version,
            "engine": state.engine,
            "cameras": cameras,
            "outputs": {courier.name: courier.problem for courier in self._talkers},
            "counters": self._counters.snapshot(),
        }


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=ENGINE_GOODBYE)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} cameras"


def first_of(error: BaseException, kind: type[E]) -> E | None:
    """The first exception of that kind in what was raised, through however many TaskGroups."""
    if isinstance(error, kind):
        return error
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        if found := first_of(inner, kind):
            return found
    return None
