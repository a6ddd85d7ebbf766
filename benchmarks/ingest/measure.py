"""One row: a client process is started, waited for until every camera has shown a picture, and watched for a while."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import IO, Any

import psutil

from benchmarks.ingest.methods.looking import Job
from benchmarks.ingest.plan import WAYS, Case
from benchmarks.ingest.results import Result
from benchmarks.ingest.server import ROOT, Cameras
from benchmarks.ingest.usage import Spent, own_megabytes, tree

START_LIMIT = 120.0
SETTLE = 2.0
FAREWELL = 10.0


class Client:
    """A running client and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self.process = process
        self.looks: list[dict[str, Any]] = []
        self._log = log

    @property
    def live(self) -> set[int]:
        return {look["camera"] for look in self.looks if look.get("number") is not None}

    async def line(self, timeout: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), timeout)
        if not line:
            raise RuntimeError(f"the client ended with status {await self.process.wait()}: {self.last_words()}")
        return dict(json.loads(line))

    async def listen(self) -> None:
        while True:
            self.looks.append(await self.line(3600))

    def order(self, job: Job) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")

    def last_miss(self) -> str:
        return next((look["missed"] for look in reversed(self.looks) if "missed" in look), "it said nothing")

    def last_words(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace")


async def measure(case: Case, cameras: Cameras, tick: Callable[[float], None]) -> Result:
    """``tick`` hears how many seconds of it are over."""
    way = WAYS[case.way]
    if way.missing:
        return Result(case, missing=way.missing)
    places = cameras.places[: case.cameras]
    async with client(way.module) as running:
        await running.line(60)
        pid = running.process.pid
        before = await asyncio.to_thread(own_megabytes, pid)
        began = time.monotonic()
        running.order(Job([place.url for place in places], case.every, case.transport, options=way.options))
        listening = asyncio.create_task(running.listen())
        try:
            if not await _all_live(running, listening, case.cameras, tick):
                missing = f"not measured: {len(running.live)} of {case.cameras} live"
                return Result(case, missing=missing, reason=f"in {START_LIMIT:g} s; {running.last_miss()}")
            started = time.monotonic() - began
            await asyncio.sleep(SETTLE)
            begin, first = time.monotonic(), Spent.now(pid, cameras.pid)
            megabytes = []
            while (left := begin + case.seconds - time.monotonic()) > 0:
                await asyncio.sleep(min(1.0, left))
                megabytes.append(await asyncio.to_thread(own_megabytes, pid))
                tick(time.monotonic() - began)
                if listening.done():
                    listening.result()
            end, spent = time.monotonic(), Spent.now(pid, cameras.pid).since(first)
            await asyncio.sleep(1.1)  # the server's report of the last second
        finally:
            listening.cancel()
            await asyncio.wait({listening})
    seen = [look for look in running.looks if begin <= look["at"] < end]
    lateness = cameras.lateness(begin, end)
    return Result.of(case, cameras, seen, (begin, end), started, spent, [one - before for one in megabytes], lateness)


async def _all_live(running: Client, listening: asyncio.Task[None], count: int, tick: Callable[[float], None]) -> bool:
    began = time.monotonic()
    while len(running.live) < count:
        if (passed := time.monotonic() - began) > START_LIMIT:
            return False
        await asyncio.wait({listening}, timeout=0.2)
        if listening.done():
            listening.result()
        tick(passed)
    return True


@asynccontextmanager
async def client(module: str) -> AsyncIterator[Client]:
    """The client process; it and its children are gone afterwards."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.ingest.client", module, cwd=ROOT, stderr=log,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the one that ends us in order
        )  # fmt: skip
        try:
            yield Client(process, log)
        finally:
            family = tree(process.pid)
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(_drained(process), FAREWELL)
            except TimeoutError:
                process.kill()
                await process.wait()
            for child in family:
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                    child.kill()


async def _drained(process: asyncio.subprocess.Process) -> None:
    """A client that prints its last looks must not wait for a reader."""
    assert process.stdout is not None
    while await process.stdout.read(65536):
        pass
    await process.wait()
