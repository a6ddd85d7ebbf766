"""What time does not mend is given up until something changes; what it may mend is tried for ever, and told once."""

from __future__ import annotations

import asyncio
import logging
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable
from plugins.captioners.engine.endings import Ending, Kind
from plugins.captioners.engine.owner import State
from plugins.captioners.engine.pace import Pace
from plugins.captioners.engine.troubles import Troubles
from plugins.captioners.llama_server import LlamaServer, asking
from plugins.captioners.llama_server.presets import TINY
from tests.fakes.engine.stand_in import Behaviour, calls, misbehave, stand_in
from tests.fakes.engine.waiting import until
from tests.plugins.captioners.llama_server.conftest import QUICK, Running

Make = Callable[..., LlamaServer]
BROKEN = Behaviour(say=["E gguf_init_from_reader: failed to read magic"], dies=1)
NO_MEMORY = Behaviour(say=["terminate called after throwing an instance of 'std::bad_alloc'"], dies=-signal.SIGABRT)
FAST = replace(QUICK, first_pause=0.02, longest_pause=0.02, look_every=0.05)


async def given_up(engine: LlamaServer) -> None:
    await until(lambda: "gave up" in engine.state)


def loud(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_broken_model_is_given_up_and_told_once(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "camscribe")
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await given_up(engine)
        assert engine.state.startswith("failed: gave up after 5 starts: The engine can't read its model")
        assert "failed to read magic" in engine.state
        with pytest.raises(CaptionUnavailable, match="gave up after 5 starts"):
            await asyncio.wait_for(engine.ready(20), 1)
        assert len(calls(server)) == 5
    (error,) = loud(caplog)
    assert error.startswith("Gave up the engine after 5 starts. The engine can't read its model: a GGUF file is broken")
    assert caplog.records[-1].levelno == logging.ERROR
    first = [r for r in caplog.records if r.levelno == logging.INFO and "It is tried again" in r.getMessage()]
    assert len(first) == 1, "told at the first start too, while a retry may still help"
    assert engine.state == "stopped"


async def test_given_up_engine_is_not_started_while_nothing_changes(running: Running, captioner: Make, short: Path):
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await given_up(engine)
        with pytest.raises(TimeoutError):
            await until(lambda: len(calls(server)) > 5, within=0.6)


async def test_changed_binary_is_tried_at_once(
    running: Running, captioner: Make, short: Path, request_: Callable[..., CaptionRequest]
):
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await given_up(engine)
        stand_in(short, Behaviour(version="version: 12000 (newer)"))
        await until(lambda: engine.engine.state is State.READY)
        assert (await engine.caption(request_())).text == "A stand-in."


@pytest.mark.parametrize("part", ["model", "mmproj"])
async def test_changed_model_file_is_tried_at_once(
    running: Running, captioner: Make, short: Path, tmp_path: Path, part: str
):
    files = {
        "model": Path(shutil.copy(TINY / "tinyvlm-text-f16.gguf", tmp_path)),
        "mmproj": Path(shutil.copy(TINY / "tinyvlm-mmproj-f16.gguf", tmp_path)),
    }
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, FAST, preset=None, binary=server, **files)
    async with running(engine):
        await given_up(engine)
        misbehave(server, loads=0)
        with files[part].open("ab") as file:
            file.write(b"more")
        await until(lambda: len(calls(server)) == 6)
        await given_up(engine)


async def test_change_that_was_of_no_use_is_told(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "camscribe")
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, replace(FAST, rare=2), binary=server)
    async with running(engine):
        await given_up(engine)
        stand_in(short, replace(BROKEN, version="version: 12000 (as broken)"))
        await until(lambda: len(loud(caplog)) == 2)
        await until(lambda: len(calls(server)) >= 7)
    assert caplog.text.count("has changed: starting it") == 1
    assert [line[:35] for line in loud(caplog)] == [
        "Gave up the engine after 5 starts. ",
        "Gave up the engine after 6 starts. ",
    ], "and not again where time alone brought about the next start"


async def test_frame_that_comes_right_after_a_mend_waits_for_the_start(running: Running, captioner: Make, short: Path):
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await given_up(engine)
        stand_in(short, Behaviour(loads=1, version="version: 12000 (newer)"))
        await until(lambda: engine.state.startswith("starting: loading"))
        await engine.ready(20)


async def test_file_that_is_still_being_copied_is_waited_for(
    running: Running, captioner: Make, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    growing = tmp_path / "growing.gguf"
    server, left, started = stand_in(short, BROKEN), 0, []

    def grows_at_each_look(_: LlamaServer) -> list[Path]:
        nonlocal left
        if left:
            left -= 1
            started.append(len(calls(server)))
            growing.write_bytes(b"more" * (20 - left))
        return [growing]

    monkeypatch.setattr(LlamaServer, "_watched", grows_at_each_look)
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await given_up(engine)
        left = 10
        await until(lambda: len(calls(server)) == 6)
    assert started == [5] * 10


async def test_given_up_engine_is_tried_now_and_then_all_the_same(running: Running, captioner: Make, short: Path):
    server = stand_in(short, BROKEN)
    engine = await asyncio.to_thread(captioner, replace(FAST, rare=0.3), binary=server)
    async with running(engine):
        await given_up(engine)
        await until(lambda: len(calls(server)) >= 7)


async def test_lack_of_memory_is_never_given_up_and_told_once(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "camscribe")
    server = stand_in(short, NO_MEMORY)
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await until(lambda: len(calls(server)) >= 8)
        assert "gave up" not in engine.state
        assert len(loud(caplog)) == 1
        assert "ran out of memory. End other programs" in loud(caplog)[0]


async def test_machine_without_memory_at_the_first_start_is_waited_for(
    running: Running, captioner: Make, short: Path, caplog: pytest.LogCaptureFixture
):
    """The system may as well kill an engine that is only asked what it is, and nobody can mend that in the config."""
    server = stand_in(short, Behaviour(dies_asked=signal.SIGKILL))
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        await until(lambda: "--help was killed (SIGKILL)" in engine.state)
        stand_in(short, Behaviour())
        await until(lambda: engine.engine.state is State.READY)
    assert len(loud(caplog)) == 1


async def test_engine_that_was_too_busy_to_say_what_it_is_is_asked_again(
    running: Running, captioner: Make, short: Path, monkeypatch: pytest.MonkeyPatch
):
    busy = short / "llama-server"
    busy.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c 'import time; time.sleep(600)'\n")
    busy.chmod(0o755)
    monkeypatch.setattr(asking, "WITHIN", 0.5)
    engine = await asyncio.to_thread(captioner, FAST, binary=busy)
    async with running(engine):
        await until(lambda: "gave no answer within 0.5 s" in engine.state)
        monkeypatch.setattr(asking, "WITHIN", 20)
        stand_in(short, Behaviour())
        await until(lambda: engine.engine.state is State.READY)


def troubles(log: str = "troubles") -> Troubles:
    return Troubles(Pace(), logging.getLogger(log))


def some(kind: Kind) -> Ending:
    return Ending(kind, f"It is {kind}.")


def test_another_cause_is_told_even_in_the_middle_of_an_outage(caplog: pytest.LogCaptureFixture):
    it = troubles()
    for kind in (Kind.MEMORY, Kind.MEMORY, Kind.ADDRESS, Kind.MEMORY, Kind.ADDRESS):
        it.add(some(kind), 1, was_ready=False)
    assert [line[:22] for line in loud(caplog)] == ["It is out of memory. I", "It is address in use. "]


def test_passing_trouble_in_between_begins_the_count_anew():
    it = troubles()
    for kind in [Kind.CORRUPT] * 4 + [Kind.MEMORY] + [Kind.CORRUPT] * 4:
        it.add(some(kind), 1, was_ready=False)
    assert not it.gave_up
    it.add(some(Kind.CORRUPT), 1, was_ready=False)
    assert it.gave_up


def test_end_of_an_outage_is_told_and_the_next_one_is_a_new_one(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    it = troubles()
    for _ in range(3):
        it.add(some(Kind.MEMORY), 1, was_ready=True)
    it.well()
    it.well()
    it.add(some(Kind.MEMORY), 1, was_ready=True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert "works again, after 3 failures" in caplog.text


def test_crash_of_what_has_worked_before_is_not_given_up():
    it = troubles()
    it.well()
    for _ in range(9):
        it.add(some(Kind.CRASH), 1, was_ready=True)
    assert not it.gave_up
    never_worked = troubles()
    for _ in range(5):
        never_worked.add(some(Kind.CRASH), 1, was_ready=True)
    assert never_worked.gave_up


async def test_engine_that_dies_of_every_caption_is_told_once(
    running: Running,
    captioner: Make,
    short: Path,
    request_: Callable[..., CaptionRequest],
    caplog: pytest.LogCaptureFixture,
):
    server = stand_in(short, Behaviour(dies_of_captions=-signal.SIGSEGV))
    engine = await asyncio.to_thread(captioner, FAST, binary=server)
    async with running(engine):
        for _ in range(4):
            await engine.ready(20)
            with pytest.raises(CaptionUnavailable, match="went away"):
                await engine.caption(request_())
        await until(lambda: engine.engine.state is State.FAILED or len(calls(server)) == 5)
        assert len(loud(caplog)) == 1
