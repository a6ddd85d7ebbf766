"""The engine's process: started under its guard, listened to, and ended for certain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from plugins.captioners.engine import guard
from plugins.captioners.engine.endings import Ending, explain, last_words

KEPT_LINES = 200
LONGEST_LINE = 2000
GRACE = 5.0
"""Seconds between TERM and KILL."""
_SLACK = 2.0
"""Seconds the guard may take on top of that."""
_READ_AHEAD = 1 << 16


class Child:
    """One run of the engine. ``wait`` for its end, or ``stop`` it; after either nothing of it is left."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, process: Process, grace: float, log: logging.Logger
    ) -> None:
        self._transport = transport
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
        """Raises OSError. Not to be cancelled: a process half started is one that nobody would end."""
        transport, process = await _spawn(command, env, grace)
        return cls(transport, process, grace, log)

    @property
    def group(self) -> int:
        """The process group of guard and engine, which is the guard's process."""
        return self._process.pid

    @property
    def lines(self) -> Sequence[str]:
        """The last it said."""
        return tuple(self._lines)

    def last_words(self) -> str:
        return last_words(self.lines)

    async def wait(self) -> Ending:
        """Until it has ended; why."""
        await asyncio.shield(self._ended)
        await asyncio.wait({self._drained}, timeout=1)
        assert self._code is not None
        return explain(self._code, self.lines)

    async def stop(self) -> None:
        """TERM, a grace period, KILL. Safe to call again, and after its end."""
        if self._process.stdin:
            self._process.stdin.close()  # the same sign as our own death: one way to end for both
        try:
            await asyncio.wait({self._ended}, timeout=self._grace + _SLACK)
            if not self._ended.done():
                self._log.warning("the engine's guard (process %d) did not end it in time; killing both", self.group)
        finally:
            self._kill()
        await asyncio.wait({self._ended, self._drained}, timeout=_SLACK)
        self._drained.cancel()
        await asyncio.gather(self._ended, self._drained, return_exceptions=True)
        self._transport.close()  # whatever escaped may still hold the other ends of its pipes

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
        while chunk := await self._process.stderr.read(_READ_AHEAD):
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


async def _spawn(
    command: Sequence[str], env: Mapping[str, str], grace: float
) -> tuple[asyncio.SubprocessTransport, Process]:
    """The write end of its standard input is ours alone: neither this nor any other child inherits it."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=_READ_AHEAD, loop=loop),
        *(sys.executable, "-I", "-S", str(Path(guard.__file__)), str(grace), *command),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(env),
        start_new_session=True,
        umask=0o077,
    )
    return transport, Process(transport, protocol, loop)
