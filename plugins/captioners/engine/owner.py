"""The engine's one owner: starts it, watches it, starts it again, ends it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path

from agent.plugin import CaptionUnavailable, Failure, Misconfigured
from plugins.captioners.engine.child import KEPT_LINES, Child
from plugins.captioners.engine.client import Client
from plugins.captioners.engine.endings import Ending, Kind
from plugins.captioners.engine.errors import Ended, NotStarted
from plugins.captioners.engine.launch import Launch, Run, Watch, loaded, not_started, started
from plugins.captioners.engine.pace import Pace, Pauses
from plugins.captioners.engine.troubles import Troubles

__all__ = ["Engine", "Launch", "Pace", "Pauses", "State"]

ASLEEP = "asleep"


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Engine:
    """``run`` owns the process; everybody else only asks for it (``asking``) and tells what they saw of it.

    One that sleeps is ready as well: it has no process, and whoever asks for it has it started.
    """

    MISSED_CHECKS = Watch.MISSED_CHECKS
    DOUBTFUL = 2
    HOPELESS = 3
    """Starts in a row that failed: nobody waits for the next one any more."""

    def __init__(
        self,
        prepare: Callable[[], Awaitable[Launch]],
        pace: Pace,
        log: logging.Logger,
        watched: Callable[[], Sequence[Path]] = tuple,
    ) -> None:
        """``watched``, called in a thread: the files with which a start that failed may go better once they change."""
        self._prepare = prepare
        self._pace = pace
        self._log = log
        self._watched = watched
        self._pauses = Pauses(pace)
        self._troubles = Troubles(pace, log)
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._failed_starts = 0
        self._ended_by: Kind | None = None
        self._told_progress = 0.0
        self._sleepy = False
        """It falls asleep, sleeps or wakes: whoever wants it has it back in a moment."""
        self._renewed = False
        """Its next start is no waking, of which the log says nothing."""
        self._child: Child | None = None
        self._watch: Watch | None = None
        self._before: Sequence[str] = ()
        self.state = State.STOPPED
        self.detail = ""
        self.client: Client | None = None
        """Its API, while it is ready and awake."""

    def __str__(self) -> str:
        return f"{self.state.value}: {self.detail}" if self.detail else self.state.value

    @property
    def pid(self) -> int | None:
        """The engine's process, while it is ready."""
        return self._child.pid if self._child and self._watch else None

    @property
    def processes(self) -> Sequence[int]:
        """The engine and its guard, while they are there."""
        child = self._child
        return tuple(pid for pid in (child.pid, child.group) if pid is not None) if child else ()

    @property
    def said(self) -> Sequence[str]:
        """The last lines of this run, after those of the one before where that died."""
        now = self._child.lines if self._child else ()
        before = self._before[-max(KEPT_LINES - len(now), KEPT_LINES // 2) :]
        return (*before, *now[max(0, len(now) + len(before) - KEPT_LINES) :])

    async def run(self) -> None:
        """Until cancelled. Raises Misconfigured at the first start."""
        first = True
        try:
            while True:
                stamp = await self._stamp()
                was_ready = False
                try:
                    await self._once()
                    ending = None
                except NotStarted as error:
                    ending = Ending(error.kind, str(error))
                except Misconfigured as error:
                    if first:
                        self._failed_starts = self.HOPELESS
                        self._move(State.FAILED, str(error))
                        raise
                    ending = Ending(Kind.CONFIG, str(error))
                except Ended as error:
                    was_ready = self.state is State.STOPPING
                    ending = error.ending
                first = False
                await (self._sleep() if ending is None else self._after(ending, stamp, was_ready=was_ready))
        except asyncio.CancelledError:
            self._move(State.STOPPED)
            raise
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
                    self._wanted.set()
                    await self._news.wait()
        if self._watch is None or not self._usable:
            raise self.unavailable()
        self._watch.used()

    @asynccontextmanager
    async def asking(self, timeout: float) -> AsyncIterator[Client]:
        """Its API, for one caption; wakes it where it sleeps. Raises CaptionUnavailable."""
        if self._sleepy:
            await self.ready(timeout)
        client, watch = self.client, self._watch
        if client is None or watch is None:
            raise self.unavailable()
        watch.begin()
        try:
            yield client
        finally:
            watch.end()

    def unavailable(self) -> CaptionUnavailable:
        return CaptionUnavailable(Failure.ENGINE, f"The engine is not ready ({self}).")

    def lost(self) -> None:
        """Somebody's connection to the engine broke: look after it now."""
        if self._watch:
            self._watch.lost()

    def retire(self) -> None:
        """It was told to end: nobody asks it any more, and whoever wants a caption waits for the next one."""
        self.client = None
        self._move(State.STOPPING)
        self.lost()

    def renew(self) -> bool:
        """Start it afresh when somebody asks for it next, as ``prepare`` then says: as if it fell asleep now.

        Captions that are under way end first. False where there is nothing to renew, or it is being done.
        """
        if self._watch is None or self._watch.finishing:
            return False
        self._sleepy = self._renewed = True
        self._watch.finish()
        return True

    @property
    def doubts_files(self) -> bool:
        """It failed to start twice in a row, and a file of its model may be why."""
        return self._failed_starts >= self.DOUBTFUL and self._ended_by is not None and self._ended_by.blames_files

    @property
    def lacks_instruction(self) -> bool:
        """The run before was stopped by an instruction that this processor does not have, or not as it was meant."""
        return self._ended_by is Kind.INSTRUCTION

    def overran(self) -> None:
        """A caption took longer than it may."""
        if self._watch:
            self._watch.overran()

    def answered(self) -> None:
        if self._watch:
            self._watch.answered()
            self._troubles.well()

    def progress(self, detail: str) -> None:
        """What the start is busy with."""
        if detail == self.detail and self.state is State.STARTING:
            return
        self._move(State.STARTING, detail)
        if time.monotonic() - self._told_progress >= self._pace.tell_every:
            self._told_progress = time.monotonic()
            self._log.log(logging.INFO if self._troubles.fresh else logging.DEBUG, "the engine is %s", detail)

    @property
    def _usable(self) -> bool:
        watch = self._watch
        return self.state is State.READY and watch is not None and not (watch.doubtful or watch.finishing)

    def _move(self, state: State, detail: str = "") -> None:
        self.state, self.detail = state, detail
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _once(self) -> None:
        """One run of the engine, until it goes to sleep. Raises Ended, NotStarted, Misconfigured."""
        self._move(State.STARTING)
        self._told_progress = time.monotonic()
        try:
            launch = await self._prepare()
        except OSError as error:
            raise not_started("The engine's start can't be prepared", error) from error
        began = time.monotonic()
        async with (
            started(launch, self._pace, self._log) as run,
            Client(launch.endpoint, launch.key, launch.lead) as client,
        ):
            self._child = run.child
            try:
                await loaded(run, client, self._pace, self.progress)
                await self._sees(launch, client)
                await self._serve(launch, run, client, time.monotonic() - began)
            except BaseException:
                self._before = run.child.lines
                raise
            finally:
                self._child = None

    async def _sees(self, launch: Launch, client: Client) -> None:
        if await client.sees() is False:
            raise Misconfigured(
                f"The model that {launch.name} serves can't see pictures: name its picture projector (the GGUF "
                "file with 'mmproj' in its name) under mmproj, beside model, or use a preset."
            )

    async def _serve(self, launch: Launch, run: Run, client: Client, took: float) -> None:
        since = time.monotonic()
        watch = Watch(run, client, self._pace)
        news = self._troubles.fresh and (self._renewed or not self._sleepy)
        about = f": {launch.about}" if launch.about else ""
        self._log.log(logging.INFO if news else logging.DEBUG, "engine ready in %.1f s: %s%s", took, launch.name, about)
        self.client, self._watch, self._failed_starts, self._sleepy, self._renewed = client, watch, 0, False, False
        self._move(State.READY)

        def well() -> None:
            if time.monotonic() - since >= self._pace.settled:
                self._settled()
            self._announce()

        try:
            await watch.keep(well)
            self._sleepy = True
        finally:
            self.client = self._watch = None
            self._wanted.clear()
            self._move(State.STOPPING)

    def _settled(self) -> None:
        self._pauses.reset()
        self._troubles.well()

    async def _sleep(self) -> None:
        self._log.debug("the engine sleeps until somebody asks for it")
        self._move(State.READY, ASLEEP)
        await self._wanted.wait()

    async def _after(self, ending: Ending, stamp: object, *, was_ready: bool) -> None:
        """Say what happened, then wait before the next start."""
        self._sleepy = False
        self._ended_by = ending.kind
        if not was_ready:
            self._failed_starts += 1
        pause = self._pauses.next()
        self._troubles.add(ending, pause, was_ready=was_ready)
        self._move(State.FAILED, self._troubles.describe(ending))
        if not self._troubles.gave_up:
            await asyncio.sleep(pause)
            return
        self._failed_starts = self.HOPELESS
        if await self._changed(stamp):
            self._failed_starts = 0
            self._troubles.changed()

    async def _changed(self, stamp: object) -> bool:
        """Waits until another start may go better: one of the files is another one, or (False) it was long ago."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pace.rare):
                before = stamp
                while (
                    now := await self._stamp()
                ) == stamp or now != before:  # one that is being copied goes on changing
                    before = now
                    await asyncio.sleep(self._pace.look_every)
                return True
        return False

    async def _stamp(self) -> object:
        return await asyncio.to_thread(lambda: [_stamp(path) for path in self._watched()])


def _stamp(path: Path) -> tuple[str, int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size
