"""The camera's process as the agent sees it: started, asked, and ended for certain."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from plugins.sources.usb import trouble
from plugins.sources.usb.trouble import Failed
from plugins.sources.usb.wire import HEAD, Garbled, header, lengths

KEPT_LINES = 20
LONGEST_LINE = 500
MOST_WAITING = 2
_SLACK = 2.0
"""Seconds for what a KILL takes; more only where the driver hangs in the kernel."""


@dataclass(frozen=True, slots=True)
class Message:
    header: Mapping[str, Any]
    body: bytes


class Process:
    """One run. ``opened``, ``look`` and ``over`` tell its end as Failed; ``stop`` it after that too."""

    def __init__(self, process: asyncio.subprocess.Process, grace: float, log: logging.Logger) -> None:
        self.over: asyncio.Future[Failed] = asyncio.get_running_loop().create_future()
        """Done once it is of no more use."""
        self._process, self._grace, self._log = process, grace, log
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._messages: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)
        self._drained = asyncio.create_task(self._drain())
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, command: Sequence[str], wishes: Any, grace: float, log: logging.Logger) -> Process:
        starting = asyncio.create_task(_spawn([*command, json.dumps(asdict(wishes))]))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # a process half started is one that nobody would end
            await cls(await starting, grace, log).stop()
            raise
        return cls(process, grace, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def opened(self, timeout: float) -> None:
        """Raises Failed."""
        if (await self._next(timeout)).header["is"] != "opened":
            raise Failed(trouble.GARBLED)

    async def look(self, since: float, timeout: float) -> Message:
        """A picture that was taken after ``since``. Raises Failed."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"since": since}).encode() + b"\n")
        message = await self._next(timeout)
        if message.header["is"] != "picture":
            raise Failed(trouble.GARBLED)
        return message

    async def _next(self, timeout: float) -> Message:
        getting = asyncio.ensure_future(self._messages.get())
        try:
            either: set[asyncio.Future[Any]] = {getting, self.over}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
        finally:
            getting.cancel()
        raise self.over.result() if self.over.done() else Failed(trouble.STALLED)

    async def stop(self) -> None:
        """TERM, a grace period, KILL. Safe to call again, and after its end."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._signal(signal.SIGTERM)
            await self._gone(self._grace)
        finally:
            self._signal(signal.SIGKILL)
            await self._gone(_SLACK)
            if self._process.returncode is None:
                self._log.warning("process %d hangs in the camera's driver and can't be ended", self.pid)
            for task in (self._listening, self._drained):
                task.cancel()
            await asyncio.gather(self._listening, self._drained, return_exceptions=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def _gone(self, timeout: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), timeout)

    async def _listen(self) -> None:
        """Its messages, to its end."""
        failed = Failed(trouble.GARBLED)
        try:
            failed = await self._until_fault()
        except (Garbled, asyncio.QueueFull, KeyError, ValueError):
            self._log.debug("process %d said what makes no sense", self.pid)
        except asyncio.IncompleteReadError:
            await self._gone(self._grace)
            await asyncio.wait({self._drained}, timeout=_SLACK)
            failed = Failed(trouble.CRASHED, _how(self._process.returncode, list(self._lines)))
        self.over.set_result(failed)

    async def _until_fault(self) -> Failed:
        assert self._process.stdout
        while True:
            sizes = lengths(await self._process.stdout.readexactly(HEAD.size))
            head = header(await self._process.stdout.readexactly(sizes[0]))
            message = Message(head, await self._process.stdout.readexactly(sizes[1]))
            if head["is"] == "fault":
                await asyncio.wait({self._drained}, timeout=_SLACK)  # it ends now; its last words may tell more
                return trouble.told(head["why"], str(head["detail"]), "\n".join(self._lines))
            self._messages.put_nowait(message)

    async def _drain(self) -> None:
        """What the libraries print: the last lines are kept, all of it goes to the debug log."""
        assert self._process.stderr
        rest = b""
        while chunk := await self._process.stderr.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-LONGEST_LINE:]
            for line in lines:
                self._said(line)
        self._said(rest)

    def _said(self, line: bytes) -> None:
        if text := line[:LONGEST_LINE].decode("utf-8", "replace").strip():
            self._lines.append(text)
            self._log.debug("camera process: %s", text)


async def _spawn(command: Sequence[str]) -> asyncio.subprocess.Process:
    """The write end of its standard input is ours alone, so it ends when we do; nothing else of ours is inherited."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, umask=0o077
    )


def _how(code: int | None, lines: Sequence[str]) -> str:
    if code is None:
        return "it closed its output"
    if code < 0:
        try:
            return f"by signal {signal.Signals(-code).name}"
        except ValueError:
            return f"by signal {-code}"
    return f"status {code}{': ' + lines[-1][:200] if lines else ''}"
