"""A stream that is kept open: its pictures are taken off the line as they come, and given to whoever waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

from plugins.sources.http import trouble
from plugins.sources.http.beat import BEAT, Beat
from plugins.sources.http.client import Client
from plugins.sources.http.pace import Pace
from plugins.sources.http.parts import Part
from plugins.sources.http.progress import Progress
from plugins.sources.http.sniff import is_stream
from plugins.sources.http.stream import Stream
from plugins.sources.http.trouble import Trouble, Troubled


class NoStream(Exception):
    """The address gives single pictures: ask for one at each look."""


class Kept:
    def __init__(self, client: Client, pace: Pace, tell: Callable[[Trouble | None, float], None]) -> None:
        self._client = client
        self._pace = pace
        self._tell = tell
        """Told None when pictures come; else what is wrong, and for how many seconds the camera is left alone."""
        self.progress = Progress()
        self._wanted: asyncio.Future[Part] | None = None
        self._after = 0.0
        self._beat = Beat(pace.standstill)
        self._live_since: float | None = None
        self._last = 0.0
        """When the last whole picture came."""
        self._quiet = False
        """It was told that none come."""

    async def next(self) -> Part:
        """The next picture whose first byte arrives from now on. Raises Troubled."""
        self._after = time.monotonic()
        self._wanted = asyncio.get_running_loop().create_future()
        try:
            return await self._wanted
        finally:
            self._wanted = None

    def give_up(self, error: Exception) -> None:
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_exception(error)

    async def run(self) -> None:
        """Raises NoStream; else for ever."""
        beating = asyncio.create_task(self._beat.keep())
        watching = asyncio.create_task(self._watch_for_quiet())
        failures = 0
        try:
            while True:
                why = await self._session()
                since, self._live_since = self._live_since, None
                if why is None:
                    continue  # our own fault, not the camera's
                proven = since is not None and time.monotonic() - since > self._pace.proven
                failures = 1 if proven else failures + 1
                pause = self._pace.pause(failures, why.stay_away)
                self._tell(why, pause)
                self.give_up(Troubled(why))
                await asyncio.sleep(pause)
        finally:
            beating.cancel()
            watching.cancel()

    async def _session(self) -> Trouble | None:
        """From opening the stream to its end, and why it ended. None: this process stood still."""
        self.progress = progress = Progress()
        self._beat.begin()
        self._quiet = False
        try:
            async with asyncio.timeout(self._pace.hopeless) as deadline, self._client.ask(progress) as body:
                if not await is_stream(body):
                    raise NoStream
                async with aclosing(Stream(body, self._pace).parts()) as parts:
                    async for part, fresh in parts:
                        deadline.reschedule(asyncio.get_running_loop().time() + self._pace.hopeless)
                        if self._beat.missed():
                            return None
                        self._offer(part, fresh)
        except Troubled as error:
            return error.why
        except TimeoutError:
            return trouble.overdue(progress)
        raise AssertionError("a stream ends with a reason")

    def _offer(self, part: Part, fresh: bool) -> None:
        self._last = time.monotonic()
        if self._live_since is None or self._quiet:
            self._live_since, self._quiet = self._last, False
            self._tell(None, 0.0)
        wanted = self._wanted
        if fresh and wanted is not None and not wanted.done() and part.began.monotonic >= self._after:
            wanted.set_result(part)

    async def _watch_for_quiet(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            quiet = self._live_since is not None and time.monotonic() - self._last > self._pace.quiet
            if quiet and not self._quiet and not self._beat.missed():
                self._quiet = True
                self._tell(trouble.FROZE, 0.0)
