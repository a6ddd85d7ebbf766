"""One line an observation: on standard output, which a service manager keeps, or in a file. For people, or as JSON."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import select
import stat
import sys
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from agent.plugin import ConfigPath, Context, Delivery, Observation, Output, OutputUnavailable, PluginConfig

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # Persian and emoji need them, and they move nothing


class LogConfig(PluginConfig):
    format: Literal["text", "json"] = "text"
    """``text``: a line for people. ``json``: the observation's JSON on one line, for programs."""
    file: ConfigPath | None = None
    """Append to this file instead of standard output. It may be moved away or deleted (logrotate) at any time."""


class LogOutput(Output[LogConfig]):
    """Writes one line an observation, on standard output or to a file."""

    unavailable = (OSError,)

    def __init__(self, config: LogConfig, context: Context) -> None:
        super().__init__(config, context)
        self._target = _File(config.file) if config.file else _Stream()

    async def check(self) -> str:
        return f"writes to {self.config.file or 'standard output'}"

    async def deliver(self, deliveries: AsyncIterator[Delivery]) -> None:
        where = self.config.file or "standard output"
        async for delivery in deliveries:
            try:
                await self._target.write(self._line(delivery.observation).encode())
            except OSError as error:
                raise OutputUnavailable(f"Can't write to {where}: {error.strerror or error}.") from None

    def _line(self, observation: Observation) -> str:
        if self.config.format == "json":
            return escape(observation.model_dump_json(), lambda c: json.dumps(c)[1:-1]) + "\n"
        # A file is read days later; a terminal now, and the journal has dates of its own.
        return escape(text_line(observation, "%Y-%m-%d %H:%M:%S" if self.config.file else "%H:%M:%S")) + "\n"


def text_line(observation: Observation, stamp: str) -> str:
    """``18:04:05 front_door: A person in a red jacket stands at the door. (770 ms)``, not yet escaped."""
    at = observation.taken_at.astimezone().strftime(stamp)
    if observation.error:
        return f"{at} {observation.camera}: no caption: {observation.error.kind}: {observation.error.message}"
    total = observation.latency_ms.total
    took = f"{total} ms" if total < 10_000 else f"{total / 1000:.1f} s"
    answers = "".join(f" | {id_}: {answer}" for id_, answer in observation.answers.items())
    return f"{at} {observation.camera}: {observation.caption} ({took}){answers}"


def _as_python(character: str) -> str:
    return character.encode("unicode_escape").decode()


def escape(text: str, how: Callable[[str], str] = _as_python) -> str:
    """The text on one line. A caption is a model's words: it must not start a line, colour or rearrange a terminal."""
    if text.isprintable():
        return text
    return "".join(how(c) if unicodedata.category(c) in _UNSEEN and c not in _JOINERS else c for c in text)


class _Thread:
    """One blocking call at a time, in a thread that can't hold up the process's end and is never piled on."""

    def __init__(self) -> None:
        self._busy = False

    async def run(self, work: Callable[[], int]) -> int:
        if self._busy:
            raise OSError(errno.EBUSY, "the last write has still not come back")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()

        def settle(result: int, error: OSError | None) -> None:
            if done.cancelled():
                return
            if error:
                done.set_exception(error)
            else:
                done.set_result(result)

        def call() -> None:
            result, failed = 0, None
            try:
                result = work()
            except OSError as error:
                failed = error
            self._busy = False
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, failed)

        self._busy = True
        threading.Thread(target=call, name="log output", daemon=True).start()
        return await done


class _File:
    """Opened for each line, so that a file which was moved away or deleted is simply made again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = _Thread()
        self._torn = False

    async def write(self, line: bytes) -> None:
        await self._thread.run(partial(self._append, line))

    def _append(self, line: bytes) -> int:
        # Not blocking: opening a named pipe that nobody reads would never return. What our cameras saw is for the
        # file's owner and group only.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
        try:
            rest = b"\n" + line if self._torn else line
            while rest:
                written = os.write(file, rest)
                self._torn = True  # until the last byte: a full disk may leave half a line
                rest = rest[written:]
            self._torn = False
        finally:
            os.close(file)
        return len(line)


class _Stream:
    """Standard output: a pipe or a terminal, whose reader may stand still. Then this waits, and nothing else does."""

    def __init__(self) -> None:
        self._thread = _Thread()
        self._torn = False

    async def write(self, line: bytes) -> None:
        file = sys.stdout.fileno()
        waits = os.isatty(file) or not stat.S_ISREG(os.fstat(file).st_mode)
        rest = b"\n" + line if self._torn else line
        while rest:
            if waits:
                await _writable(file)
            # A pipe that is ready takes this much without blocking. It stays a blocking one: others write to it too.
            written = await self._thread.run(partial(os.write, file, rest[: select.PIPE_BUF]))
            self._torn = True  # until the last byte: the deadline may strike between two pieces
            rest = rest[written:]
        self._torn = False


async def _writable(file: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    own = os.dup(file)  # the loop knows one waiter a number, and another output may wait for the same stream
    try:
        loop.add_writer(own, wake)
        try:
            await ready
        finally:
            loop.remove_writer(own)
    except PermissionError:  # epoll's word for what never makes anybody wait: /dev/null
        return
    finally:
        os.close(own)
