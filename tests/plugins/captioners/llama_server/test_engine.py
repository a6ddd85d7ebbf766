"""The owner of the engine's process, against stand-ins that do wrong on demand."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable, Context, Failure, Misconfigured
from plugins.captioners.engine.child import Child
from plugins.captioners.engine.owner import Pace, Pauses, State
from plugins.captioners.llama_server import LlamaServer
from tests.fakes.engine.stand_in import Behaviour, calls, misbehave, stand_in
from tests.fakes.engine.waiting import gone, until
from tests.plugins.captioners.llama_server.conftest import QUICK, Running

Ask = Callable[..., CaptionRequest]


async def test_ready_engine_answers_and_is_gone_after_the_stop(running: Running, short: Path, request_: Ask):
    server = stand_in(short, Behaviour())
    async with running(binary=server) as engine:
        assert engine.state in {"stopped", "starting"}
        await engine.ready(20)
        assert engine.state == "ready"
        caption = await engine.caption(request_())
        assert (caption.text, caption.image_ms, caption.generate_ms, caption.tokens) == ("A stand-in.", 12.5, 3.5, 4)
        process = psutil.Process(engine.engine.pid)
    assert engine.state == "stopped"
    await until(lambda: gone(process), within=2)
    assert list((short / "run").iterdir()) == []


async def test_socket_is_nobody_elses(running: Running, short: Path):
    async with running(binary=stand_in(short, Behaviour())) as engine:
        await engine.ready(20)
        (path,) = (short / "run").iterdir()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert not path.stat().st_mode & 0o077
        assert not [c for c in psutil.Process(engine.engine.pid).net_connections() if c.status == psutil.CONN_LISTEN]


async def test_listens_on_tcp_of_this_machine_only_where_asked(running: Running, short: Path, request_: Ask):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with running(binary=stand_in(short, Behaviour()), port=port) as engine:
        await engine.ready(20)
        assert (await engine.caption(request_())).text == "A stand-in."
        listening = psutil.Process(engine.engine.pid).net_connections()
        assert [c.laddr for c in listening if c.status == psutil.CONN_LISTEN] == [("127.0.0.1", port)]


async def test_port_of_somebody_else_is_said(running: Running, short: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with running(binary=stand_in(short, Behaviour()), port=taken.getsockname()[1]) as engine:
            with pytest.raises(CaptionUnavailable, match="Something else listens on"):
                await engine.ready(20)


async def test_sockets_of_dead_runs_are_removed_and_living_ones_stay(running: Running, short: Path):
    folder = short / "run"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as alive:
        dead.bind(str(folder / "llama-dead.sock"))
        alive.bind(str(folder / "llama-alive.sock"))
        alive.listen()
        async with running(binary=stand_in(short, Behaviour())) as engine:
            await engine.ready(20)
            names = {path.name for path in folder.iterdir()}
            assert "llama-dead.sock" not in names
            assert "llama-alive.sock" in names


async def test_runtime_folder_with_too_long_a_path_is_said(captioner: Callable[..., LlamaServer], short: Path):
    server = stand_in(short, Behaviour())
    engine = await asyncio.to_thread(captioner, binary=server)
    long = Context("default", engine.log, short, short / ("x" * 90))
    with pytest.raises(Misconfigured, match=r"at most 100 work. Set XDG_RUNTIME_DIR"):
        await LlamaServer(engine.config, long).run()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            Behaviour(say=["loading", "E not enough memory"], dies=3),
            "ended with exit status 3. Its last words: loading | E",
        ),
        (Behaviour(say=["loading"], dies=-signal.SIGILL), "illegal instruction: it is built for another processor"),
        (Behaviour(dies=-signal.SIGABRT), r"crashed \(SIGABRT\). It said nothing"),
        (Behaviour(say=["loading"], dies=-signal.SIGKILL), r"memory ran out\.\)"),
        (
            Behaviour(say=["1", "2", "3", "4", "slot print_timing: id 0", "slot release: id 0"], dies=3),
            r"status 3\. Its last words: 2 \| 3 \| 4\.\)",
        ),
    ],
)
async def test_death_at_the_start_is_told_with_the_last_words(
    running: Running, short: Path, behaviour: Behaviour, words: str, caplog: pytest.LogCaptureFixture
):
    server = stand_in(short, behaviour)
    async with running(binary=server) as engine:
        with pytest.raises(CaptionUnavailable, match=words) as caught:
            await engine.ready(20)
        assert caught.value.kind is Failure.ENGINE
        assert engine.state.startswith("failed: ")
        await until(lambda: len(calls(server)) >= 7 or "gave up" in engine.state)
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(errors) == 1, "an outage is logged once"


async def test_starts_again_with_growing_pauses_and_recovers(
    captioner: Callable[..., LlamaServer], running: Running, short: Path
):
    server = stand_in(short, Behaviour())
    misbehave(server)
    broken = stand_in(short / "broken", Behaviour(dies=1))
    binary = short / "either"
    await asyncio.to_thread(binary.symlink_to, broken)
    engine = await asyncio.to_thread(captioner, binary=binary)
    async with running(engine):
        await until(lambda: len(calls(broken)) >= 4)
        binary.unlink()
        binary.symlink_to(server)
        await until(lambda: engine.engine.state is State.READY)


def test_pauses_double_up_to_the_longest_with_a_little_chance():
    pauses = Pauses(Pace(jitter=lambda: 0))
    assert [pauses.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    pauses.reset()
    assert pauses.next() == 1
    assert [Pauses(Pace(jitter=lambda: 1)).next(), Pauses(Pace(jitter=lambda: 0.5)).next()] == pytest.approx(
        [1.1, 1.05]
    )


async def test_loading_longer_than_it_may_ends_the_start(
    running: Running, captioner: Callable[..., LlamaServer], short: Path
):
    server = stand_in(short, Behaviour(loads=3600, say=["loading model"]))
    pace = Pace(start_timeout=1, first_pause=0.05, longest_pause=0.05, grace=1)
    engine = await asyncio.to_thread(captioner, pace, binary=server)
    async with running(engine):
        await until(lambda: engine.engine.state is State.FAILED)
        assert "had not loaded the model after 1 s (start_timeout). Its last words: loading model" in engine.state
        await until(lambda: len(calls(server)) >= 2)


async def test_slow_loading_is_waited_for(running: Running, short: Path):
    async with running(binary=stand_in(short, Behaviour(loads=1))) as engine:
        with pytest.raises(CaptionUnavailable, match="not ready"):
            await engine.ready(0.1)
        await engine.ready(20)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(props={"modalities": {"vision": False}}),
        Behaviour(props={}, models={"data": [{"architecture": {"input_modalities": ["text"]}}]}),
        Behaviour(props={}, models={"models": [{"capabilities": ["completion"]}]}),
    ],
)
async def test_model_that_cannot_see_is_a_fault_of_the_config(
    captioner: Callable[..., LlamaServer], short: Path, behaviour: Behaviour
):
    engine = await asyncio.to_thread(captioner, binary=stand_in(short, behaviour))
    with pytest.raises(Misconfigured, match=r"can't see pictures: name its picture projector .* under mmproj"):
        async with asyncio.timeout(20):
            await engine.run()
    with pytest.raises(CaptionUnavailable, match="can't see pictures"):
        await engine.ready(20)


async def test_engine_that_ignores_term_is_killed_after_the_grace(
    running: Running, short: Path, caplog: pytest.LogCaptureFixture
):
    async with running(binary=stand_in(short, Behaviour(ignores_term=True))) as engine:
        await engine.ready(20)
        process = psutil.Process(engine.engine.pid)
        began = time.monotonic()
    assert QUICK.grace <= time.monotonic() - began < QUICK.grace + 3
    assert "did not end it in time" not in caplog.text, (
        "the guard has to do it, who also does it when the agent is dead"
    )
    await until(lambda: gone(process), within=2)


async def test_stop_is_idempotent_and_takes_what_the_engine_started(short: Path):
    script = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); sys.stderr.write('up\\n'); child.wait()"
    )
    child = await Child.start([sys.executable, "-uc", script], os.environ, logging.getLogger("engine"), 1)
    await until(lambda: "up" in child.last_words())
    assert child.pid
    family = [psutil.Process(child.group), *psutil.Process(child.group).children(recursive=True)]
    assert len(family) == 3
    await asyncio.gather(child.stop(), child.stop())
    await child.stop()
    await until(lambda: all(gone(process) for process in family), within=2)


@pytest.mark.parametrize("victim", ["engine", "guard"])
async def test_killed_engine_or_guard_is_replaced(running: Running, short: Path, request_: Ask, victim: str):
    server = stand_in(short, Behaviour())
    async with running(binary=server) as engine:
        await engine.ready(20)
        process = psutil.Process(engine.engine.pid)
        (process if victim == "engine" else process.parent()).kill()
        await until(lambda: gone(process))
        await until(lambda: len(calls(server)) == 2)
        await engine.ready(20)
        assert (await engine.caption(request_())).text == "A stand-in."
        assert engine.engine.pid != process.pid


async def test_engine_that_stops_answering_is_replaced(running: Running, short: Path):
    server = stand_in(short, Behaviour())
    async with running(binary=server) as engine:
        await engine.ready(20)
        misbehave(server, silent=True)
        await until(lambda: engine.engine.state is State.FAILED, within=30)
        assert "it runs, but does not answer" in engine.state
        misbehave(server)
        await engine.ready(20)


async def test_engine_whose_captions_never_come_is_replaced(running: Running, short: Path, request_: Ask):
    server = stand_in(short, Behaviour(hangs=True))
    async with running(binary=server) as engine:
        await engine.ready(20)
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(CaptionUnavailable) as caught:
                await engine.caption(request_(timeout=0.3))
            assert caught.value.kind is Failure.ENGINE_TIMEOUT
            assert time.monotonic() - began < 2
        misbehave(server, hangs=False)
        await until(lambda: len(calls(server)) == 2)
        await engine.ready(20)
        assert (await engine.caption(request_())).text == "A stand-in."


async def test_asking_an_engine_that_is_not_there_fails_at_once(captioner: Callable[..., LlamaServer], request_: Ask):
    engine = await asyncio.to_thread(captioner)
    began = time.monotonic()
    with pytest.raises(CaptionUnavailable, match="not ready") as caught:
        await engine.caption(request_())
    assert caught.value.kind is Failure.ENGINE
    assert time.monotonic() - began < 1


async def test_floods_of_output_are_bounded(running: Running, short: Path):
    async with running(binary=stand_in(short, Behaviour(say=["x" * 500_000, *(["line"] * 5000)]))) as engine:
        await engine.ready(20)


async def test_an_engine_that_was_told_to_end_is_not_asked_however_long_it_takes(short, running):
    async with running(binary=stand_in(short, Behaviour())) as captioner:
        await captioner.ready(10)
        old = captioner.engine.pid
        captioner.engine.retire()
        with pytest.raises(CaptionUnavailable):  # it still runs, and says that it is well
            await captioner.ready(0.5)
        os.kill(old, signal.SIGKILL)
        await captioner.ready(10)
        assert captioner.engine.pid not in {None, old}
