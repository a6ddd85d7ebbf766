"""An idle engine gives its memory back, and whoever wants a caption waits for its waking and no longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from agent.plugin import CaptionRequest, CaptionUnavailable
from plugins.captioners.engine.owner import State
from plugins.captioners.llama_server import LlamaServer, LlamaServerConfig
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.stand_in import Behaviour, calls, misbehave, stand_in
from tests.fakes.engine.waiting import gone, until
from tests.fakes.leftovers import nothing_left
from tests.fakes.scenes import as_sent, known_scenes
from tests.plugins.captioners.llama_server.conftest import QUICK, Running

Ask = Callable[..., CaptionRequest]
Make = Callable[..., LlamaServer]
SLEEPY = replace(QUICK, check_every=0.1, sleep_after=0.5)
ASLEEP = "ready: asleep"


async def test_real_engine_falls_asleep_and_wakes_for_a_caption(
    real: RealEngine, running: Running, captioner: Make, short: Path, request_: Ask
):
    engine = await asyncio.to_thread(captioner, SLEEPY, **real.config)
    (truth, picture), *_ = known_scenes(1)
    async with nothing_left(short), running(engine):
        await engine.ready(30)
        processes = [psutil.Process(pid) for pid in engine.processes]
        assert len(processes) == 2
        for _ in range(2):
            await until(lambda: engine.state == ASLEEP)
            assert all(gone(process) for process in processes)
            assert engine.processes == ()
            assert not list((short / "run").glob("*.sock"))
            await engine.ready(30)
            caption = await engine.caption(request_(as_sent(picture, engine.view().size), timeout=30))
            assert caption.text == truth
            processes = [psutil.Process(pid) for pid in engine.processes]


async def test_caption_wakes_it_without_having_asked_whether_it_is_ready(
    running: Running, captioner: Make, short: Path, request_: Ask
):
    server = stand_in(short, Behaviour())
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=server)
    async with running(engine):
        await until(lambda: engine.state == ASLEEP)
        assert len(calls(server)) == 1
        assert (await engine.caption(request_())).text == "A stand-in."
        assert len(calls(server)) == 2


async def test_caption_waits_for_the_waking_that_another_one_asked_for(
    running: Running, captioner: Make, short: Path, request_: Ask
):
    """As the agent asks in an outage: without patience first. Rare looks would never see it awake else."""
    server = stand_in(short, Behaviour(loads=1))
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=server)
    async with running(engine):
        await until(lambda: engine.state == ASLEEP)
        for _ in range(2):
            with pytest.raises(CaptionUnavailable):
                await engine.ready(0)
            await until(lambda: engine.state.startswith("starting"))
            assert (await engine.caption(request_())).text == "A stand-in."
            await until(lambda: engine.state == ASLEEP)


async def test_caption_in_the_middle_of_falling_asleep_wakes_it(
    running: Running, captioner: Make, short: Path, request_: Ask
):
    server = stand_in(short, Behaviour(ignores_term=True))
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=server)
    async with running(engine):
        await until(lambda: engine.state == "stopping")
        assert (await engine.caption(request_())).text == "A stand-in."


async def test_outage_that_began_with_its_waking_is_told_to_its_end(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "camscribe")
    server = stand_in(short, Behaviour())
    engine = await asyncio.to_thread(captioner, replace(SLEEPY, first_pause=2), binary=server)
    async with running(engine):
        await until(lambda: engine.state == ASLEEP)
        stand_in(short, Behaviour(dies=3))
        with pytest.raises(CaptionUnavailable):
            await engine.ready(0)
        await until(lambda: "exit status 3" in engine.state)
        stand_in(short, Behaviour(version="version: 12000 (mended)"))
        await engine.ready(20)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("camscribe")]
    assert [line[:12] for line in told] == ["engine ready", "The engine e", "engine ready"]


async def test_many_who_want_it_at_once_wake_it_once(running: Running, captioner: Make, short: Path, request_: Ask):
    server = stand_in(short, Behaviour())
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=server)
    async with running(engine):
        await until(lambda: engine.state == ASLEEP)
        captions = await asyncio.gather(*(engine.caption(request_()) for _ in range(3)))
        assert {caption.text for caption in captions} == {"A stand-in."}
        assert len(calls(server)) == 2


async def test_patience_with_its_waking_has_an_end(running: Running, captioner: Make, short: Path):
    server = stand_in(short, Behaviour())
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=server)
    async with running(engine):
        await until(lambda: engine.state == ASLEEP)
        misbehave(server, loads=3600)
        with pytest.raises(CaptionUnavailable, match=r"not ready \(starting"):
            await engine.ready(0.5)
        misbehave(server)
        await engine.ready(20)


async def test_it_does_not_fall_asleep_in_the_middle_of_a_caption(
    running: Running, captioner: Make, short: Path, request_: Ask
):
    server = stand_in(short, Behaviour(hangs=True))
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=server)
    async with running(engine):
        await engine.ready(20)
        with pytest.raises(CaptionUnavailable, match=r"took longer than 2 s"):
            await engine.caption(request_(timeout=2))
        assert engine.engine.state is State.READY
        assert len(calls(server)) == 1
        await until(lambda: engine.state == ASLEEP)


async def test_sleep_is_no_outage_and_a_kill_before_it_still_is_one(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=stand_in(short, Behaviour()))
    async with running(engine):
        await until(lambda: engine.state == ASLEEP)
        assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
        await engine.ready(20)
        psutil.Process(engine.engine.pid).kill()
        await until(lambda: "was killed" in caplog.text)
        await engine.ready(20)


async def test_stop_while_it_sleeps(running: Running, captioner: Make, short: Path):
    engine = await asyncio.to_thread(captioner, SLEEPY, binary=stand_in(short, Behaviour()))
    async with nothing_left(short), running(engine):
        await until(lambda: engine.state == ASLEEP)
    assert engine.state == "stopped"
    with pytest.raises(CaptionUnavailable):
        await engine.ready(0.1)


def test_how_long_is_a_duration_in_the_config():
    assert LlamaServerConfig(preset="tiny", sleep_when_idle="10m").sleep_when_idle == 600
    assert LlamaServerConfig(preset="tiny").sleep_when_idle is None
    with pytest.raises(ValidationError, match="greater than or equal to 10"):
        LlamaServerConfig(preset="tiny", sleep_when_idle="1s")
