"""A reader thread a camera around cv2.VideoCapture, the usual way.

The thread grabs every picture (which decodes it) and converts the one that is asked for; with ``retrieve: all`` it
converts every one, as loops around ``read()`` do.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager

import cv2
import numpy as np

from benchmarks.ingest.methods.looking import Camera, Job, NoPicture


class Reader(threading.Thread):
    def __init__(self, url: str, job: Job) -> None:
        super().__init__(name=f"reader of {url}", daemon=True)
        self._url, self._size = url, job.size
        self._threads = int(job.options.get("threads", 1))
        self._all = job.options.get("retrieve") == "all"
        self._asked: Future[np.ndarray] | None = None
        self._ending = threading.Event()

    async def look(self, timeout: float) -> np.ndarray:
        asked: Future[np.ndarray] = Future()
        self._asked = asked
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            raise NoPicture(f"no picture from OpenCV in {timeout:g} s") from None

    def end(self) -> None:
        self._ending.set()

    def run(self) -> None:
        while not self._ending.is_set():
            capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, self._threads])
            self._read(capture)
            capture.release()
            self._ending.wait(1)

    def _read(self, capture: cv2.VideoCapture) -> None:
        while not self._ending.is_set() and capture.grab():
            asked = self._asked
            if asked is None and not self._all:
                continue
            found, picture = capture.retrieve()
            if asked is not None and found:
                self._asked = None
                picture = cv2.cvtColor(cv2.resize(picture, self._size), cv2.COLOR_BGR2RGB)
                if asked.set_running_or_notify_cancel():
                    asked.set_result(picture)


@asynccontextmanager
async def cameras(job: Job) -> AsyncIterator[list[Camera]]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{job.transport}"
    readers = [Reader(url, job) for url in job.urls]
    for reader in readers:
        reader.start()
    try:
        yield [*readers]
    finally:
        for reader in readers:
            reader.end()
        for reader in readers:
            await asyncio.to_thread(reader.join, 2)
