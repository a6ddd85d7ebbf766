"""One run of the engine: its process from nothing to nothing, its loading, and the watch over it."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from plugins.captioners.engine.child import Child
from plugins.captioners.engine.client import Client
from plugins.captioners.engine.endings import Ending, Kind
from plugins.captioners.engine.endpoint import Endpoint
from plugins.captioners.engine.errors import Ended, NotStarted
from plugins.captioners.engine.pace import Pace

_POLL_LOADING = 0.5


@dataclass(frozen=True, slots=True)
class Launch:
    """All it takes to start the engine once."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    endpoint: Endpoint
    key: str | None = None
    about: str = ""
    """How it is set up, for the log: threads, slots and so on."""
    lead: str = ""
    """What every message to it says before its picture."""


@dataclass(frozen=True, slots=True)
class Run:
    """The engine's process while it is there."""

    child: Child
    ended: asyncio.Task[Ending]

    def check(self) -> None:
        """Raises Ended."""
        if self.ended.done():
            raise Ended(self.ended.result())


@asynccontextmanager
async def started(launch: Launch, pace: Pace, log: logging.Logger) -> AsyncIterator[Run]:
    """Whatever happens in here, however often it is cancelled: nothing of the process is left behind it."""
    starting = asyncio.create_task(Child.start(launch.command, launch.env, log, pace.grace))
    try:
        try:
            child = await asyncio.shield(starting)
        except OSError as error:
            raise not_started("The engine can't be started", error) from error
        ended = asyncio.create_task(child.wait())
        yield Run(child, ended)
    finally:
        await _to_the_end(_take_down(starting, launch.endpoint))


def not_started(what: str, error: OSError) -> NotStarted:
    """Of this machine's own faults: a full disk, too many processes, no memory for one more."""
    kinds = {errno.ENOSPC: Kind.DISK, errno.EDQUOT: Kind.DISK, errno.ENOMEM: Kind.MEMORY, errno.EAGAIN: Kind.MEMORY}
    where = f" ({error.filename})" if error.filename else ""
    return NotStarted(f"{what}: {error.strerror or error}{where}.", kinds.get(error.errno or 0, Kind.OTHER))


async def _take_down(starting: asyncio.Task[Child], endpoint: Endpoint) -> None:
    await asyncio.wait({starting})
    if starting.exception() is None:
        await starting.result().stop()
    await asyncio.to_thread(endpoint.clean_up)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """However often this is cancelled meanwhile; only then it takes effect."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


async def loaded(run: Run, client: Client, pace: Pace, progress: Callable[[str], None]) -> None:
    """Until the model is loaded. Raises Ended."""
    pause, began = 0.02, time.monotonic()
    try:
        async with asyncio.timeout(pace.start_timeout):
            while not await client.healthy():
                await asyncio.wait({run.ended}, timeout=pause)
                run.check()
                pause = min(pause * 1.5, _POLL_LOADING)
                progress(f"loading the model, {time.monotonic() - began:.0f} s of at most {pace.start_timeout:g} s")
    except TimeoutError:
        raise Ended(
            Ending(
                Kind.SLOW,
                f"The engine had not loaded the model after {pace.start_timeout:g} s (start_timeout)."
                f"{run.child.last_words()}",
            )
        ) from None


class Watch:
    """Over an engine that is ready: its end, its silence, and what its users saw of it."""

    OVERRUNS = 3
    """Captions in a row beyond their timeout: the engine counts as hanging."""
    MISSED_CHECKS = 3

    def __init__(self, run: Run, client: Client, pace: Pace) -> None:
        self._run = run
        self._client = client
        self._pace = pace
        self._doubt = asyncio.Event()
        self._finished = asyncio.Event()
        self._finishing = False
        self._overruns = 0
        self._in_flight = 0
        self._used = time.monotonic()
        self.answers = 0

    @property
    def doubtful(self) -> bool:
        return self._doubt.is_set()

    @property
    def finishing(self) -> bool:
        return self._finishing

    def finish(self) -> None:
        """Nothing more is wanted of this run, once what is under way is done."""
        self._finishing = True
        self._look_whether_finished()

    def used(self) -> None:
        """Somebody wants something of it now."""
        self._used = time.monotonic()

    def begin(self) -> None:
        self._in_flight += 1

    def end(self) -> None:
        self._in_flight -= 1
        self.used()
        self._look_whether_finished()

    def lost(self) -> None:
        self._doubt.set()

    def overran(self) -> None:
        self._overruns += 1
        if self._overruns >= self.OVERRUNS:
            self._doubt.set()

    def answered(self) -> None:
        self._overruns = 0
        self.answers += 1

    async def keep(self, well: Callable[[], None]) -> None:
        """Returns when it has been idle for ``sleep_after``, or is to finish. Raises Ended.

        ``well``: called after a good check.
        """
        missed = 0
        while not (self._idle_for_long or self._finished.is_set()):
            await self._wait(0.1 if missed else min(self._pace.check_every, self._until_sleep))
            self._run.check()
            if self._overruns >= self.OVERRUNS:
                raise _hanging(f"{self._overruns} captions in a row took longer than their cameras' timeout")
            if await self._client.healthy():
                missed = 0
                self._doubt.clear()
                well()
            else:
                missed += 1
            if missed >= self.MISSED_CHECKS:
                self._run.check()
                raise _hanging("it runs, but does not answer")

    @property
    def _until_sleep(self) -> float:
        if self._pace.sleep_after is None:
            return self._pace.check_every
        left = self._pace.sleep_after - (time.monotonic() - self._used)
        return left if left > 0 else self._pace.check_every  # it is at work

    def _look_whether_finished(self) -> None:
        if self._finishing and not self._in_flight:
            self._finished.set()

    @property
    def _idle_for_long(self) -> bool:
        after = self._pace.sleep_after
        return after is not None and not self._in_flight and time.monotonic() - self._used >= after

    async def _wait(self, timeout: float) -> None:
        if self._doubt.is_set():  # it was so the last time too: give its end a moment to be noticed
            await asyncio.wait({self._run.ended}, timeout=0.1)
            return
        news = [asyncio.create_task(event.wait()) for event in (self._doubt, self._finished)]
        try:
            await asyncio.wait({self._run.ended, *news}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in news:
                task.cancel()


def _hanging(how: str) -> Ended:
    return Ended(Ending(Kind.HANGS, f"The engine hangs: {how}."))
