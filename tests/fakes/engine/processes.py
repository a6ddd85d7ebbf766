"""The engine's processes from outside, also before the captioner calls it ready."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from tests.fakes.engine.waiting import until
from tests.fakes.waiting import eventually


def engine_of(folder: Path) -> psutil.Process | None:
    """The engine that serves a socket of ``folder`` for this process, once it runs."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if any(f"{folder}/" in word for word in words) and not any("guard.py" in word for word in words):
                return process
    return None


async def loading_engine(folder: Path) -> psutil.Process:
    """The engine at the moment when it listens and has still to load its model."""
    await eventually(lambda: list(folder.glob("*.sock")))
    process = engine_of(folder)
    assert process
    return process


async def busy(process: psutil.Process, since: float, seconds: float = 0.3) -> None:
    """Wait until the engine has computed for so long since its processor time was ``since``."""
    await until(lambda: processor_time(process) - since >= seconds)


def processor_time(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def guard_of(engine: psutil.Process) -> psutil.Process:
    parent = engine.parent()
    assert parent
    assert any("guard.py" in word for word in parent.cmdline())
    return parent
