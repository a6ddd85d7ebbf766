"""So many calls in any minute, and no more."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

WINDOW = 60.0


class Budget:
    """``None`` is no limit. Calls are counted when they are made, whatever comes of them."""

    def __init__(self, calls: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._now = now
        self._made: deque[float] = deque(maxlen=calls)

    def wait(self) -> float:
        """Seconds until the next call may be made; 0.0: now."""
        if self._calls is None or len(self._made) < self._calls:
            return 0.0
        return max(0.0, self._made[0] + WINDOW - self._now())

    def spend(self) -> bool:
        """Count a call; False where none may be made now."""
        if self.wait() > 0:
            return False
        if self._calls is not None:
            self._made.append(self._now())
        return True

    async def free(self, timeout: float) -> bool:
        """Wait until a call may be made; False where that is more than ``timeout`` seconds away."""
        wait = self.wait()
        if wait > timeout:
            await asyncio.sleep(timeout)
            return self.wait() == 0.0
        await asyncio.sleep(wait)
        return True
