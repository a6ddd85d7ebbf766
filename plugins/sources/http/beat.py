"""Notices that this process stood still, stopped or swapped out: what waited in a connection looks fresh then."""

from __future__ import annotations

import asyncio
import time

BEAT = 0.5


class Beat:
    def __init__(self, standstill: float) -> None:
        self._standstill = standstill
        self.begin()

    def begin(self) -> None:
        self._last = time.monotonic()
        self._missed = False

    def missed(self) -> bool:
        """Whether it stood still for ``standstill`` seconds since ``begin``."""
        now = time.monotonic()
        self._missed = self._missed or now - self._last > self._standstill
        self._last = now
        return self._missed

    async def keep(self) -> None:
        """``missed`` knows nothing without it."""
        while True:
            await asyncio.sleep(BEAT)
            self.missed()
