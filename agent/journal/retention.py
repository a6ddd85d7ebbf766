"""Keeps the record within its bounds: so many days, so many bytes. It waits for no output; what one loses, counts."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from agent.clock import Clock
from agent.errors import JournalUnavailable
from agent.journal import Journal
from agent.status import Counters
from agent.values import Moment

HOUR = 3600.0
DAY = 24 * HOUR
RETRY = 60.0
BATCH = 50
"""Rows removed in one go. A record that comes meanwhile waits for one batch, a few milliseconds."""
FILES = 200
"""Picture files looked at in one go, while orphans are sought."""
BREATH = 0.02
"""Seconds between two goes, so that a big sweep leaves the machine to the cameras."""
FREED = 0.98
"""A record that outgrew its size is cut back to this share of it, so that not every new row means a sweep."""

log = logging.getLogger("camscribe.retention")


class Keep(Protocol):
    """The config's ``keep``; None means without bound."""

    @property
    def days(self) -> float | None: ...

    @property
    def size(self) -> int | None: ...


class Retention:
    """Removes the oldest first, rows and pictures together, and pictures that no row knows."""

    def __init__(self, journal: Journal, keep: Keep, clock: Clock, counters: Counters) -> None:
        self._journal = journal
        self.keep = keep
        self._clock = clock
        self._counters = counters
        self._ahead: deque[tuple[float, float]] = deque()
        self._believable(clock.now())

    async def run(self) -> None:
        """Forever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(HOUR, self.sweep))
            group.create_task(self._every(DAY, self.sweep_orphans))
            group.create_task(self._every(0, self._sweep_when_too_big))

    async def sweep(self) -> int:
        """Remove what is too old, then the oldest while all of it is too big; how many that were."""
        by_age = by_size = 0
        if self.keep.days is not None:
            age, now = timedelta(days=self.keep.days), self._believable(self._clock.now())
            while removed := await self._journal.remove_older(age, now, BATCH):
                by_age += removed
                await asyncio.sleep(0)
        if self.keep.size is not None and self._journal.bytes > self.keep.size:
            target = int(self.keep.size * FREED)
            while removed := await self._journal.remove_oldest(BATCH, down_to=target):
                by_size += removed
                await asyncio.sleep(0)
        while await self._journal.shrink():  # noqa: ASYNC110  it is work in portions, not a wait
            await asyncio.sleep(BREATH)
        self._count("age", by_age)
        self._count("size", by_size)
        return by_age + by_size

    async def sweep_orphans(self) -> int:
        """Remove the pictures that no row knows and files that were never finished; how many that were."""
        files = self._journal.walk_pictures()
        total, looked = 0, FILES
        while looked == FILES:
            looked, removed = await self._journal.remove_orphans(files, FILES)
            total += removed
            await asyncio.sleep(BREATH if looked == FILES else 0)
        self._count("orphan", total)
        return total

    async def _sweep_when_too_big(self) -> None:
        assert self.keep.size is not None
        await self._journal.outgrows(self.keep.size)
        await self.sweep()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        if seconds == 0 and self.keep.size is None:
            return
        while True:
            try:
                await work()
            except JournalUnavailable:
                await self._clock.sleep(RETRY)  # the journal said so
            else:
                await self._clock.sleep(seconds)

    def _believable(self, now: Moment) -> Moment:
        """``now``, but a wall clock that jumped ahead is believed only once it has kept that for a day.

        One that is wrong for an hour after a power cut must not empty the record.
        """
        ahead = now.wall.timestamp() - now.monotonic
        if not self._ahead or now.monotonic - self._ahead[-1][0] >= HOUR / 2:
            self._ahead.append((now.monotonic, ahead))
        while self._ahead[0][0] < now.monotonic - DAY:
            self._ahead.popleft()
        return now.plus(min(0.0, *(before - ahead for _, before in self._ahead)))

    def _count(self, reason: str, amount: int) -> None:
        if amount:
            self._counters.add("removed_total", amount, reason=reason)
            log.debug("removed %d observations or pictures (%s)", amount, reason)
