"""Asks an engine what it is: its options, version, devices, and the processor its code is made for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.plugin import Misconfigured
from plugins.captioners.engine.endings import Kind, explain, how_it_ended
from plugins.captioners.engine.errors import NotNow
from plugins.captioners.engine.launch import not_started
from plugins.captioners.llama_server import wheel

WITHIN = 20.0
_MOST_OUTPUT = 1 << 20
_FLAG = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
_VERSION = re.compile(r"version: (\S+)")
_FEATURE = re.compile(r"\b([A-Z][A-Z0-9_]*) = [1-9]")
_DEVICE = re.compile(r"  (\w+: .*?)( \([\d.]+ MiB.*\))?")
_NO_DEVICE = ("CPU", "BLAS")
_PASSING = {Kind.KILLED, Kind.MEMORY, Kind.DISK, Kind.SLOW}
"""The machine's trouble, and no fault of the program that was asked."""
_EVERYTHING = "4"
"""The log level at which newer builds say what they are made for; older ones do so at any."""


async def flags(path: Path) -> frozenset[str]:
    """The options it knows. Raises Misconfigured where it doesn't run."""
    return frozenset(_FLAG.findall(await _told(path, "--help")))


async def version(path: Path) -> str:
    found = _VERSION.search(await _told(path, "--version"))
    return found[1] if found else "of unknown version"


async def devices(path: Path, known: frozenset[str]) -> tuple[str, ...]:
    """The graphics processors it can use."""
    if "--list-devices" not in known:
        return ()
    lines = (await _told(path, "--list-devices")).splitlines()
    found = (_DEVICE.fullmatch(line) for line in lines)
    return tuple(line[1] for line in found if line and not line[1].startswith(_NO_DEVICE))


async def features(path: Path, known: frozenset[str]) -> frozenset[str]:
    """What its code for this processor makes use of: ``AVX512_BF16``, ``AMX_INT8``, ``MATMUL_INT8`` and so on.

    It says so at a start, before it loads a model. So it is told to load one that does not exist. Empty where it
    doesn't tell.
    """
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="cs-")
    try:
        options = ["--model", f"{folder}/none.gguf", "--host", f"{folder}/none.sock"]
        for option in (["--offline"], ["--log-verbosity", _EVERYTHING]):
            if option[0] in known:
                options += option
        _, text = await _output_of([str(path), *options])
    finally:
        await asyncio.to_thread(_remove, Path(folder))
    told = (line for line in text.splitlines() if "system_info:" in line)
    return compiled_for(next(told, ""))


def compiled_for(system_info: str) -> frozenset[str]:
    return frozenset(_FEATURE.findall(system_info))


async def about_wheel(env: Mapping[str, str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The devices and features of the engine in the wheel. Raises Misconfigured where it doesn't run."""
    code, text = await _output_of([sys.executable, "-I", str(wheel.__file__), wheel.ABOUT], {**os.environ, **env})
    last = text.strip().rpartition("\n")[2]
    try:
        told: dict[str, Any] = json.loads(last)
    except ValueError:
        sentence = f"The engine that comes with camscribe {how_it_ended(code)} It said: {last[:300]}"
        raise _useless(sentence, explain(code, text.splitlines()).kind) from None
    return tuple(told["devices"]), compiled_for(told["system_info"])


async def _told(path: Path, option: str) -> str:
    code, text = await _output_of([str(path), option])
    ending = explain(code, text.splitlines())
    if ending.kind is Kind.LIBRARY:
        raise Misconfigured(f"{path} can't run. {ending.sentence}")
    if code < 0:
        raise _useless(f"{path} {option} {how_it_ended(code)}", ending.kind)
    return text


def _useless(sentence: str, kind: Kind) -> Misconfigured:
    return NotNow(sentence, kind) if kind in _PASSING else Misconfigured(sentence)


async def _output_of(command: list[str], env: Mapping[str, str] | None = None) -> tuple[int, str]:
    name = " ".join(command[:2]) if command[1].startswith("--") else command[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
        )
    except OSError as error:
        sentence = f"{command[0]} can't be started: {error.strerror}."
        raise _useless(sentence, not_started(sentence, error).kind) from error
    assert process.stdout
    try:
        async with asyncio.timeout(WITHIN):
            text = b""
            while len(text) < _MOST_OUTPUT and (chunk := await process.stdout.read(65536)):
                text += chunk
            code = 0 if len(text) >= _MOST_OUTPUT else await process.wait()
    except TimeoutError:
        raise NotNow(f"{name} gave no answer within {WITHIN:g} s. Is it a llama-server?", Kind.SLOW) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return code, text.decode("utf-8", "replace")


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
