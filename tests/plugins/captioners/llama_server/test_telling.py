"""What the engine's owner tells of it: how far a start is, how it is set up, its last lines, its processes."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable, Misconfigured
from plugins.captioners.engine.owner import State
from plugins.captioners.llama_server import LlamaServer
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.llama import llama_server
from tests.fakes.engine.stand_in import NEW_FLAGS, OLD_FLAGS, Behaviour, misbehave, stand_in
from tests.fakes.engine.waiting import until
from tests.fakes.leftovers import nothing_left
from tests.plugins.captioners.llama_server.conftest import QUICK, Describes, Running

Make = Callable[..., LlamaServer]


async def test_long_start_tells_how_far_it_is(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "camscribe")
    pace = replace(QUICK, start_timeout=30, tell_every=0.5)
    engine = await asyncio.to_thread(captioner, pace, binary=stand_in(short, Behaviour(loads=2.5)))
    async with running(engine):
        await until(lambda: engine.state == "starting: loading the model, 1 s of at most 30 s")
        await engine.ready(20)
        assert engine.state == "ready"
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("camscribe")]
    told = [line for line in lines if line.startswith("the engine is loading the model")]
    assert 2 <= len(told) <= 5, "now and then, not at every look at it"


async def test_download_is_told_in_the_state(captioner: Make, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "camscribe")
    engine = (await asyncio.to_thread(captioner)).engine
    for percent in range(100):
        engine.progress(f"downloading model.gguf, {percent} %")
    assert str(engine) == "starting: downloading model.gguf, 99 %"
    assert [r.getMessage() for r in caplog.records] == ["the engine is downloading model.gguf, 0 %"]


async def test_one_line_says_how_it_is_set_up(
    real: RealEngine, running: Running, describes: Describes, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "camscribe")
    async with running(**real.config, threads=2, parallel=2) as engine:
        await describes(engine)
    (line,) = [r.getMessage() for r in caplog.records if "engine ready in" in r.getMessage()]
    assert re.search(r": 2 threads, 2 slots of \d+ tokens, on the processor \(", line)
    assert "projector in F16" in line


async def test_last_lines_are_kept_with_those_of_the_run_that_died_before(running: Running, short: Path):
    server = stand_in(short, Behaviour(say=[f"first {number}" for number in range(150)], dies=-signal.SIGKILL))
    async with running(binary=server) as engine:
        await until(lambda: engine.engine.state is State.FAILED)
        assert list(engine.said) == [f"first {number}" for number in range(150)]
        stand_in(short, Behaviour(say=[f"second {number}" for number in range(150)]))
        await until(lambda: engine.state == "ready")
        await until(lambda: "second 149" in engine.said)
        assert list(engine.said) == [
            *(f"first {number}" for number in range(50, 150)),
            *(f"second {number}" for number in range(50, 150)),
        ]


async def test_processes_are_the_engine_and_its_guard(running: Running, short: Path):
    async with nothing_left(short), running(binary=stand_in(short, Behaviour())) as engine:
        assert engine.processes == ()
        await engine.ready(20)
        pid, guard = engine.processes
        assert pid == engine.engine.pid
        assert psutil.Process(pid).ppid() == guard
    assert engine.processes == ()


async def test_processes_are_told_while_it_loads(running: Running, short: Path):
    async with running(binary=stand_in(short, Behaviour(loads=3600))) as engine:
        await until(lambda: len(engine.processes) == 2)
        assert engine.engine.pid is None, "not ready"


async def test_old_build_without_a_budget_works_and_is_told_once(
    running: Running,
    short: Path,
    tmp_path: Path,
    request_: Callable[..., CaptionRequest],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO, "camscribe")
    server = stand_in(short, Behaviour(flags=OLD_FLAGS))
    async with running(binary=server, image_tokens=64) as engine:
        await engine.ready(20)
        assert (await engine.caption(request_())).text == "A stand-in."
        psutil.Process(engine.engine.pid).kill()
        await until(lambda: engine.state != "ready")
        await engine.ready(20)
    assert caplog.text.count("has no option --image-max-tokens") == 1


@pytest.mark.parametrize("missing", NEW_FLAGS)
async def test_builds_that_lack_any_one_option_work(
    running: Running, short: Path, request_: Callable[..., CaptionRequest], missing: str
):
    flags = tuple(flag for flag in (*OLD_FLAGS, *NEW_FLAGS) if flag != missing)
    async with running(binary=stand_in(short, Behaviour(flags=flags, strict=True)), image_tokens=64) as engine:
        await engine.ready(20)
        assert (await engine.caption(request_())).text == "A stand-in."


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--frobnicate",), "does not know an option it was given. Take it out of extra_args.*--frobnicate"),
        (("--device", "CUDA7"), "can't use the graphics processor it was told to.*invalid device: CUDA7"),
    ],
)
async def test_real_llama_server_with_options_it_cannot_use(running: Running, extra: tuple[str, ...], words: str):
    binary = llama_server()
    if binary is None:
        pytest.skip("no llama-server: make llama-server")
    async with running(binary=binary, extra_args=extra) as engine:
        with pytest.raises(CaptionUnavailable, match=words):
            await engine.ready(20)


async def test_port_that_is_taken_while_the_engine_starts(
    real: RealEngine, running: Running, monkeypatch: pytest.MonkeyPatch, describes: Describes
):
    """Somebody took it between our look at it and the engine's."""

    async def nobody(*_: object) -> None: ...

    monkeypatch.setattr("plugins.captioners.engine.endpoint.make_way", nobody)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with running(**real.config, port=port) as engine:
            with pytest.raises(CaptionUnavailable, match="can't listen where it should: something else does"):
                await engine.ready(20)
            assert "gave up" not in engine.state
            taken.close()
            await describes(engine)


async def test_check_tells_engine_device_threads_and_port(captioner: Make, short: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        devices = ("Vulkan0: A card (8000 MiB, 7000 MiB free)",)
        flags = (*OLD_FLAGS, "--list-devices")
        server = stand_in(short, Behaviour(flags=flags, devices=devices))
        engine = await asyncio.to_thread(captioner, binary=server, port=port, threads=3)
        told = await engine.check()
        assert told == (
            f"tiny (on disk), served by llama-server 11434 ({server}) on Vulkan0: A card, threads: 3; "
            f"port {port} is in use (by camscribe itself, if it runs)"
        )
    assert (await engine.check()).endswith(f"port {port} is free")


async def test_doubt_during_an_outage_starts_nothing_twice(running: Running, short: Path):
    server = stand_in(short, Behaviour())
    async with running(binary=server) as engine:
        await engine.ready(20)
        misbehave(server, loads=3600)
        psutil.Process(engine.engine.pid).kill()
        await until(lambda: engine.state.startswith("starting: loading"))
        engine.engine.lost()
        engine.engine.overran()
        assert engine.state.startswith("starting: loading")


async def test_doctor_tells_of_extra_args_that_nothing_here_takes(captioner):
    with pytest.raises(Misconfigured, match="extra_args are for a llama-server"):
        await (await asyncio.to_thread(captioner, extra_args=["--no-mmap"])).check()
