"""The cameras and the agent as the home sees them, and what the home may ask of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from typing import TypeVar

from agent import logs
from agent.camera import Camera
from agent.clock import Clock
from agent.controls import AgentControls, Controls
from agent.errors import CommandRefused
from agent.plugin import CameraInfo, HomeState
from agent.prompt import checked
from agent.queue import FrameQueue
from agent.schedule import Schedule, Timing
from agent.status import Counters
from agent.units import parse_duration
from agent.values import CameraState, Observation

RATE_WINDOW = 60.0
PACE = 0.25
"""Seconds between two states at least: thirty cameras change something all the time."""
TICK = 10.0
"""Seconds between two states at most: a rate falls and a look grows stale by time alone."""
SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 7 * 86400.0
C = TypeVar("C")

log = logging.getLogger("camscribe")


class House:
    """Implements agent.plugin.Home."""

    def __init__(
        self,
        version: str,
        queue: FrameQueue,
        engine: Callable[[], tuple[str, str]],
        controls: Controls,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """``engine``: the default captioner's state and model."""
        self.cameras: dict[str, Camera] = {}
        self.schedule: Schedule | None = None
        self.captioners: Collection[str] = ()
        """Those of the config."""
        self.engines_wanted: Callable[[], None] = lambda: None
        """Called when a command has sent a camera to others of them."""
        self.restart: Callable[[], Awaitable[None]] | None = None
        """Ends this process for a new one, where a service runs. Raises CommandRefused: that one would not start."""
        self._controls = controls
        self._started = AgentControls()
        self._agent = self._started
        self._version = version
        self._queue = queue
        self._engine = engine
        self._clock = clock
        self._counters = counters
        self._captions: deque[float] = deque(maxlen=1000)
        self._touched = asyncio.Event()

    async def begin(self) -> None:
        """Take over what was set by command before the last end."""
        await asyncio.to_thread(self._controls.read)
        level = logs.level()
        loud = level in logs.LEVELS  # a command that only looks once is quieter than any of them
        self._started = AgentControls.model_validate({"log_level": level} if loud else {})
        self._agent = self._controls.agent(self._started)
        if loud:
            logs.set_level(self._agent.log_level)
        if self._agent.paused:
            log.warning("All cameras are paused, as they were before the restart: nobody looks until that is ended.")

    def receive(self, camera: Camera) -> None:
        """A camera of the config, which goes on as it was set."""
        self._controls.restore(camera, self.captioners)
        camera.paused = self._agent.paused
        self.cameras[camera.id] = camera

    @property
    def state(self) -> HomeState:
        engine, model = self._engine()
        return HomeState(
            version=self._version,
            engine=engine,
            model=model,
            captions_per_minute=self._rate(),
            queued=len(self._queue),
            dropped=self._counters.value("frames_dropped_total", reason="overtaken"),
            cameras={id_: self._info(camera) for id_, camera in self.cameras.items()},
            captioners=tuple(self.captioners),
            paused=self._agent.paused,
            log_level=self._agent.log_level,
        )

    @property
    def paused(self) -> bool:
        return self._agent.paused

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
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await touched.wait()
            await self._clock.sleep(PACE)

    async def look(self, camera: str, prompt: str | None = None) -> Observation:
        return await self._camera(camera).ask("mqtt", prompt)

    async def command(self, camera: str | None, name: str, value: str) -> None:
        if camera is None:
            own = {"paused": self._pause, "log_level": self._log_level, "restart": self._restart}
            await _one_of(name, own, "camscribe itself")(value)
        else:
            target = self._camera(camera)
            commands = {
                "enabled": self._enable,
                "every": self._every,
                "prompt": self._prompt,
                "captioner": self._captioner,
            }
            _one_of(name, commands, "a camera")(target, value)
        self.touch()
        await self.save()

    async def save(self) -> None:
        """What was set by command outlives this run."""
        await self._controls.save(self.cameras.values(), self._agent, self._started)

    def _camera(self, id_: str) -> Camera:
        if id_ not in self.cameras:
            raise CommandRefused(f"There is no camera '{id_[:60]}'.")
        return self.cameras[id_]

    async def _pause(self, value: str) -> None:
        paused = _on(value, "paused")
        if paused != self._agent.paused:
            log.warning("All cameras are paused: nobody looks." if paused else "The cameras are no longer paused.")
        self._agent = self._agent.model_copy(update={"paused": paused})
        for camera in self.cameras.values():
            camera.paused = paused
            camera.expect()
            if paused:
                self._queue.remove(camera.id, "paused")
        if not paused and self.schedule is not None:
            self.schedule.again()

    async def _log_level(self, value: str) -> None:
        value = value.upper()
        if value not in logs.LEVELS:
            raise CommandRefused(f"log_level is one of {', '.join(logs.LEVELS)}.")
        self._agent = self._agent.model_copy(update={"log_level": value})
        logs.set_level(value)

    async def _restart(self, _value: str) -> None:
        if self.restart is None:
            raise CommandRefused("camscribe is just starting or stopping.")
        await self.restart()

    def _enable(self, camera: Camera, value: str) -> None:
        camera.enabled = _on(value, "enabled")
        if not camera.enabled:
            self._queue.remove(camera.id, "switched_off")
        camera.expect()
        self.rearm(camera)

    def _every(self, camera: Camera, value: str) -> None:
        try:
            every = parse_duration(f"{value}s" if value.isdecimal() else value)
        except ValueError:
            raise CommandRefused("every is a duration such as 30s, 5m or 1h.") from None
        if not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
            raise CommandRefused(f"every is at least {SHORTEST_INTERVAL:g}s and at most 7d.")
        camera.every = every
        camera.expect()
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
        if self.schedule is not None:  # else not yet: it is made of the cameras as they are then
            self.schedule.change(camera.id, timing(camera) if camera.enabled else None)

    def _info(self, camera: Camera) -> CameraInfo:
        stale, last = camera.stale, camera.last_good
        problem = camera.problem or (camera.failing.message if camera.failing else None)
        if stale and last and not problem:
            problem = f"No caption since {last.finished_at.astimezone():%Y-%m-%d %H:%M}; others have their turn first."
        return CameraInfo(
            id=camera.id,
            name=camera.settings.name,
            area=camera.settings.area,
            online=camera.online and not stale and camera.state is not CameraState.PARKED,
            state=camera.state,
            since=camera.since,
            problem=problem,
            enabled=camera.enabled,
            every=camera.every,
            prompt=camera.prompt,
            captioner=camera.captioner,
            last=last,
            questions=camera.settings.questions,
            fresh_for=camera.fresh_for,
            failing=camera.failing,
            failures=camera.failures,
            configured=camera.settings.captioner,
        )


def timing(camera: Camera) -> Timing:
    """When it looks by itself."""
    return Timing(camera.every, camera.settings.cron if camera.every is None else None)


def _one_of(name: str, commands: dict[str, C], whose: str) -> C:
    if name not in commands:
        raise CommandRefused(f"There is no '{name[:60]}' to set of {whose}; there is: {', '.join(commands)}.")
    return commands[name]


def _on(value: str, name: str) -> bool:
    if value.upper() not in ("ON", "OFF"):
        raise CommandRefused(f"{name} is ON or OFF.")
    return value.upper() == "ON"
