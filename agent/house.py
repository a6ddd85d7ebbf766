"""The cameras and the agent as the home sees them, and what the home may ask of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection

from agent.camera import Camera
from agent.clock import Clock
from agent.errors import CommandRefused
from agent.plugin import CameraInfo, HomeState
from agent.prompt import checked
from agent.queue import FrameQueue
from agent.schedule import Schedule, Timing
from agent.status import Counters
from agent.units import parse_duration

RATE_WINDOW = 60.0
PACE = 0.25
"""Seconds between two states at least: thirty cameras change something all the time."""
SHORTEST_INTERVAL = 1.0


class House:
    """Implements agent.plugin.Home."""

    def __init__(
        self,
        version: str,
        queue: FrameQueue,
        engine: Callable[[], str],
        clock: Clock,
        counters: Counters,
    ) -> None:
        self.cameras: dict[str, Camera] = {}
        self.schedule: Schedule | None = None
        self.captioners: Collection[str] = ()
        """Those of the config."""
        self.engines_wanted: Callable[[], None] = lambda: None
        """Called when a command has sent a camera to others of them."""
        self._version = version
        self._queue = queue
        self._engine = engine
        self._clock = clock
        self._counters = counters
        self._captions: deque[float] = deque(maxlen=1000)
        self._touched = asyncio.Event()

    @property
    def state(self) -> HomeState:
        return HomeState(
            version=self._version,
            engine=self._engine(),
            captions_per_minute=self._rate(),
            queued=len(self._queue),
            dropped=sum(
                self._counters.value("frames_dropped_total", reason="overtaken", camera=c) for c in self.cameras
            ),
            cameras={id_: _info(camera) for id_, camera in self.cameras.items()},
        )

    def touch(self) -> None:
        """Something has changed."""
        self._touched.set()
        self._touched = asyncio.Event()

    def captioned(self) -> None:
        """For the rate."""
        self._captions.append(self._clock.now().monotonic)

    def _rate(self) -> float:
        since = self._clock.now().monotonic - RATE_WINDOW
        while self._captions and self._captions[0] < since:
            self._captions.popleft()
        return float(len(self._captions))

    async def changes(self) -> AsyncIterator[HomeState]:
        while True:
            touched = self._touched
            yield self.state
            await touched.wait()
            await self._clock.sleep(PACE)

    async def command(self, camera: str, name: str, value: str) -> None:
        target = self.cameras.get(camera)
        if target is None:
            raise CommandRefused(f"There is no camera '{camera}'.")
        commands = {
            "look": self._look,
            "enabled": self._enable,
            "every": self._every,
            "prompt": self._prompt,
            "captioner": self._captioner,
        }
        if name not in commands:
            raise CommandRefused(f"A camera has no '{name}' to set; it has {', '.join(commands)}.")
        commands[name](target, value)
        self.touch()

    def _look(self, camera: Camera, _value: str) -> None:
        camera.ask("mqtt")

    def _enable(self, camera: Camera, value: str) -> None:
        if value not in ("ON", "OFF"):
            raise CommandRefused("enabled is ON or OFF.")
        camera.enabled = value == "ON"
        if not camera.enabled:
            self._queue.remove(camera.id, "switched_off")
        self.rearm(camera)

    def _every(self, camera: Camera, value: str) -> None:
        try:
            every = parse_duration(value)
        except ValueError:
            raise CommandRefused("every is a duration such as 30s, 5m or 1h.") from None
        if every < SHORTEST_INTERVAL:
            raise CommandRefused(f"every is at least {SHORTEST_INTERVAL:g}s.")
        camera.every = every
        self.rearm(camera)

    def _prompt(self, camera: Camera, value: str) -> None:
        camera.prompt = checked(value)

    def _captioner(self, camera: Camera, value: str) -> None:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
        if unknown := [name for name in names if name not in self.captioners]:
            known = ", ".join(self.captioners)
            raise CommandRefused(f"There is no captioner '{unknown[0][:60]}'. There is: {known}.")
        camera.captioner = names
        self._queue.move(camera.id, names[0])
        self.engines_wanted()

    def rearm(self, camera: Camera) -> None:
        """It looks at other times from now on."""
        if self.schedule is None:
            return  # not yet: it is made of the cameras as they are then
        cron = camera.settings.cron if camera.every is None else None
        self.schedule.change(camera.id, Timing(camera.every, cron) if camera.enabled else None)


def _info(camera: Camera) -> CameraInfo:
    return CameraInfo(
        id=camera.id,
        name=camera.settings.name,
        area=camera.settings.area,
        online=camera.online,
        state=camera.state,
        since=camera.since,
        problem=camera.problem,
        enabled=camera.enabled,
        every=camera.every,
        prompt=camera.prompt,
        captioner=camera.captioner,
        last=camera.last_good,
    )
