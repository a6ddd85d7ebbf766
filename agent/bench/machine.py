"""Where it was measured."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

CHECKOUT = Path(__file__).parents[2]


class Machine(BaseModel):
    """The machine and the software that a run is about."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    processor: str
    cores: int
    memory_gb: int
    system: str
    python: str
    camscribe: str
    commit: str | None
    """None where it was not run from a checkout."""

    def __str__(self) -> str:
        commit = f", commit {self.commit}" if self.commit else ""
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gb} GB, {self.system}; Python {self.python}, "
            f"camscribe {self.camscribe}{commit}"
        )


def this_machine() -> Machine:
    """Blocks for a moment: asks the system and git."""
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 0,
        memory_gb=round(psutil.virtual_memory().total / 2**30),
        system=f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}",
        python=platform.python_version(),
        camscribe=version("camscribe"),
        commit=commit() if (CHECKOUT / ".git").exists() else None,
    )


def processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()


def commit() -> str:
    git = ("git", "-c", "safe.directory=*")
    head = output(*git, "rev-parse", "--short", "HEAD")
    changed = output(*git, "status", "--porcelain", "--", "agent", "plugins", "benchmarks")
    return (head or "unknown") + (" with changes" if changed else "")


def output(*command: str) -> str:
    """What the command prints; nothing where there is no such command."""
    path = shutil.which(command[0])
    if path is None:
        return ""
    done = subprocess.run(  # noqa: S603  (the commands are our own)
        [path, *command[1:]], check=False, capture_output=True, text=True, cwd=CHECKOUT, timeout=20
    )
    return done.stdout.strip()
