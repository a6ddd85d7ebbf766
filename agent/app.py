"""Builds everything from a Config, starts it in order, stops it in reverse. The only one who knows everybody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from agent import control, logs
from agent.captioning import Captioning
from agent.clock import Clock, SystemClock
from agent.config import DEFAULT, CaptionerSettings, Config
from agent.config.grammar import WebSettings
from agent.controls import Controls
from agent.errors import CaptionUnavailable, CommandRefused, Failure
from agent.figures import Figures, make_sampler
from agent.house import House, timing
from agent.journal import Journal
from agent.journal.retention import Retention
from agent.observing import Observer
from agent.plugin import Captioner
from agent.queue import FrameQueue
from agent.redact import Redactor
from agent.reload import Reload
from agent.running.cameras import Cameras
from agent.running.engines import Engines
from agent.running.outputs import GOODBYE, Outputs
from agent.running.staff import Staff, end
from agent.runtime import control_socket, remove_runtime_folder, runtime_folder
from agent.schedule import Schedule
from agent.status import Counters
from agent.values import CameraState, Detail, Observation
from agent.visitor import Visitor

if TYPE_CHECKING:
    from agent.web.running import Web

ASKED_WITHIN = 300.0
SAID_IN_STATUS = 200
"""Lines of an engine's output, of this many characters:"""
LONGEST_SAID = 500

E = TypeVar("E", bound=BaseException)

log = logging.getLogger("camscribe")


class CamerasStuck(Exception):
    """Most cameras hang in native code: only a new process helps, and the supervisor starts one."""


class App:
    """The service. ``run`` is the whole of it; ``look`` is one look without the rest."""

    def __init__(
        self, config: Config, clock: Clock | None = None, stopping: Callable[[bool], None] = lambda _again: None
    ) -> None:
        """``stopping`` is called when the end begins, whatever brings it about; with True, to start again after it."""
        self._config = config
        self._stopping = stopping
        self._clock = clock or SystemClock()
        self._counters = Counters()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="pictures")
        self._queue = FrameQueue(self._counters)
        self._version = version("camscribe")
        controls = Controls(config.data_dir, keep=config.controls == "keep")
        self._house = House(self._version, self._queue, self._engine, controls, self._clock, self._counters)
        self._house.captioners = config.captioners
        self._reload = Reload(config, self._apply, self._counters)
        self._pages: Web | None = None
        self._figures = Figures(self._clock, self._counters)
        self._again = False

    def reload(self) -> None:
        """Take the config file over, changed or not."""
        self._reload.read()

    async def run(self, stop: asyncio.Event) -> bool:
        """Everything, until ``stop``, or until somebody wants camscribe to start again: then True.

        Raises Misconfigured, CamerasStuck, in a group.
        """
        config = self._config
        async with self._core(config) as staff:
            await self._outputs.apply(config.outputs)
            schedule = self._house.schedule = self._schedule()
            if config.web:
                self._pages = await self._web(config.web)
            sampled = make_sampler(lambda: len(self._queue), self._engines, self._outputs)
            minding = [
                staff.start("schedule", schedule.watch),
                staff.start("reload", self._reload.run),
                staff.start("visitor", self._visitor.watch),
                staff.start("figures", partial(self._figures.watch, sampled)),
                staff.group.create_task(self._give_up_when_stuck()),
                *([staff.start("web", self._pages.run)] if self._pages else []),
            ]
            self._retaining = staff.start("retention", self._retention.run)
            try:
                schedule.start()
                self._house.engines_wanted = self._reload.again
                self._house.restart = partial(self._restart, stop)
                self._engines.in_service = True
                async with control.serve(control_socket(config.data_dir), self._answer):
                    log.info("camscribe %s watches %s", self._version, _listed(list(config.cameras)))
                    await stop.wait()
                log.info("stopping")
            finally:
                self._house.restart = None
                self._stopping(self._again)
                schedule.stop()
                self._outputs.stop()
                await end([*minding, self._retaining])
        return self._again

    async def look(self, camera: str, prompt: str | None) -> Observation:
        """One look where no service runs; journaled, so that the outputs hear of it when the service next starts."""
        only = replace(self._config, cameras={camera: self._config.cameras[camera]})
        async with self._core(only):
            engines = dict(self._engines)
            with suppress(CaptionUnavailable):  # the look itself says why
                await engines[only.cameras[camera].captioner[0]].ready(ASKED_WITHIN)
            return await self._house.cameras[camera].ask("manual", prompt)

    @asynccontextmanager
    async def _core(self, config: Config) -> AsyncIterator[Staff]:
        """Journal, captioners and cameras, running; stopped in reverse when the block ends."""
        async with AsyncExitStack() as last:
            last.callback(self._pool.shutdown, wait=False, cancel_futures=True)
            journal = self._journal = await Journal.open(config.data_dir, clock=self._clock, counters=self._counters)
            last.push_async_callback(journal.close)
            # Under the journal's lock: the folder is the data_dir's, and may have been another run's until now.
            runtime = await asyncio.to_thread(runtime_folder, config.data_dir)
            last.push_async_callback(asyncio.to_thread, remove_runtime_folder, runtime)
            self._observer = Observer(journal, self._clock, self._counters, finished=self._finished)
            async with asyncio.TaskGroup() as group:
                self._staff = staff = Staff(group, self._clock, self._counters, config.data_dir, runtime)
                self._config = config
                self._engines = Engines(staff, self._captioning, self._details)
                self._visitor = self._make_visitor()
                last.callback(self._visitor.close)
                self._cameras = Cameras(staff, self._house, self._queue, journal, self._observer)
                self._outputs = Outputs(staff, self._house, journal)
                self._retention = Retention(journal, config.keep, self._clock, self._counters)
                await self._house.begin()
                try:
                    await self._cameras.apply(config.cameras)
                    await self._engines.apply(self._wanted_engines(config))
                    yield staff
                finally:
                    await end([*self._cameras.stop(), *self._engines.stop_asking()])
                    await self._answer_the_rest()
                    # Engines and outputs stop beside each other, so that the slowest alone sets the time.
                    engines, outputs = self._engines.stop(), self._outputs.stop()
                    if outputs:
                        await asyncio.wait(outputs, timeout=GOODBYE)
                    await end([*outputs, *engines])

    async def _apply(self, config: Config) -> None:
        """Make what runs equal to what the config says, from whatever it said before."""
        keep, self._config = self._config.keep, config
        logs.hide(config.secrets)
        self._house.captioners = config.captioners
        self._cameras.configure(config.cameras)
        if config.keep != keep:
            await end([self._retaining])
            self._retention.keep = config.keep
            self._retaining = self._staff.start("retention", self._retention.run)
        parts = (
            self._engines.apply(self._wanted_engines(config)),
            self._cameras.apply(config.cameras),
            self._outputs.apply(config.outputs),
        )
        failed = [each for each in await asyncio.gather(*parts, return_exceptions=True) if each is not None]
        await self._house.save()
        if failed:
            raise failed[0]

    def _wanted_engines(self, config: Config) -> dict[str, CaptionerSettings]:
        """Those that cameras ask, by the config or by command, or visitors: a model nobody asks takes no memory."""
        running = self._house.cameras
        asked = [running[id_].captioner if id_ in running else new.captioner for id_, new in config.cameras.items()]
        return {name: config.captioners[name] for names in (*asked, self._visitor.wanted()) for name in names}

    def _details(self, captioner: str) -> set[Detail]:
        return {camera.detail for camera in self._config.cameras.values() if captioner in camera.captioner}

    def _captioning(self, name: str, captioner: Captioner[Any]) -> Captioning:
        return Captioning(name, captioner, self._queue, self._observer, self._clock, self._counters, self._pool)

    def _make_visitor(self) -> Visitor:
        def captioners() -> Mapping[str, CaptionerSettings]:
            return self._config.captioners

        return Visitor(self._house, self._queue, self._observer, self._engines, captioners, self._clock, self._counters)

    def _finished(self, observation: Observation) -> None:
        self._figures.looked(observation)
        if observation.error is None:
            self._house.captioned()

    def _schedule(self) -> Schedule:
        house = self._house
        timings = {id_: timing(camera) for id_, camera in house.cameras.items() if camera.enabled}
        return Schedule(timings, lambda camera: house.cameras[camera].due(), clock=self._clock)

    def _engine(self) -> tuple[str, str]:
        """The state and the model of the default captioner; where no camera asks that, of the first that is asked."""
        running = dict(self._engines)
        captioner = running.get(DEFAULT) or next(iter(running.values()), None)
        return (_state(captioner), captioner.model) if captioner else ("none", "")

    async def _web(self, settings: WebSettings) -> Web:
        """Raises Misconfigured."""
        # Only a service serves pages, and to import them takes a while.
        running = await asyncio.to_thread(import_module, "agent.web.running")
        services = running.Services(
            config=lambda: self._config,
            house=self._house,
            journal=self._journal,
            counters=self._counters,
            clock=self._clock,
            figures=self._figures,
            visitor=self._visitor,
            status=self._status,
        )
        pages: Web = await running.Web.open(settings, self._config.data_dir, services)
        return pages

    async def _restart(self, stop: asyncio.Event) -> None:
        await self._reload.check()
        log.info("camscribe starts again, as it was told to")
        self._again = True
        stop.set()

    async def _answer_the_rest(self) -> None:
        for camera, look in (*self._cameras.pending(), *self._visitor.pending()):
            await self._observer.failed(
                camera, look, Failure.STOPPED, "camscribe was stopped before this look was done."
            )

    async def _give_up_when_stuck(self) -> None:
        async for _ in self._house.changes():
            cameras = self._house.cameras.values()
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
        if request.get("do") == "reload":
            return {"told": await self._reload.now()}
        raise CommandRefused("The service can look, reload its config or tell its status.")

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
            "captioners": {name: self._about(captioner) for name, captioner in self._engines},
            "cameras": cameras,
            "outputs": self._outputs.problems,
            "web": self._pages.told if self._pages else [],
            "queued": state.queued,
            "counters": self._counters.snapshot(),
        }

    def _about(self, captioner: Captioner[Any]) -> dict[str, Any]:
        redact = Redactor(self._config.secrets).redact
        said = [redact(line[:LONGEST_SAID]) for line in list(captioner.said)[-SAID_IN_STATUS:]]
        return {"state": _state(captioner), "model": captioner.model, "said": said}


def _state(captioner: Captioner[Any]) -> str:
    try:
        return captioner.state
    except Exception as error:  # noqa: BLE001 (a captioner's bug in telling its state is no reason to stop)
        return f"unknown ({type(error).__name__})"


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
