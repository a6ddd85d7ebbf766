"""Many restarts of each real engine leave nothing behind: no process, socket, open file, thread or memory.

30 of them in every run of the tests; ``make soak`` does 200, COUNT=1000 that many.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable
from plugins.captioners.llama_server import LlamaServer
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.waiting import gone, until
from tests.fakes.leftovers import Leftovers, nothing_left
from tests.fakes.scenes import as_sent, known_scenes
from tests.plugins.captioners.llama_server.conftest import QUICK, Describes, Running

COUNT = int(os.environ.get("CAMSCRIBE_TEST_RESTARTS", "30"))
WARM_UP = 6
"""Until every pool has its threads and every cache its content."""
MEGABYTES = 8
AT_ONCE = replace(QUICK, first_pause=0.02, longest_pause=0.02)


@pytest.mark.slow
async def test_restarts_leave_nothing_behind(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    request_: Callable[..., CaptionRequest],
    describes: Describes,
    short: Path,
):
    engine = await asyncio.to_thread(captioner, AT_ONCE, **real.config)
    question = request_(as_sent(known_scenes(1)[0][1], engine.view().size), timeout=30)
    ways = (killed, killed_while_asked, told_to_end)
    async with nothing_left(short), running(engine):
        for number in range(WARM_UP):
            await restart(engine, question, ways[number % 3])
        await describes(engine, scenes=3)
        before, memory = Leftovers.of(short), megabytes()
        assert (len(before.processes), len(before.sockets)) == (2, 1), "the engine, its guard, their socket"
        began = time.monotonic()
        for number in range(COUNT):
            await restart(engine, question, ways[number % 3])
            if number % 10 == 9:
                await describes(engine)
                seconds = (time.monotonic() - began) / (number + 1)
                now = Leftovers.of(short)
                tell(f"{real.name}: {number + 1} of {COUNT} restarts, {seconds:.2f} s each; {megabytes():.0f} MB,")
                tell(f" {now.files} open files, {now.threads} threads, {len(now.processes)} processes\n")
        # A check of the engine's health may just have a connection of its own, which is closed a moment later.
        await until(lambda: Leftovers.of(short).files <= before.files, 10)
        after = Leftovers.of(short)
        assert (len(after.processes), len(after.sockets)) == (2, 1)
        assert after.zombies <= before.zombies
        assert after.threads <= before.threads
        assert megabytes() - memory < MEGABYTES


async def test_starts_and_stops_leave_nothing_behind(
    real: RealEngine, running: Running, describes: Describes, short: Path
):
    async with running(**real.config) as engine:
        await describes(engine)
    async with nothing_left(short):
        for _ in range(5):
            async with running(**real.config) as engine:
                await engine.ready(30)
        async with running(**real.config):  # and one that is ended before it is ready
            await until(lambda: list((short / "run").glob("*.sock")))


async def restart(engine: LlamaServer, question: CaptionRequest, end: Callable[..., object]) -> None:
    await engine.ready(30)
    process = psutil.Process(engine.engine.pid)
    await end(engine, process, question)
    await until(lambda: gone(process))
    await until(lambda: engine.engine.pid not in {None, process.pid})


async def killed(_engine: LlamaServer, process: psutil.Process, _question: CaptionRequest) -> None:
    process.kill()


async def told_to_end(_engine: LlamaServer, process: psutil.Process, _question: CaptionRequest) -> None:
    process.terminate()


async def killed_while_asked(engine: LlamaServer, process: psutil.Process, question: CaptionRequest) -> None:
    process.suspend()  # so that it surely has not answered yet
    asking = asyncio.create_task(engine.caption(question))
    await asyncio.wait({asking}, timeout=0.05)
    process.kill()
    with pytest.raises(CaptionUnavailable):
        await asking


def megabytes() -> float:
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # what is free must not hide what is kept
    return psutil.Process().memory_info().rss / 2**20


def tell(text: str) -> None:
    if COUNT > 30:
        sys.stdout.write(text)
        sys.stdout.flush()
