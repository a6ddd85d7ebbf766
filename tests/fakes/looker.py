"""Looks at RTSP cameras from a process of its own, so that a test can stop it, and measures each picture.

    python -m tests.fakes.looker '{"cameras": {"door": {"url": "rtsp://…"}}, "every": 5, "timeout": 10, "for": 60}'

One JSON line a look: ``camera``, ``began`` and ``at`` (CLOCK_MONOTONIC when the look began and ended), and either
``number``, ``how`` and ``damage``, or ``kind`` and ``error``. ``damage`` is how far the worst block of the picture is
from the picture that this number stands for; a number that can't be read is null.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from agent.plugin import Context, Frame, FrameUnavailable
from plugins.sources.rtsp import RtspSource
from tests.fakes import clips
from tests.fakes.service import ROOT

BLOCK = 16


def expected(number: int, size: tuple[int, int]) -> np.ndarray:
    return blocks(np.asarray(clips.numbered_picture(number, size), dtype=np.float32))


def blocks(pixels: np.ndarray) -> np.ndarray:
    """The mean of each block: what a coder keeps at any bit rate."""
    height, width = (edge // BLOCK * BLOCK for edge in pixels.shape[:2])
    return pixels[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean(axis=(1, 3))


def measured(frame: Frame) -> dict[str, Any]:
    number = clips.read_number(frame.pixels)
    height, width = frame.pixels.shape[:2]
    damage = None
    if number is not None:
        seen = blocks(frame.pixels.astype(np.float32))
        damage = float(np.abs(seen - expected(number, (width, height))).mean(axis=2).max())
    return {"number": None if number is None else int(number), "damage": damage, "how": frame.how}


async def look(name: str, source: RtspSource, timeout: float) -> dict[str, Any]:
    began = time.monotonic()
    try:
        frame = await source.take(timeout)
    except FrameUnavailable as error:
        return {"camera": name, "began": began, "at": time.monotonic(), "kind": error.kind.value, "error": str(error)}
    at = time.monotonic()
    return {"camera": name, "began": began, "at": at, **await asyncio.to_thread(measured, frame)}


async def keep_looking(name: str, options: Mapping[str, Any], task: Mapping[str, Any], start: float) -> None:
    context = Context(name, logging.getLogger(f"looker.{name}"), Path("/nonexistent"), Path("/nonexistent"))
    source = RtspSource(RtspSource.Config(**options), context)
    source.pace = replace(source.pace, **task.get("pace", {}))  # type: ignore[misc]
    running = asyncio.create_task(source.run())
    due, end = start, start + task["for"]
    try:
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            print(json.dumps(await look(name, source, task["timeout"])), flush=True)
            due = max(due + task["every"], time.monotonic())
    finally:
        running.cancel()
        await asyncio.wait({running})


async def main(task: Mapping[str, Any]) -> None:
    now = time.monotonic()
    spread = task["every"] / len(task["cameras"])
    async with asyncio.TaskGroup() as group:
        for place, (name, options) in enumerate(task["cameras"].items()):
            group.create_task(keep_looking(name, options, task, now + place * spread))


class Looker:
    """A running looker: its process and the looks so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.looks: list[dict[str, Any]] = []

    def of(self, camera: str) -> Sequence[dict[str, Any]]:
        return [look for look in self.looks if look["camera"] == camera]

    async def listen(self) -> None:
        """Until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.looks.append(json.loads(line))
        assert await self.process.wait() == 0

    async def stand_still(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT that much later."""
        process = psutil.Process(self.process.pid)
        process.suspend()
        await asyncio.sleep(seconds)
        process.resume()


@asynccontextmanager
async def looker(
    cameras: Mapping[str, Mapping[str, Any]],
    *,
    seconds: float,
    every: float = 5.0,
    timeout: float = 10.0,
    **pace: float,
) -> AsyncIterator[Looker]:
    """A looker at ``cameras`` (name → options of the rtsp plugin) that ends by itself after ``seconds``."""
    task = {"cameras": cameras, "every": every, "timeout": timeout, "for": seconds, "pace": pace}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.looker", json.dumps(task)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Looker(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
