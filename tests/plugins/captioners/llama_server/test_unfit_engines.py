"""Real engines that can't work as they are: told with the cause and what to do, and taken again once they can."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.plugin import CaptionUnavailable, Context, Failure, Misconfigured
from plugins.captioners.llama_server import LlamaServer
from tests.fakes.engine.both import RealEngine, real_engine
from tests.fakes.engine.old_version import KNOWN, old_version
from tests.fakes.engine.stand_in import NEW_FLAGS
from tests.fakes.engine.waiting import until
from tests.fakes.leftovers import nothing_left
from tests.fakes.slow_model import slow_model
from tests.fakes.tiny_model import MMPROJ
from tests.plugins.captioners.llama_server.conftest import QUICK, Describes, Running

TOLD = 10.0
"""Seconds from the start to the sentence, three starts later, on a machine that does other things as well."""
CURIOUS = replace(QUICK, look_every=0.1)


@pytest.fixture
def llama(monkeypatch: pytest.MonkeyPatch) -> RealEngine:
    """The llama-server, for what can only be wrong with a program that somebody installed."""
    return real_engine("llama-server", monkeypatch)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -ABRT $$", r"crashed \(SIGABRT\)\. It said nothing"),
        (
            "echo 'ggml.c:1: GGML_ASSERT(false) failed' >&2; kill -ABRT $$",
            r"found a fault in itself .* GGML_ASSERT\(fa",
        ),
        ("kill -ILL $$", r"illegal instruction: it is built for another processor\. Install a llama-server made for "),
        ("kill -SEGV $$", r"crashed \(SIGSEGV\)"),
        (
            "echo 'error while loading shared libraries: libx.so: cannot open shared object file' >&2; exit 127",
            r"lacks a library of the system\. Install what it names, or, .* 'binary', leave that out .* libx\.so",
        ),
        ("exit 0", r"ended as if it had been told to \(exit status 0\)"),
    ],
    ids=["abort", "assertion", "illegal instruction", "crash", "library", "end"],
)
async def test_engine_that_dies_at_its_start(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    tmp_path: Path,
    script: str,
    words: str,
):
    mended = tmp_path / "mended"
    config = real.behind(f"if [ ! -e {mended} ]; then\n{script}\nfi", tmp_path / "bin")
    engine = await asyncio.to_thread(captioner, replace(CURIOUS, rare=0.2), **config)
    async with nothing_left(short), running(engine):
        began = time.monotonic()
        with pytest.raises(CaptionUnavailable, match=words) as caught:
            await engine.ready(60)
        assert time.monotonic() - began < TOLD
        assert caught.value.kind is Failure.ENGINE
        await asyncio.to_thread(mended.touch)
        await describes(engine)


async def test_code_for_a_processor_that_is_at_fault_is_done_without(
    llama: RealEngine,
    running: Running,
    describes: Describes,
    short: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    """As llama.cpp's code for AMX is, built by GCC 12: no caption is lost for it, and no more than one start."""
    caplog.set_level(logging.INFO)
    starts = tmp_path / "starts"
    script = f'echo "$*" >> {starts}\ncase "$*" in *--no-repack*) ;; *) kill -ILL $$ ;; esac'
    async with nothing_left(short), running(**llama.behind(script, tmp_path / "bin")) as engine:
        await describes(engine)
        killed = engine.engine.pid
        psutil.Process(killed).kill()
        await until(lambda: engine.engine.pid not in {None, killed})
        await describes(engine, scenes=3)
    told = (await asyncio.to_thread(starts.read_text)).splitlines()
    assert ["--no-repack" in words for words in told] == [False, True, True]
    assert caplog.text.count("without its code for particular processors") == 1
    assert "illegal instruction" in caplog.text


@pytest.mark.parametrize(("kilobytes", "layers"), [(120_000, 0), (300_000, 0), (450_000, 400)])
async def test_engine_without_memory(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    tmp_path: Path,
    kilobytes: int,
    layers: int,
):
    plenty = tmp_path / "plenty"
    config = real.behind(f"[ -e {plenty} ] || ulimit -v {kilobytes}", tmp_path / "bin")
    if layers:
        config |= {"preset": None, "model": slow_model(tmp_path, layers), "mmproj": MMPROJ}
    engine = await asyncio.to_thread(captioner, CURIOUS, **config)
    async with nothing_left(short), running(engine):
        began = time.monotonic()
        with pytest.raises(CaptionUnavailable, match=r"ran out of memory\. End other programs, choose a smaller model"):
            await engine.ready(60)
        assert time.monotonic() - began < TOLD
        await asyncio.to_thread(plenty.touch)
        await describes(engine)


async def test_llama_server_from_before_the_flags_that_camscribe_likes(
    llama: RealEngine, running: Running, describes: Describes, short: Path, tmp_path: Path
):
    old = old_version(llama.program, tmp_path / "bin")
    async with nothing_left(short), running(binary=old, image_tokens=64) as engine:
        await describes(engine, scenes=3)
    assert not (tmp_path / "bin/rejected").exists()


async def test_old_version_would_reject_the_new_flags(llama: RealEngine, tmp_path: Path):
    """What the test above stands on."""
    old = old_version(llama.program, tmp_path / "bin")
    for flag in NEW_FLAGS:
        process = await asyncio.create_subprocess_exec(old, flag, stderr=asyncio.subprocess.PIPE)
        _, said = await process.communicate()
        assert (process.returncode, said.decode()) == (1, f"error: invalid argument: {flag}\n")
    help_ = await asyncio.create_subprocess_exec(old, "--help", stdout=asyncio.subprocess.PIPE)
    options, _ = await help_.communicate()
    assert {word for word in options.decode().split() if word.startswith("-")} == set(KNOWN)


async def test_option_it_does_not_know(
    llama: RealEngine, captioner: Callable[..., LlamaServer], running: Running, short: Path
):
    engine = await asyncio.to_thread(captioner, CURIOUS, **llama.config, extra_args=("--warp-speed",))
    words = r"does not know an option it was given\. Take it out of extra_args.* error: invalid argument: --warp-speed"
    async with nothing_left(short), running(engine):
        with pytest.raises(CaptionUnavailable, match=words):
            await engine.ready(60)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda whole: whole[:50_000], r"llama-server (--help )?(crashed|can't be started|can't run|ended)"),
        (lambda _: b"#!/no/such/interpreter\n", r"can't be started: No such file or directory"),
        (lambda _: b"\x7fELF but no more of it", r"can't be started: Exec format error"),
        (lambda _: b"#!/bin/sh\nkill -ILL $$\n", r"--help was stopped by an illegal instruction: it is built for anot"),
        (lambda _: b"#!/bin/sh\necho usage: wget\n", r"is no llama-server that can see: its --help knows no --mmproj"),
    ],
    ids=["cut short", "interpreter", "another system's", "another processor's", "another program"],
)
async def test_program_that_is_none(
    llama: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    tmp_path: Path,
    spoil: Callable[[bytes], bytes],
    words: str,
):
    program = tmp_path / "llama-server"
    await asyncio.to_thread(program.write_bytes, spoil(await asyncio.to_thread(llama.program.read_bytes)))
    await asyncio.to_thread(program.chmod, 0o755)
    engine = await asyncio.to_thread(captioner, CURIOUS, binary=program)
    async with nothing_left(short):
        began = time.monotonic()
        with pytest.raises(Misconfigured, match=words):
            await asyncio.wait_for(engine.run(), 60)
        assert time.monotonic() - began < TOLD
        program.unlink()
        await asyncio.to_thread(program.symlink_to, llama.program)
        async with running(engine):
            await describes(engine)


async def test_program_that_was_taken_away_and_comes_back(
    llama: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    tmp_path: Path,
):
    """An update while it runs."""
    program = tmp_path / "llama-server"
    await asyncio.to_thread(program.symlink_to, llama.program)  # a copy may lack the libraries beside it
    engine = await asyncio.to_thread(captioner, CURIOUS, binary=program)
    async with nothing_left(short), running(engine):
        await describes(engine)
        program.rename(tmp_path / "away")
        psutil.Process(engine.engine.pid).kill()
        await until(lambda: "can't be started: No such file or directory" in engine.state)
        (tmp_path / "away").rename(program)
        await describes(engine)


async def test_socket_with_too_long_a_path(real: RealEngine, captioner: Callable[..., LlamaServer], short: Path):
    engine = await asyncio.to_thread(captioner, **real.config)
    long = Context("default", engine.log, short, short / ("x" * 90))
    async with nothing_left(short):
        with pytest.raises(
            Misconfigured, match=r"at most 100 work\. Set XDG_RUNTIME_DIR to a folder with a shorter pa"
        ):
            await asyncio.wait_for(LlamaServer(engine.config, long).run(), 30)


async def test_socket_with_as_long_a_path_as_may_be(
    real: RealEngine, captioner: Callable[..., LlamaServer], running: Running, describes: Describes, short: Path
):
    engine = await asyncio.to_thread(captioner, **real.config)
    name = "x" * (100 - len(f"{short}//llama-12345678.sock"))
    long = Context("default", engine.log, short, short / name)
    async with nothing_left(short), running(LlamaServer(engine.config, long, QUICK)) as engine:
        await describes(engine)


async def test_stale_sockets_are_removed_and_a_living_ones_kept(
    real: RealEngine, running: Running, describes: Describes, short: Path
):
    folder = short / "run"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as alive:
        dead.bind(str(folder / "llama-dead.sock"))
        alive.bind(str(folder / "llama-alive.sock"))
        alive.listen()
        async with running(**real.config) as engine:
            await describes(engine)
            names = {path.name for path in folder.glob("*.sock")}
            assert "llama-dead.sock" not in names
            assert "llama-alive.sock" in names
            assert len(names) == 2


async def test_port_of_somebody_else(
    real: RealEngine, captioner: Callable[..., LlamaServer], running: Running, describes: Describes, short: Path
):
    async with nothing_left(short):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            engine = await asyncio.to_thread(captioner, CURIOUS, **real.config, port=port)
            task = asyncio.create_task(engine.run())
            with pytest.raises(
                CaptionUnavailable, match=rf"Something else listens on http://127\.0\.0\.1:{port}; give "
            ):
                await engine.ready(60)
        await describes(engine)
        task.cancel()
        await asyncio.wait({task})


async def test_port_that_is_taken_without_listening(
    real: RealEngine, captioner: Callable[..., LlamaServer], running: Running, describes: Describes, short: Path
):
    """Nobody answers there beforehand, and yet the engine can't have it."""
    async with nothing_left(short):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            engine = await asyncio.to_thread(captioner, CURIOUS, **real.config, port=port)
            task = asyncio.create_task(engine.run())
            with pytest.raises(
                CaptionUnavailable, match=r"can't listen where it should: something else does\. Give it"
            ):
                await engine.ready(60)
        await describes(engine)
        task.cancel()
        await asyncio.wait({task})
