"""Where and with what it was measured."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version

import psutil

from agent.bench.machine import commit, output, processor


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


def ffmpeg() -> str:
    found = re.match(r"ffmpeg version (\d[\d.]*)", output("ffmpeg", "-version"))
    return found[1] if found else "missing"
