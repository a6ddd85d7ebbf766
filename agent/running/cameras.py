"""The cameras that run. A source is started anew only where it is another; everything else changes under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.camera import Camera, Look
from agent.config import CameraSettings
from agent.errors import Failure, JournalUnavailable
from agent.house import House
from agent.journal import Journal
from agent.observing import Observer
from agent.plugin import Source
from agent.queue import FrameQueue, Waiting
from agent.running.staff import Staff, end
from agent.values import CameraState, Frame


@dataclass(slots=True)
class _Running:
    camera: Camera
    settings: CameraSettings
    """Of its source; a camera whose source is being changed knows newer ones already."""
    looking: asyncio.Task[None]
    source: asyncio.Task[None]


class Cameras:
    """``apply`` makes what runs equal to what is wanted."""

    def __init__(self, staff: Staff, house: House, queue: FrameQueue, journal: Journal, observer: Observer) -> None:
        self._staff = staff
        self._house = house
        self._queue = queue
        self._journal = journal
        self._observer = observer
        self._running: dict[str, _Running] = {}
        self._gone: list[Camera] = []
        """Out of the config, and somebody still waits for a look of theirs."""

    def configure(self, wanted: Mapping[str, CameraSettings]) -> None:
        """What takes no time: the settings of those that stay. Their frames are captioned by the new ones from here."""
        for id_, running in self._running.items():
            if id_ in wanted:
                self._configure(running.camera, wanted[id_])

    async def apply(self, wanted: Mapping[str, CameraSettings]) -> None:
        """What does: connections, and those that come and go."""
        await asyncio.gather(
            *(self._remove(id_) for id_ in list(self._running) if id_ not in wanted),
            *(self._change_source(id_, wanted[id_]) for id_ in list(self._running) if id_ in wanted),
            *(self._add(settings) for id_, settings in wanted.items() if id_ not in self._running),
        )
        self._house.cameras = {id_: self._running[id_].camera for id_ in wanted}  # in the config's order
        self._house.touch()

    def pending(self) -> list[tuple[Camera, Look]]:
        """The asked-for looks that have no answer yet, with those of cameras that have gone."""
        cameras = [*(running.camera for running in self._running.values()), *self._gone]
        return [(camera, look) for camera in cameras for look in camera.pending()]

    def stop(self) -> list[asyncio.Task[None]]:
        """Their tasks, told to end."""
        tasks = [task for running in self._running.values() for task in (running.looking, running.source)]
        for task in tasks:
            task.cancel()
        return tasks

    def _configure(self, camera: Camera, settings: CameraSettings) -> None:
        captioner, times = camera.captioner, _times(camera)
        camera.configure(settings)
        # One that a command has chosen may be gone from the config.
        if not set(camera.captioner) <= set(self._house.captioners):
            camera.captioner = settings.captioner
        if camera.captioner != captioner:
            self._queue.move(camera.id, camera.captioner[0])
        if not camera.enabled:
            self._queue.remove(camera.id, "switched_off")
        if _times(camera) != times:
            self._house.rearm(camera)

    async def _add(self, settings: CameraSettings) -> None:
        source = self._source(settings)
        camera = Camera(
            settings,
            source,
            hand_over=self._hand_over,
            failed=self._observer.failed,
            clock=self._staff.clock,
            counters=self._staff.counters,
            changed=self._house.touch,
        )
        with suppress(JournalUnavailable):  # the journal said so; the camera can look without
            if last := await self._journal.last_good(camera.id):
                camera.remember(last)
        self._house.receive(camera)
        running = self._staff.start(f"source of {camera.id}", source.run)
        looking = self._staff.start(f"camera {camera.id}", camera.run)
        self._running[camera.id] = _Running(camera, settings, looking, running)
        self._house.rearm(camera)

    async def _change_source(self, id_: str, settings: CameraSettings) -> None:
        running = self._running[id_]
        if (running.settings.source, running.settings.max_age) == (settings.source, settings.max_age):
            return

        async def exchange(_old: Source[Any]) -> Source[Any]:
            await end([running.source])
            source = self._source(settings)
            running.source = self._staff.start(f"source of {id_}", source.run)
            running.settings = settings
            return source

        await running.camera.change_source(exchange)
        self._observer.forget(id_)

    async def _remove(self, id_: str) -> None:
        """What is with a captioner already is still captioned; what is not is answered now."""
        running = self._running.pop(id_)
        camera = running.camera
        del self._house.cameras[id_]
        self._gone = [*(gone for gone in self._gone if gone.pending()), camera]
        looks: list[Look] = [*camera.retire(), *self._queue.remove_all(id_, "removed")]
        self._house.rearm(camera)
        await end([running.looking, running.source])
        for look in looks:
            gone = f"The camera '{id_}' was taken out of the config before this look was done."
            await self._observer.failed(camera, look, Failure.STOPPED, gone)
        self._observer.forget(id_)

    def _source(self, settings: CameraSettings) -> Source[Any]:
        """What a source reports counts for as long as it is its camera's."""

        def heard(tell: Callable[..., None], *said: Any) -> None:
            camera = self._house.cameras.get(settings.id)
            if camera is not None and camera.source is source:
                tell(camera, *said)

        def report(state: CameraState, detail: str) -> None:
            heard(Camera.report, state, detail)

        context = self._staff.context(
            settings.id,
            f"source.{settings.id}",
            report=report,
            appeared=partial(heard, Camera.due, "change"),
            max_age=settings.max_age,
        )
        source: Source[Any] = settings.source.type(settings.source.options, context)
        return source

    def _hand_over(self, camera: Camera, look: Look, frame: Frame) -> None:
        now = self._staff.clock.now().monotonic
        self._queue.put(Waiting(camera, look, frame, now, camera.captioner[0]))


def _times(camera: Camera) -> tuple[object, ...]:
    return camera.enabled, camera.every, camera.settings.cron
