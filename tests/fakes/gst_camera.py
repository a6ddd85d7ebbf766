"""gst-rtsp-server for a test: started with the system's Python, where it is installed."""

from __future__ import annotations

import asyncio
import os
import pickle
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes import clips
from tests.fakes.gst_server import SYSTEM_PYTHON
from tests.fakes.rtsp_camera import RtspCamera, running

SERVER = Path(__file__).with_name("gst_server.py")
NUMBERS = 200


async def _works() -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            SYSTEM_PYTHON, str(SERVER), "--check", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        return False
    return await process.wait() == 0


def _write_clip(path: Path, codec: str, fps: int, gop: int) -> None:
    clip = clips.encode(clips.numbered(NUMBERS, (320, 240)), codec=codec, fps=fps, gop=gop)
    path.write_bytes(pickle.dumps([b"".join(b"\0\0\0\1" + nal for nal in unit.nals) for unit in clip.units]))


@asynccontextmanager
async def gst_camera(
    codec: str = "h264",
    *,
    fps: int = 25,
    gop: int = 25,
    user: str | None = None,
    password: str | None = None,
    auth: str = "digest",
) -> AsyncIterator[RtspCamera]:
    """Numbered pictures at /live. Without the packages: a failure in CI, elsewhere a skip that says so."""
    if not await _works():
        lacking = "gst-rtsp-server is not installed (apt packages: see tests/fakes/gst_server.py)"
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(f"{lacking}; the same is tested against the project's own fake camera")
    with tempfile.TemporaryDirectory(prefix="gst-camera-") as folder:
        clip = Path(folder, "clip")
        await asyncio.to_thread(_write_clip, clip, codec, fps, gop)
        epoch = time.monotonic()
        command = [SYSTEM_PYTHON, str(SERVER), f"--codec={codec}", f"--fps={fps}", f"--auth={auth}", f"--clip={clip}"]
        command += [f"--epoch={epoch}"]
        command += [f"--user={user}", f"--password={password}"] if user is not None else []
        camera = RtspCamera(command, epoch=epoch, port=0, user=user, password=password)
        camera.fps, camera.loop_seconds = fps, NUMBERS / fps
        async with running(camera):
            yield camera
