"""An ffmpeg process a camera that scales five pictures a second into a pipe, and a thread that keeps the newest.

Frigate's way for detection (its preset-rtsp-generic and its output arguments). The picture stays YUV, as there.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from benchmarks.ingest.methods.looking import Camera, Job, NoPicture


def command(job: Job, url: str) -> list[str]:
    width, height = job.size
    reading = "-avoid_negative_ts make_zero -fflags +genpts+discardcorrupt"
    reading += f" -rtsp_transport {job.transport} -timeout 5000000 -use_wallclock_as_timestamps 1"
    writing = f"-r 5 -vf fps=5,scale={width}:{height} -threads 2 -f rawvideo -pix_fmt yuv420p pipe:1"
    return [*f"ffmpeg -hide_banner -nostdin -loglevel error {reading} -i".split(), url, *writing.split()]


class Pipe(threading.Thread):
    def __init__(self, job: Job, url: str) -> None:
        super().__init__(name=f"pipe of {url}", daemon=True)
        width, height = job.size
        self._shape = (height * 3 // 2, width)
        self._height = height
        self._newest: np.ndarray | None = None
        self._process = subprocess.Popen(
            command(job, url), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def run(self) -> None:
        assert self._process.stdout is not None
        while True:
            picture = np.empty(self._shape, np.uint8)
            if self._process.stdout.readinto(picture.data) < picture.nbytes:  # type: ignore[attr-defined]
                return
            self._newest = picture

    async def look(self, timeout: float) -> np.ndarray:
        deadline = time.monotonic() + timeout
        while self._newest is None:  # only before the first one
            if time.monotonic() > deadline:
                raise NoPicture(f"no picture from ffmpeg in {timeout:g} s")
            await asyncio.sleep(0.05)
        return self._newest[: self._height]

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@asynccontextmanager
async def cameras(job: Job) -> AsyncIterator[list[Camera]]:
    pipes: list[Pipe] = []
    try:
        for url in job.urls:
            pipes.append(Pipe(job, url))
            pipes[-1].start()
        yield [*pipes]
    finally:
        await asyncio.gather(*(asyncio.to_thread(pipe.end) for pipe in pipes))
