"""The engine's slots, each lent to one caption at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.plugin import CaptionUnavailable, Failure


@dataclass(slots=True)
class Slot:
    id: int
    picture: int | None = None
    """Stands for the picture whose tokens it holds."""
    used: float = 0.0
    asked: bool = False
    """Something was asked that was not answered: it is busy, or was left in the middle, which the server notices up to
    a second later. Another slot is better then."""


class Slots:
    """So many as the engine has: never more is asked of it at once, and questions find the picture they are about."""

    def __init__(self, count: int) -> None:
        self._free = [Slot(number) for number in range(count)]
        self._any = asyncio.Semaphore(count)

    @asynccontextmanager
    async def lent(self, picture: bytes, timeout: float) -> AsyncIterator[Slot]:
        """One that holds the picture already, where there is one.

        Raises CaptionUnavailable where none is free within ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._any.acquire()
        except TimeoutError:
            raise CaptionUnavailable(
                Failure.ENGINE_TIMEOUT, f"The model was busy with other pictures for {timeout:g} s."
            ) from None
        known = hash(picture)
        slot = min(self._free, key=lambda slot: (slot.asked, slot.picture != known, slot.used))
        self._free.remove(slot)
        slot.picture = known
        try:
            yield slot
        finally:
            slot.used = time.monotonic()
            self._free.append(slot)
            self._any.release()
