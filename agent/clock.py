"""The time, as something that is passed in: what waits for an hour in a test need not take one."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agent.values import Moment


class Clock(Protocol):
    """Tells the time and waits. Everything that measures an age or backs off asks one of these."""

    def now(self) -> Moment: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own."""

    def now(self) -> Moment:
        return Moment.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
