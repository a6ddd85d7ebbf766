"""Finds the engine: the llama-server the config names, the one on this machine, or the one inside the wheel."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import re
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from agent.plugin import Misconfigured

USUAL_FOLDERS = ("/opt/homebrew/bin", "/usr/local/bin")
"""launchd's PATH lacks them."""
ASK_WITHIN = 20.0
_MOST_OUTPUT = 1 << 20
_FLAG = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
_VERSION = re.compile(r"version: (\S+)")


@dataclass(frozen=True, slots=True)
class Wheel:
    """llama.cpp's server inside the ``xllamacpp`` package."""

    version: str

    def __str__(self) -> str:
        return f"xllamacpp {self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """A llama-server, and the options it knows."""

    path: Path
    version: str
    flags: frozenset[str]

    def __str__(self) -> str:
        return f"llama-server {self.version} ({self.path})"


async def find(configured: Path | None, log: logging.Logger) -> Installed | Wheel:
    """Raises Misconfigured where there is none that runs."""
    if configured is not None:
        return await _ask(configured)
    found = await asyncio.to_thread(_on_this_machine)
    if found is not None:
        try:
            return await _ask(found)
        except Misconfigured as error:
            log.warning("%s Using the engine that comes with camscribe instead.", error)
    return await asyncio.to_thread(_wheel)


def _on_this_machine() -> Path | None:
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *USUAL_FOLDERS])
    found = shutil.which("llama-server", path=folders)
    return Path(found) if found else None


def _wheel() -> Wheel:
    try:
        return Wheel(importlib.metadata.version("xllamacpp"))
    except importlib.metadata.PackageNotFoundError:
        raise Misconfigured(
            "There is no engine: no llama-server on this machine and no xllamacpp package. Install one: "
            "'brew install llama.cpp', or 'pip install xllamacpp' into camscribe's environment."
        ) from None


async def _ask(path: Path) -> Installed:
    text = await _output_of(path, "--help")
    flags = frozenset(_FLAG.findall(text))
    if not flags >= {"--mmproj", "--host"}:
        raise Misconfigured(
            f"{path} is no llama-server that can see: its --help knows no --mmproj. Install llama.cpp of 2025 or later."
        )
    version = _VERSION.search(await _output_of(path, "--version"))
    return Installed(path, version[1] if version else "of unknown version", flags)


async def _output_of(path: Path, option: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            option,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise Misconfigured(f"{path} can't be started: {error.strerror}.") from error
    assert process.stdout
    try:
        async with asyncio.timeout(ASK_WITHIN):
            text = b""
            while len(text) < _MOST_OUTPUT and (chunk := await process.stdout.read(65536)):
                text += chunk
            code = 0 if len(text) >= _MOST_OUTPUT else await process.wait()
    except TimeoutError:
        raise Misconfigured(f"{path} {option} gave no answer within {ASK_WITHIN:g} s. Is it a llama-server?") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code < 0:
        raise Misconfigured(f"{path} {option} {how_it_ended(code)}")
    return text.decode("utf-8", "replace")


def how_it_ended(code: int) -> str:
    """A process's end in words, with what to do about it."""
    if code >= 0:
        return f"ended with exit status {code}."
    if -code == signal.SIGILL:
        return (
            "was stopped by an illegal instruction: it is built for another processor. Install a llama-server made for "
            "this machine, or leave out 'binary' to use the one that comes with camscribe."
        )
    if -code == signal.SIGKILL:
        return "was killed (SIGKILL): by somebody, or by the system because memory ran out."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashed ({name})."
