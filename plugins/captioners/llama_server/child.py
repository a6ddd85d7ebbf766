"""The engine's process: started under its guard, listened to, and ended for certain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from plugins.captioners.llama_server import guard
from plugins.captioners.llama_server.endings import how_it_ended

KEPT_LINES = 200
LONGEST_LINE = 2000
LAST_LINES = 3
_CHATTER = ("print_timing", "slot release", "launch_slot")
"""llama.cpp's lines about each caption's time, which look like a fault to who doesn't know them."""
GRACE = 5.0
"""Seconds between TERM and KILL."""
_SLACK = 2.0
"""Seconds the guard may take on top of that."""


class Child:
    """One run of the engine. ``wait`` for its end, or ``stop`` it; after either nothing of it is left."""

    def __init__(self, process: asyncio.subprocess.Process, grace: float, log: logging.Logger) -> None:
        self._process = process
        self._grace = grace
        self._log = log
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._code: int | None = None
        self.pid: int | None = None
        """The engine's own process, once it is there."""
        self._drained = asyncio.create_task(self._drain())
        self._ended = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, command: Sequence[str], env: Mapping[str, str], log: logging.Logger, grace: float = GRACE
    ) -> Child:
        starting = asyncio.create_task(_spawn(command, env, grace))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # a process half started is one that nobody would end
            await cls(await starting, grace, log).stop()
            raise
        return cls(process, grace, log)

    @property
    def group(self) -> int:
        """The process group of guard and engine."""
        return self._process.pid

    async def wait(self) -> str:
        """How it ended, as the end of a sentence, with its last words."""
        await asyncio.shield(self._ended)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._drained), 1)
        assert self._code is not None
        killed = self._code == -signal.SIGKILL  # from outside: what it said before has nothing to do with it
        return how_it_ended(self._code) + ("" if killed else self.last_words())

    def last_words(self) -> str:
        telling = [line for line in self._lines if not any(word in line for word in _CHATTER)]
        words = " | ".join(telling[-LAST_LINES:])
        return f" Its last words: {words[-700:]}." if words else " It said nothing."

    async def stop(self) -> None:
        """TERM, a grace period, KILL. Safe to call again, and after its end."""
        try:
            if self._process.stdin:
                self._process.stdin.close()  # the same sign as our own death: one way to end for both
            async with asyncio.timeout(self._grace + _SLACK):
                await asyncio.shield(self._ended)
        except TimeoutError:
            self._log.warning("the engine's guard (process %d) did not end it in time; killing both", self.group)
        finally:
            self._kill()
            await asyncio.wait({self._drained}, timeout=1)  # its end closes the pipe; cut short, that would stay open
            self._drained.cancel()
        await self._ended
        await asyncio.gather(self._drained, return_exceptions=True)

    def _kill(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.group, signal.SIGKILL)

    async def _listen(self) -> None:
        """The guard's reports, to its end."""
        assert self._process.stdout
        while line := (await self._process.stdout.readline()).decode("ascii", "replace"):
            word, _, number = line.partition(" ")
            if word == "pid":
                self.pid = int(number)
            elif word == "exit":
                self._code = int(number)
        if self._code is None:  # the guard was killed; the engine may not have been, and must not live on unguarded
            with suppress(ProcessLookupError):
                os.killpg(self.group, signal.SIGKILL)
        with suppress(TimeoutError):  # it waits for the pipes as well, and something that escaped may hold one
            await asyncio.wait_for(self._process.wait(), _SLACK)
        if self._code is None:
            self._code = self._process.returncode or -signal.SIGKILL

    async def _drain(self) -> None:
        """What the engine says: the last lines are kept, all of it goes to the debug log."""
        assert self._process.stderr
        rest = b""
        while chunk := await self._process.stderr.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            for line in lines:
                self._said(line)
        self._said(rest)

    def _said(self, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode("utf-8", "replace").rstrip()
        if text:
            self._lines.append(text)
            self._log.debug("engine: %s", text)


async def _spawn(command: Sequence[str], env: Mapping[str, str], grace: float) -> asyncio.subprocess.Process:
    """The write end of its standard input is ours alone: neither this nor any other child inherits it."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(Path(guard.__file__)), str(grace), *command),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=dict(env),
        start_new_session=True,
        umask=0o077,
    )
