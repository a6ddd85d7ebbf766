"""Finds the engine: the llama-server the config names, the one on this machine, or the one inside the wheel."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.plugin import Misconfigured
from plugins.captioners.llama_server import asking, openmp

USUAL_FOLDERS = ("/opt/homebrew/bin", "/usr/local/bin")
"""launchd's PATH lacks them."""
_MOST_KEPT = 16


@dataclass(frozen=True, slots=True)
class Wheel:
    """llama.cpp's server inside the ``xllamacpp`` package."""

    version: str
    devices: tuple[str, ...] = ()
    """The graphics processors it can use; none where it works on the processor alone."""
    features: frozenset[str] = frozenset()
    """What its code for the processor makes use of: ``AVX512_BF16`` and so on."""
    libraries: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What its environment needs, to find what this system lacks."""

    def __str__(self) -> str:
        return f"xllamacpp {self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """A llama-server, the options it knows, and ``devices`` and ``features`` as in Wheel."""

    path: Path
    version: str
    flags: frozenset[str]
    devices: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()

    @property
    def libraries(self) -> Mapping[str, str]:
        return {}

    def __str__(self) -> str:
        return f"llama-server {self.version} ({self.path})"


Found = Installed | Wheel

_asked: dict[tuple[str, int, int, int], Installed] = {}
"""The answers of each file, as it was then: an engine that is started again need not be asked again."""
_told: set[str] = set()
"""What was said of one that can't be used: it is the same at each start."""
_asked_wheel: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}


async def find(configured: Path | None, log: logging.Logger, libraries: Path | None = None) -> Found:
    """``libraries`` is a folder for what the wheel needs and this system lacks.

    Raises Misconfigured where there is none that runs.
    """
    if configured is not None:
        return await _installed(configured, log)
    found = await asyncio.to_thread(on_this_machine)
    if found is not None:
        try:
            return await _installed(found, log)
        except Misconfigured as error:
            level = logging.DEBUG if str(error) in _told else logging.WARNING
            _told.add(str(error))
            log.log(level, "%s Using the engine that comes with camscribe instead.", error)
    return await _wheel(libraries)


def on_this_machine() -> Path | None:
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *USUAL_FOLDERS])
    found = shutil.which("llama-server", path=folders)
    return Path(found) if found else None


async def _wheel(libraries: Path | None) -> Wheel:
    try:
        version = await asyncio.to_thread(importlib.metadata.version, "xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        raise Misconfigured(
            "There is no engine: no llama-server on this machine and no xllamacpp package. Install one: "
            "'brew install llama.cpp', or 'pip install xllamacpp' into camscribe's environment."
        ) from None
    env = await asyncio.to_thread(openmp.environment, libraries) if libraries else {}
    if version not in _asked_wheel:
        _asked_wheel[version] = await asking.about_wheel(env)
    return Wheel(version, *_asked_wheel[version], env)


async def _installed(path: Path, log: logging.Logger) -> Installed:
    try:
        stat = await asyncio.to_thread(path.stat)
    except OSError as error:
        raise Misconfigured(f"{path} can't be started: {error.strerror}.") from error
    # Some package managers give every file the same time; another file it is all the same.
    key = (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if key not in _asked:
        answer = await _ask(path, log)
        while len(_asked) >= _MOST_KEPT:
            del _asked[next(iter(_asked))]
        _asked[key] = answer
    return _asked[key]


async def _ask(path: Path, log: logging.Logger) -> Installed:
    flags = await asking.flags(path)
    if not flags >= {"--mmproj", "--host"}:
        raise Misconfigured(
            f"{path} is no llama-server that can see: its --help knows no --mmproj. Install llama.cpp of 2025 or later."
        )
    version = await asking.version(path)
    try:
        return Installed(path, version, flags, await asking.devices(path, flags), await asking.features(path, flags))
    except Misconfigured as error:  # it runs all the same; what it is made for only makes it faster
        log.debug("%s does not tell what it is made for: %s", path, error)
        return Installed(path, version, flags)
