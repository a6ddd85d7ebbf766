"""Things that may fail alone are supervised alone: a bug in one camera or output leaves the others running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.clock import Clock
from agent.errors import Misconfigured
from agent.status import Counters

LONGEST_PAUSE = 60.0


async def forever(part: str, work: Callable[[], Awaitable[None]], clock: Clock, counters: Counters) -> None:
    """Run ``work``; when it raises, log the traceback, count it, and start it again after 1, 2, 4 … 60 s.

    Returns when ``work`` does. Misconfigured goes through: that is for a person to mend.
    """
    log = logging.getLogger("camscribe.supervise")
    pause = 1.0
    while True:
        began = clock.now().monotonic
        try:
            await work()
        except Misconfigured:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            if clock.now().monotonic - began > LONGEST_PAUSE:
                pause = 1.0
            log.exception("%s failed: a bug; starting it again in %.0f s", part, pause)
            counters.add("bugs_total", part=part)
            await clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            return


def being_cancelled() -> bool:
    """Whether somebody cancels us. If not, a CancelledError is a plugin's own: it awaited what it had cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
