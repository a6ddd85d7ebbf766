"""What every part that runs is given: its task, supervised alone, and its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.plugin import Context
from agent.status import Counters
from agent.supervise import forever

ENDS_WITHIN = 8.0
"""Seconds after which a part that does not end is left behind; an engine takes TERM, 5 s, KILL."""


@dataclass(frozen=True, slots=True)
class Staff:
    """Starts tasks in the service's group."""

    group: asyncio.TaskGroup
    clock: Clock
    counters: Counters
    data_dir: Path
    runtime_dir: Path

    def start(self, part: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return self.group.create_task(forever(part, work, self.clock, self.counters), name=part)

    def context(self, name: str, logger: str, **more: Any) -> Context:
        log = logging.getLogger(f"camscribe.{logger}")
        return Context(name=name, log=log, data_dir=self.data_dir, runtime_dir=self.runtime_dir, **more)


async def end(tasks: Iterable[asyncio.Task[None]], within: float = ENDS_WITHIN) -> None:
    """Cancel them and wait until they have ended; who does not is left behind, and that is said."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=within)
        for task in left:
            log = logging.getLogger("camscribe.supervise")
            log.error("%s did not end within %g s of being told to; left behind", task.get_name(), within)
