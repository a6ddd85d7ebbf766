"""When each camera looks by itself: every so often, at cron times, or never.

APScheduler trusts the wall clock, which jumps (NTP after a power cut, a laptop that slept). So the triggers here never
work through the times that a jump went past, and ``watch`` sets every look anew after one.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import tzlocal
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from agent.clock import Clock, SystemClock
from agent.config.cron import trigger_fields

FIRST_LOOK_WITHIN = 10.0
JITTER_SHARE = 0.1
MOST_JITTER = 5.0
SMALLEST_JUMP = 5.0
WATCH_EVERY = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """``every`` in seconds, or ``cron`` with five fields in local time; neither: never by itself."""

    every: float | None = None
    cron: str | None = None


class Schedule:
    """Calls ``due(camera)``, on the event loop, whenever a camera should look; ``due`` only notes it."""

    def __init__(
        self,
        timings: Mapping[str, Timing | None],
        due: Callable[[str], None],
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        self._timings = dict(timings)
        self._due = due
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 (spreads looks, guards nothing)
        self._zone = zone
        self._scheduler: AsyncIOScheduler | None = None

    def start(self) -> None:
        """Needs the running event loop. Every camera with an interval has its first look within ten seconds."""
        if self._scheduler is not None:
            return
        # Each look is an INFO line to APScheduler; ten quiet minutes should give none.
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._zone = self._zone or local_zone()
        self._scheduler = AsyncIOScheduler(
            timezone=self._zone,
            # By default a look one second late (a busy machine, a sleeping laptop) would not happen at all.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler.start()
        self._arm_all()

    def stop(self) -> None:
        """From here on nothing is due any more."""
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.remove_all_jobs()
            scheduler.shutdown(wait=False)

    def change(self, camera: str, timing: Timing | None) -> None:
        """From now on this camera looks at these times; None: not at all."""
        self._timings[camera] = timing
        if self._scheduler is not None:
            self._arm(camera, first=1.0, phase=self._rng.random())

    def again(self) -> None:
        """Every camera with an interval has its next look within ten seconds, spread over them."""
        if self._scheduler is not None:
            self._arm_all()

    async def watch(self) -> None:
        """Set all looks anew when the wall clock has jumped. Never returns."""
        before = self._clock.now()
        while True:
            await self._clock.sleep(WATCH_EVERY)
            now = self._clock.now()
            jump = (now.wall - before.wall).total_seconds() - (now.monotonic - before.monotonic)
            before = now
            if abs(jump) > SMALLEST_JUMP and self._scheduler is not None:
                log.info("The system clock jumped by %+.0f s; every camera's next look is set anew.", jump)
                self._arm_all()

    def next_look(self, camera: str) -> datetime | None:
        """When this camera will look by itself."""
        job: Job | None = self._scheduler.get_job(camera) if self._scheduler else None
        return job.next_run_time if job else None

    def _arm_all(self) -> None:
        regular = [camera for camera, timing in self._timings.items() if timing and timing.every is not None]
        places = {camera: place / len(regular) for place, camera in enumerate(regular)}
        for camera in self._timings:
            place = places.get(camera, 0.0)
            self._arm(camera, first=place, phase=place)

    def _arm(self, camera: str, first: float, phase: float) -> None:
        """``first``, ``phase`` (0..1): where its first look lies in the first seconds, and all others in a period."""
        assert self._scheduler is not None
        timing, now = self._timings[camera], self._clock.now().wall
        if self._scheduler.get_job(camera):
            self._scheduler.remove_job(camera)
        if timing is None or (timing.every is None and timing.cron is None):
            return
        if timing.every is not None:
            trigger: BaseTrigger = _Regularly(timing.every, now + timedelta(seconds=phase * timing.every), self._rng)
            begin = now + timedelta(seconds=first * min(timing.every, FIRST_LOOK_WITHIN))
        else:
            trigger = _AtTimes(timezone=self._zone, **trigger_fields(timing.cron or ""))
            begin = trigger.get_next_fire_time(None, now)
        self._scheduler.add_job(self._fire, trigger, args=[camera], id=camera, name=camera, next_run_time=begin)

    async def _fire(self, camera: str) -> None:
        # A coroutine, because APScheduler runs it on the loop; a plain function would go to a thread.
        if self._scheduler is not None and self._timings.get(camera) is not None:
            self._due(camera)


class _Regularly(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Once a period, a little late by chance, on a grid of its own.

    The grid keeps cameras apart that start apart. IntervalTrigger counts from the last look, jitter included, so its
    cameras wander until they meet; and after a jump of the clock it would step through every look missed since 1970.
    """

    __slots__ = ("_every", "_grid", "_jitter", "_rng")

    def __init__(self, every: float, grid: datetime, rng: random.Random) -> None:
        self._every = every
        self._grid = grid
        self._jitter = min(every * JITTER_SHARE, MOST_JITTER)
        self._rng = rng

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        after = now.astimezone(UTC)  # in UTC a day has no missing or doubled hour
        if previous_fire_time:
            # A quarter of a period apart at least: a look late by jitter must not be followed at once by its neighbour.
            after = max(after, previous_fire_time.astimezone(UTC) + timedelta(seconds=self._every / 4))
        periods = math.floor((after - self._grid).total_seconds() / self._every) + 1
        late = self._rng.uniform(0, self._jitter)
        return (self._grid + timedelta(seconds=periods * self._every + late)).astimezone(now.tzinfo)


class _AtTimes(CronTrigger):  # type: ignore[misc]  # APScheduler ships no types
    """Cron times from now on; CronTrigger would step through all those since the last look, however many years."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        begin = now + timedelta(microseconds=1) if previous_fire_time else now
        found: datetime | None = super().get_next_fire_time(None, begin.astimezone(self.timezone))
        return found


def local_zone() -> tzinfo:
    """The machine's time zone with its summer time, also where Debian's two files about it disagree."""
    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError) as error:
        log.warning("The machine's time zone is not clear (%s); cron times follow /etc/localtime.", error)
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
