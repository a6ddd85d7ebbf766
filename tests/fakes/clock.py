"""A clock whose time the test moves."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime

from agent.values import Moment

START = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


class FakeClock:
    """``await clock.advance(3600)`` lets an hour pass and wakes the sleepers in order, each at its own time.

    What a woken sleeper does on other threads or sockets goes on in real time: wait for its effect, then move on.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = Moment(1000.0, start)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> Moment:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now.monotonic + seconds, next(self._order), wake))
        await wake

    @property
    def sleepers(self) -> int:
        """How many wait for the time to pass."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    def next_wake(self) -> float | None:
        """Seconds until the first sleeper wakes, or None where nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] - self._now.monotonic if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        end = self._now.monotonic + seconds
        await _settle()
        while (wait := self.next_wake()) is not None and self._now.monotonic + wait <= end + 1e-9:
            _, _, wake = heapq.heappop(self._sleepers)
            self._now = self._now.plus(max(0.0, wait))
            wake.set_result(None)
            await _settle()
        self._now = self._now.plus(end - self._now.monotonic)
        await _settle()

    def jump(self, seconds: float) -> None:
        """The wall clock is set: it jumps, the time that passes does not."""
        self._now = Moment(self._now.monotonic, self._now.plus(seconds).wall)


async def _settle() -> None:
    """Let everything run that can run without waiting for the outside."""
    for _ in range(30):
        await asyncio.sleep(0)
