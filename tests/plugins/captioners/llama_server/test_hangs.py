"""Real engines that stand still (SIGSTOP: alive, and doing nothing): noticed by a deadline, and replaced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable, Failure
from plugins.captioners.engine.client import HEALTH_WITHIN
from plugins.captioners.engine.launch import Watch
from plugins.captioners.engine.owner import State
from plugins.captioners.llama_server import LlamaServer
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.processes import busy, guard_of, loading_engine, processor_time
from tests.fakes.engine.waiting import gone, until
from tests.fakes.leftovers import nothing_left
from tests.fakes.scenes import as_sent, known_scenes
from tests.fakes.slow_model import slow_model
from tests.fakes.tiny_model import MMPROJ
from tests.plugins.captioners.llama_server.conftest import QUICK, Describes, Running

NOTICED = QUICK.check_every + Watch.MISSED_CHECKS * (HEALTH_WITHIN + 0.1)
"""Seconds from the standstill to its being known."""
ENDED = QUICK.grace
"""Seconds more to the end of a process that heeds no TERM."""
SLACK = 3.0
"""For a machine that does other things as well."""


async def test_standstill_while_idle(real: RealEngine, running: Running, describes: Describes, short: Path):
    async with nothing_left(short), running(**real.config) as engine:
        await describes(engine)
        process = psutil.Process(engine.engine.pid)
        process.suspend()
        began = time.monotonic()
        await until(lambda: engine.engine.state is State.FAILED)
        assert time.monotonic() - began < NOTICED + ENDED + SLACK
        assert "The engine hangs: it runs, but does not answer" in engine.state
        await until(lambda: gone(process), 5)
        await describes(engine)


@pytest.mark.slow
async def test_standstill_while_loading(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    tmp_path: Path,
):
    pace = replace(QUICK, start_timeout=6.0)
    model = {"preset": None, "model": slow_model(tmp_path, 400), "mmproj": MMPROJ}
    engine = await asyncio.to_thread(captioner, pace, **real.config, **model)
    async with nothing_left(short), running(engine):
        process = await loading_engine(short / "run")
        process.suspend()
        began = time.monotonic()
        await until(lambda: engine.engine.state is State.FAILED)
        assert time.monotonic() - began < pace.start_timeout + ENDED + SLACK
        assert "The engine had not loaded the model after 6 s (start_timeout)" in engine.state
        await until(lambda: gone(process), 5)
        await describes(engine)


@pytest.mark.slow
async def test_standstill_in_the_middle_of_a_caption(
    real: RealEngine,
    running: Running,
    request_: Callable[..., CaptionRequest],
    describes: Describes,
    short: Path,
    tmp_path: Path,
):
    model = {"preset": None, "model": slow_model(tmp_path, 400), "mmproj": MMPROJ}
    async with nothing_left(short), running(**real.config, **model) as engine:
        await engine.ready(60)
        process = psutil.Process(engine.engine.pid)
        before = processor_time(process)
        (_, picture), *_ = known_scenes(1)
        began = time.monotonic()
        asking = asyncio.create_task(engine.caption(request_(as_sent(picture, engine.view().size), timeout=4)))
        await busy(process, before)
        process.suspend()
        with pytest.raises(CaptionUnavailable, match="The model took longer than 4 s") as caught:
            await asking
        assert time.monotonic() - began < 4 + SLACK, "the caption's own deadline holds, whatever the engine does"
        assert caught.value.kind is Failure.ENGINE_TIMEOUT
        await until(lambda: gone(process))
        assert time.monotonic() - began < NOTICED + ENDED + 2 * SLACK
        await describes(engine)


async def test_stop_takes_an_engine_that_stands_still(real: RealEngine, running: Running, short: Path):
    async with nothing_left(short):
        async with running(**real.config) as engine:
            await engine.ready(30)
            process = psutil.Process(engine.engine.pid)
            process.suspend()
            began = time.monotonic()
        assert time.monotonic() - began < QUICK.grace + SLACK
        await until(lambda: gone(process), 5)


async def test_stop_takes_a_guard_that_stands_still(real: RealEngine, running: Running, short: Path):
    async with nothing_left(short):
        async with running(**real.config) as engine:
            await engine.ready(30)
            process = psutil.Process(engine.engine.pid)
            guard_of(process).suspend()
            began = time.monotonic()
        assert time.monotonic() - began < QUICK.grace + 2 + SLACK
        await until(lambda: gone(process), 5)  # killed without its guard, whose end could have been waited for


async def test_short_standstill_is_lived_through(real: RealEngine, running: Running, describes: Describes, short: Path):
    async with nothing_left(short), running(**real.config) as engine:
        await describes(engine)
        process = psutil.Process(engine.engine.pid)
        process.suspend()
        await asyncio.sleep(HEALTH_WITHIN + 1)  # one check is missed
        process.resume()
        await describes(engine)
        assert engine.engine.pid == process.pid
