"""The engine's one owner: starts it, watches it, starts it again, ends it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from agent.plugin import CaptionUnavailable, Failure, Misconfigured
from plugins.captioners.llama_server.child import GRACE, Child
from plugins.captioners.llama_server.client import Client
from plugins.captioners.llama_server.endpoint import Endpoint
from plugins.captioners.llama_server.errors import NotStarted


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class _Ended(Exception):
    """This run of the engine is over; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Launch:
    """All it takes to start the engine once."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    endpoint: Endpoint
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the owner is, in seconds."""

    start_timeout: float = 120.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    settled: float = 60.0
    """An engine that has been ready for this long starts with the first pause again."""
    check_every: float = 10.0
    grace: float = GRACE
    jitter: Callable[[], float] = random.random
    """0..1; up to a tenth of a pause is added, so that a house full of engines does not start in step."""


class Pauses:
    """1, 2, 4 … 30 s, each a little longer by chance."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._next = pace.first_pause

    def next(self) -> float:
        pause = self._next
        self._next = min(pause * 2, self._pace.longest_pause)
        return pause * (1 + self._pace.jitter() / 10)

    def reset(self) -> None:
        self._next = self._pace.first_pause


class Engine:
    """``run`` owns the process; everybody else only asks for ``client`` and tells what they saw of it."""

    OVERRUNS = 3
    """Captions in a row beyond their timeout: the engine counts as hanging."""
    MISSED_CHECKS = 3
    HOPELESS = 3
    """Starts in a row that failed: nobody waits for the next one any more."""

    def __init__(self, prepare: Callable[[], Awaitable[Launch]], pace: Pace, log: logging.Logger) -> None:
        self._prepare = prepare
        self._pace = pace
        self._log = log
        self._pauses = Pauses(pace)
        self._news = asyncio.Event()
        self._doubt = asyncio.Event()
        self._overruns = 0
        self._failed_starts = 0
        self.state = State.STOPPED
        self.detail = ""
        self.client: Client | None = None
        self.pid: int | None = None
        """The engine's process, while it is ready."""

    def __str__(self) -> str:
        return f"{self.state.value}: {self.detail}" if self.detail else self.state.value

    async def run(self) -> None:
        """Until cancelled. Raises Misconfigured at the first start."""
        first = True
        try:
            while True:
                try:
                    await self._once()
                except Misconfigured as error:
                    if first:
                        self._failed_starts = self.HOPELESS
                        self._move(State.FAILED, str(error))
                        raise
                    sentence = str(error)
                except (_Ended, NotStarted) as error:
                    sentence = str(error)
                first = False
                await self._after(sentence)
        finally:
            if self.state is not State.FAILED:
                self._move(State.STOPPED)

    async def ready(self, timeout: float) -> None:
        """Raises CaptionUnavailable after ``timeout`` seconds, or sooner where there is no hope."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._usable:
                    if self._failed_starts >= self.HOPELESS:
                        break
                    await self._news.wait()
        if not self._usable:
            raise self.unavailable()

    def unavailable(self) -> CaptionUnavailable:
        return CaptionUnavailable(Failure.ENGINE, f"The engine is not ready ({self}).")

    def lost(self) -> None:
        """Somebody's connection to the engine broke: look after it now."""
        self._doubt.set()

    def overran(self) -> None:
        """A caption took longer than it may."""
        self._overruns += 1
        if self._overruns >= self.OVERRUNS:
            self._doubt.set()

    def answered(self) -> None:
        self._overruns = 0

    def progress(self, detail: str) -> None:
        """What the start is busy with."""
        self._move(State.STARTING, detail)

    @property
    def _usable(self) -> bool:
        return self.state is State.READY and not self._doubt.is_set()

    def _move(self, state: State, detail: str = "") -> None:
        self.state, self.detail = state, detail
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _once(self) -> None:
        """One run of the engine, from nothing to nothing. Raises _Ended, NotStarted, Misconfigured."""
        self._move(State.STARTING)
        launch = await self._prepare()
        began = time.monotonic()
        async with self._process(launch) as (child, ended), Client(launch.endpoint, launch.key) as client:
            await self._load(child, client, ended)
            if await client.sees() is False:
                raise Misconfigured(
                    f"The model that {launch.name} serves can't see pictures: name its picture projector (the GGUF "
                    "file with 'mmproj' in its name) under mmproj, beside model, or use a preset."
                )
            loaded = time.monotonic()
            self.client, self.pid = client, child.pid
            self._failed_starts = self._overruns = 0
            self._doubt.clear()
            self._move(State.READY)
            self._log.info("engine ready in %.1f s: %s", loaded - began, launch.name)
            try:
                await self._watch(client, ended)
            finally:
                self.client = self.pid = None
                if time.monotonic() - loaded >= self._pace.settled:
                    self._pauses.reset()
                self._move(State.STOPPING)

    @asynccontextmanager
    async def _process(self, launch: Launch) -> AsyncIterator[tuple[Child, asyncio.Task[str]]]:
        child = await Child.start(launch.command, launch.env, self._log, self._pace.grace)
        ended = asyncio.create_task(child.wait())
        try:
            yield child, ended
        finally:
            await child.stop()
            await asyncio.gather(ended, return_exceptions=True)
            await asyncio.to_thread(launch.endpoint.clean_up)

    async def _load(self, child: Child, client: Client, ended: asyncio.Task[str]) -> None:
        pause = 0.02
        try:
            async with asyncio.timeout(self._pace.start_timeout):
                while not await client.healthy():
                    await asyncio.wait({ended}, timeout=pause)
                    if ended.done():
                        raise _Ended(f"The engine {ended.result()}")
                    pause = min(pause * 1.5, 0.5)
        except TimeoutError:
            raise _Ended(
                f"The engine had not loaded the model after {self._pace.start_timeout:g} s (start_timeout)."
                f"{child.last_words()}"
            ) from None

    async def _watch(self, client: Client, ended: asyncio.Task[str]) -> None:
        """Returns never: raises _Ended."""
        missed = 0
        while True:
            await self._wait_for_doubt(ended, 0.1 if missed else self._pace.check_every)
            if ended.done():
                raise _Ended(f"The engine {ended.result()}")
            if self._overruns >= self.OVERRUNS:
                raise _Ended(
                    f"The engine hangs: {self._overruns} captions in a row took longer than their cameras' timeout."
                )
            if await client.healthy():
                missed = 0
                if self._doubt.is_set():
                    self._doubt.clear()
                    self._announce()
            else:
                missed += 1
            if missed >= self.MISSED_CHECKS:
                raise _Ended("The engine hangs: it runs, but does not answer.")

    async def _wait_for_doubt(self, ended: asyncio.Task[str], timeout: float) -> None:
        if self._doubt.is_set():  # it was so the last time too: give its end a moment to be noticed
            await asyncio.wait({ended}, timeout=0.1)
            return
        doubt = asyncio.create_task(self._doubt.wait())
        try:
            await asyncio.wait({ended, doubt}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            doubt.cancel()

    async def _after(self, sentence: str) -> None:
        """Say what happened, then wait before the next start."""
        worked = self.state is State.STOPPING
        pause = self._pauses.next()
        if worked:
            self._log.warning("%s Starting it again in %.1f s.", sentence, pause)
        else:
            self._failed_starts += 1
            level = logging.ERROR if self._failed_starts == 1 else logging.DEBUG
            self._log.log(level, "%s It is tried again, at most every %.0f s.", sentence, self._pace.longest_pause)
        self._move(State.FAILED, sentence)
        await asyncio.sleep(pause)
