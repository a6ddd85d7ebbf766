"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.ingest.server import ROOT


def facts(command: str) -> dict[str, str | int]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": processor(),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, {platform.machine()}",
        "python": platform.python_version(),
        "av": version("av"),
        "opencv": version("opencv-python-headless"),
        "ffmpeg": ffmpeg(),
        "commit": commit(),
        "command": command,
    }


def sentence(told: dict[str, str | int]) -> str:
    return (
        f"{told['date']}, {told['machine']}, {told['cores']} cores, {told['memory_gb']} GB, {told['system']}; "
        f"Python {told['python']}, PyAV {told['av']}, OpenCV {told['opencv']}, ffmpeg {told['ffmpeg']}; "
        f"commit {told['commit']}"
    )


def processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()


def ffmpeg() -> str:
    found = re.match(r"ffmpeg version (\d[\d.]*)", _output("ffmpeg", "-version"))
    return found[1] if found else "missing"


def commit() -> str:
    head = _output("git", "-c", "safe.directory=*", "rev-parse", "--short", "HEAD")
    changed = _output("git", "-c", "safe.directory=*", "status", "--porcelain", "--", "agent", "plugins", "benchmarks")
    return (head or "unknown") + (" with changes" if changed else "")


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=20).stdout.strip()
