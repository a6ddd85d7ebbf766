"""The cameras that macOS knows of. Written from Apple's and OpenCV's sources, not yet run on a Mac."""

from __future__ import annotations

import json
import subprocess

PROFILER = "/usr/sbin/system_profiler"


def cameras() -> list[str]:
    """Their names, in the order of their numbers: OpenCV sorts them by their unique id. Blocks; opens none."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [PROFILER, "SPCameraDataType", "-json"], capture_output=True, timeout=10, check=True
        )
        found = json.loads(done.stdout)["SPCameraDataType"]
        named = [(str(one["spcamera_unique-id"]), str(one["_name"])) for one in found]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return []  # a list to help with, and nothing that depends on it
    return [name for _, name in sorted(named)]
