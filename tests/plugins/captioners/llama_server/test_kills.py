"""kill -9 of the real engines and of their guard, at every moment of their lives: captions come again by themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable, Failure
from plugins.captioners.engine.owner import State
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.processes import busy, guard_of, loading_engine, processor_time
from tests.fakes.engine.waiting import gone, until
from tests.fakes.leftovers import nothing_left
from tests.fakes.scenes import as_sent, known_scenes
from tests.fakes.slow_model import slow_model
from tests.fakes.tiny_model import MMPROJ
from tests.plugins.captioners.llama_server.conftest import Describes, Running

NOTICED = 2.0
"""Seconds from the kill to its being known, on a machine that does other things as well."""


@pytest.fixture(params=["engine", "guard"])
def kill(request: pytest.FixtureRequest) -> Callable[[psutil.Process], float]:
    """Kill the engine, or its guard; the time when."""

    def at_once(engine: psutil.Process) -> float:
        (engine if request.param == "engine" else guard_of(engine)).kill()
        return time.monotonic()

    return at_once


@pytest.fixture
def slow(tmp_path: Path) -> dict[str, object]:
    """A model that takes a second to load and nearly two for a caption, and is as right as the tiny one."""
    return {"preset": None, "model": slow_model(tmp_path, 400), "mmproj": MMPROJ}


async def test_killed_while_idle(
    real: RealEngine, running: Running, describes: Describes, short: Path, kill: Callable[[psutil.Process], float]
):
    async with nothing_left(short), running(**real.config) as engine:
        await describes(engine)
        process = psutil.Process(engine.engine.pid)
        killed = kill(process)
        await until(lambda: engine.engine.state is not State.READY)
        assert time.monotonic() - killed < NOTICED
        await describes(engine)
        assert engine.engine.pid != process.pid
        await until(lambda: gone(process), 5)


async def test_killed_while_loading(
    real: RealEngine,
    running: Running,
    describes: Describes,
    short: Path,
    slow: dict[str, object],
    kill: Callable[[psutil.Process], float],
):
    async with nothing_left(short), running(**real.config, **slow) as engine:
        waiting = asyncio.create_task(engine.ready(60))
        process = await loading_engine(short / "run")
        assert engine.engine.state is State.STARTING
        killed = kill(process)
        await until(lambda: engine.engine.state is State.FAILED)
        assert time.monotonic() - killed < NOTICED
        assert "The engine was killed (SIGKILL): by somebody, or by the system because memory ran out" in engine.state
        await waiting  # one start that failed is no reason to give up
        await describes(engine)
        await until(lambda: gone(process), 5)


async def test_killed_in_the_middle_of_a_caption(
    real: RealEngine,
    running: Running,
    request_: Callable[..., CaptionRequest],
    describes: Describes,
    short: Path,
    slow: dict[str, object],
    kill: Callable[[psutil.Process], float],
):
    async with nothing_left(short), running(**real.config, **slow) as engine:
        await engine.ready(60)
        process = psutil.Process(engine.engine.pid)
        before = processor_time(process)
        (_, picture), *_ = known_scenes(1)
        asking = asyncio.create_task(engine.caption(request_(as_sent(picture, engine.view().size), timeout=60)))
        await busy(process, before)
        assert not asking.done()
        killed = kill(process)
        with pytest.raises(CaptionUnavailable, match="The engine went away in the middle of the caption") as caught:
            await asking
        assert time.monotonic() - killed < NOTICED
        assert caught.value.kind is Failure.ENGINE
        await describes(engine)
        await until(lambda: gone(process), 5)
