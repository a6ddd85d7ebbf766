"""The process that downloads: started, given its orders, listened to, and killed as soon as nobody wants it any more.

Killing it is safe at any moment: what has arrived is on the disk, and the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.plugin import Progress
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.llama_server import fetcher
from plugins.captioners.llama_server.presets import Hosted
from plugins.captioners.llama_server.refusals import explain

WAITING = "waiting: another camscribe is downloading this model"
LONGEST_LINE = 8 << 20
"""Bytes; the list of a repository's files is one line."""
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_XET": "1",  # its downloads begin anew after a break
    "HF_HUB_VERBOSITY": "error",
}
_TALKATIVE = ("HF_DEBUG", "HF_HUB_ENABLE_HF_TRANSFER")


class Downloader:
    """``async with Downloader(origin, log) as downloader``: one repository, one lock, any number of its files."""

    def __init__(self, origin: Hosted, log: logging.Logger) -> None:
        self._origin = origin
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=3)
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        environ = {name: value for name, value in os.environ.items() if name not in _TALKATIVE} | _QUIET
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(Path(fetcher.__file__))),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environ,
            start_new_session=True,  # Ctrl-C is for camscribe, which ends it
            limit=LONGEST_LINE,
        )
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        assert self._process
        assert self._listener
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        assert self._process.stdout
        await self._process.stdout.read()  # whatever it said beyond measure would hold up its end
        await asyncio.shield(self._process.wait())
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)

    async def lock(self, place: Path, progress: Callable[[Progress], None]) -> None:
        """Wait until nobody else downloads this repository."""

        def waiting() -> None:
            self._log.info("another camscribe is downloading %s; waiting for it", self._origin)
            progress(Progress(WAITING, 0, None))

        await self._ask({"do": "lock", "path": str(place)}, lambda said: waiting() if "waiting" in said else None)

    async def listing(self) -> tuple[str, list[dict[str, Any]]]:
        """The repository's commit and GGUF files. Raises NotStarted, Misconfigured."""
        said = await self._ask({"do": "list", "repo": self._origin.repo})
        return said["commit"], said["files"]

    async def get(self, order: Mapping[str, Any], done: Callable[[int], None]) -> None:
        """One file. Raises Damaged, NotStarted, Misconfigured."""
        await self._ask(
            {"do": "get", "repo": self._origin.repo, **order}, lambda said: done(said["done"]), str(order["path"])
        )

    async def _ask(
        self, order: Mapping[str, Any], heard: Callable[[dict[str, Any]], None] = lambda _: None, file: str = ""
    ) -> Any:
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        with suppress(ConnectionError):  # it has ended; its output says so below
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
        while line := await self._heard(self._process.stdout):
            said = json.loads(line)
            if "ok" in said:
                return said["ok"]
            if "failed" in said:
                raise explain(said["failed"], self._origin, file.rpartition("/")[2])
            heard(said)
        code = await self._process.wait()
        words = " | ".join(self._said) or "nothing"
        raise NotStarted(f"The download of {self._origin} ended unexpectedly (exit status {code}; it said: {words}).")

    async def _heard(self, output: asyncio.StreamReader) -> bytes:
        try:
            return await output.readline()
        except ValueError:  # a line longer than any that is sensible
            raise NotStarted(f"The list of the files in {self._origin.repo} makes no sense: it has no end.") from None

    async def _listen(self) -> None:
        """Its standard error: what the library warns of, without the queries of addresses, which may be keys."""
        assert self._process
        assert self._process.stderr
        token = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
        while line := await self._process.stderr.readline():
            text = re.sub(r"\?\S+|//[^/\s]+@", "?***", line.decode("utf-8", "replace").rstrip())[:2000]
            text = text.replace(token, "***") if token else text
            self._said.append(text)
            self._log.debug("download: %s", text)
