"""Which engine is found, and with which options it is started."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.plugin import Misconfigured
from plugins.captioners.engine.endpoint import Endpoint
from plugins.captioners.llama_server import LlamaServerConfig, asking, binary
from plugins.captioners.llama_server.binary import Installed, Wheel, find
from plugins.captioners.llama_server.command import command, environment, threads
from plugins.captioners.llama_server.presets import Files
from tests.fakes.engine.llama import llama_server
from tests.fakes.engine.stand_in import OLD_FLAGS, Behaviour, stand_in

LOG = logging.getLogger("engine")
FILES = Files(Path("/m.gguf"), Path("/p.gguf"))
SOCKET = Endpoint("/run/x.sock", 0, Path("/run/x.sock"))


async def test_llama_server_on_the_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server = stand_in(tmp_path, Behaviour())
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    found = await find(None, LOG)
    assert isinstance(found, Installed)
    assert (found.path, found.version) == (server, "11434")
    assert {"--image-max-tokens", "--mmproj"} <= found.flags


async def test_usual_folders_are_searched_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_in(tmp_path, Behaviour())
    monkeypatch.setattr(binary, "USUAL_FOLDERS", (str(tmp_path),))
    assert isinstance(await find(None, LOG), Installed)


async def test_without_one_the_wheel_serves():
    assert isinstance(await find(None, LOG), Wheel)


async def test_one_that_cannot_run_here_gives_way_to_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    stand_in(tmp_path, Behaviour(dies_asked=signal.SIGILL))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    for _ in range(3):
        assert isinstance(await find(None, LOG), Wheel)
    assert caplog.text.count("illegal instruction") == 1


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour(dies_asked=signal.SIGILL), "illegal instruction"),
        (Behaviour(flags=("--model", "--host")), "no llama-server that can see"),
    ],
)
async def test_one_that_was_named_must_work(tmp_path: Path, behaviour: Behaviour, words: str):
    with pytest.raises(Misconfigured, match=words):
        await find(stand_in(tmp_path, behaviour), LOG)


async def test_one_that_is_no_program_is_said(tmp_path: Path):
    path = tmp_path / "llama-server"
    path.write_text("\x7fnot a program")
    path.chmod(0o755)
    with pytest.raises(Misconfigured, match="can't be started: Exec format error"):
        await find(path, LOG)


async def test_one_that_lacks_a_library_is_not_called_another_program(tmp_path: Path):
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\necho 'error while loading shared libraries: libmtmd.so.0: no such' >&2\nexit 127\n")
    path.chmod(0o755)
    with pytest.raises(Misconfigured, match=r"can't run\. The engine lacks a library .* libmtmd\.so\.0"):
        await find(path, LOG)


async def test_one_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "llama-server"
    path.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c 'import time; time.sleep(600)'\n")
    path.chmod(0o755)
    monkeypatch.setattr(asking, "WITHIN", 0.5)
    with pytest.raises(Misconfigured, match=r"gave no answer within 0.5 s"):
        await find(path, LOG)


async def test_binary_tells_its_devices_and_what_its_code_is_made_for(tmp_path: Path):
    devices = ("CUDA0: NVIDIA GeForce RTX 3060 (12028 MiB, 11810 MiB free)", "BLAS: Accelerate (0 MiB, 0 MiB free)")
    behaviour = Behaviour(flags=(*Behaviour().flags, "--list-devices"), devices=devices)
    found = await find(stand_in(tmp_path, behaviour), LOG)
    assert found.devices == ("CUDA0: NVIDIA GeForce RTX 3060",)
    assert found.features == {"AVX2", "AVX512_BF16"}


async def test_old_binary_that_tells_neither_is_used_all_the_same(tmp_path: Path):
    found = await find(stand_in(tmp_path, Behaviour(flags=OLD_FLAGS, made_for=())), LOG)
    assert (found.devices, found.features) == ((), frozenset())


async def test_real_engines_tell_what_they_are_made_for(tmp_path: Path):
    assert (await find(None, LOG, tmp_path)).features
    path = llama_server()
    if path is None:
        pytest.skip("there is no llama-server here: make llama-server")
    assert (await find(path, LOG)).features


async def test_binary_is_asked_again_only_when_it_has_changed(tmp_path: Path):
    server = stand_in(tmp_path, Behaviour())
    first = await find(server, LOG)
    assert await find(server, LOG) is first
    stand_in(tmp_path, Behaviour(version="version: 12000 (abc)"))
    assert (await find(server, LOG)).version == "12000"


async def test_binary_that_was_replaced_by_one_as_long_and_as_old_is_asked_too(tmp_path: Path):
    server = stand_in(tmp_path, Behaviour())
    assert (await find(server, LOG)).version == "11434"
    was = server.stat()
    newer = stand_in(tmp_path, Behaviour(version="version: 12000 (7e4c0a9)"), name="newer")
    os.utime(newer, ns=(was.st_atime_ns, was.st_mtime_ns))
    newer.replace(server)
    assert server.stat().st_size == was.st_size
    assert (await find(server, LOG)).version == "12000"


async def words_for(tmp_path: Path, behaviour: Behaviour, **config: Any) -> list[str]:
    settings = await asyncio.to_thread(lambda: LlamaServerConfig(**config))
    return command(await find(stand_in(tmp_path, behaviour), LOG), settings, FILES, SOCKET)


async def test_new_options_are_used_where_they_are_known(tmp_path: Path):
    words = " ".join(
        await words_for(tmp_path, Behaviour(), gpu_layers=0, threads=3, parallel=2, extra_args=("--mlock",))
    )
    for option in (
        "--model /m.gguf --mmproj /p.gguf --host /run/x.sock --ctx-size 4096 --parallel 2 --threads 3",
        "--n-gpu-layers 0",
        "--image-max-tokens 64",
        "--no-ui",
        "--offline",
        "--cache-ram 0",
    ):
        assert option in words
    assert words.endswith("--mlock")
    assert "--port" not in words


async def test_new_options_are_not_used_where_they_are_unknown(tmp_path: Path):
    words = await words_for(tmp_path, Behaviour(flags=OLD_FLAGS))
    assert {word for word in words if word.startswith("--")} <= set(OLD_FLAGS)
    assert "--no-webui" in await words_for(tmp_path, Behaviour(flags=(*OLD_FLAGS, "--no-webui")))


async def test_the_tiny_model_gets_no_token_budget(tmp_path: Path):
    assert "--image-max-tokens" not in await words_for(tmp_path, Behaviour(), preset="tiny")


def test_extra_args_need_a_llama_server():
    with pytest.raises(Misconfigured, match="extra_args are for a llama-server"):
        command(Wheel("1"), LlamaServerConfig(extra_args=("--mlock",)), FILES, SOCKET)


def test_key_and_secrets_stay_off_the_command_line_and_out_of_the_engine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "marker-token")
    monkeypatch.setenv("CAMSCRIBE_OUTPUTS__MQTT__PASSWORD", "marker-password")
    monkeypatch.setenv("LLAMA_ARG_HOST", "0.0.0.0")
    config = LlamaServerConfig(port=8081, api_key="marker-key")
    assert "marker" not in " ".join(command(Wheel("1"), config, FILES, SOCKET))
    env = environment(config)
    assert env["LLAMA_API_KEY"] == "marker-key"
    assert not env.keys() & {"HF_TOKEN", "CAMSCRIBE_OUTPUTS__MQTT__PASSWORD", "LLAMA_ARG_HOST"}


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (4, 4), (6, 4), (16, 8)])
def test_threads_leave_a_big_machine_room(monkeypatch: pytest.MonkeyPatch, cores: int, expected: int):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert threads(LlamaServerConfig()) == expected
    assert threads(LlamaServerConfig(threads=7)) == 7
