"""An RTSP source under test: running, with what it reported."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.plugin import CameraState, Context, Frame, FrameUnavailable
from plugins.sources.rtsp import RtspSource
from plugins.sources.rtsp.pace import Pace
from tests.fakes.clips import read_number
from tests.fakes.rtsp_camera import RtspCamera

BRISK = replace(Pace(), first_pause=0.05, longest_pause=0.2, refused_pause=30.0, glance=0.1)
"""The real time limits, and hardly any pause between attempts."""


class Watched:
    """A source and the states it told."""

    def __init__(self, source: RtspSource, told: list[tuple[CameraState, str]]) -> None:
        self.source = source
        self.told = told
        self.looked = False
        self.task = asyncio.create_task(source.run())

    @property
    def states(self) -> list[CameraState]:
        return [state for state, _ in self.told]

    async def failure(self, timeout: float) -> FrameUnavailable:
        """What ``take`` raises, having kept its deadline."""
        began = time.monotonic()
        with pytest.raises(FrameUnavailable) as caught:
            await self.source.take(timeout)
        assert time.monotonic() - began < timeout + 0.5
        return caught.value

    async def take_until_it_works(self, within: float = 30.0) -> Any:
        deadline = time.monotonic() + within
        while True:
            try:
                return await self.source.take(5)
            except FrameUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)


@asynccontextmanager
async def watching(url: str, *, pace: Pace = BRISK, long_edge: int = 1280, **options: Any) -> AsyncIterator[Watched]:
    told: list[tuple[CameraState, str]] = []
    home = threading.get_ident()

    def report(state: CameraState, detail: str) -> None:
        assert threading.get_ident() == home
        told.append((state, detail))

    log = logging.getLogger("camscribe.camera.door")
    context = Context("door", log, Path("/nonexistent"), Path("/nonexistent"), report=report, long_edge=long_edge)
    source = RtspSource(RtspSource.Config(url=url, **options), context)
    source.pace = pace  # type: ignore[misc]
    watched = Watched(source, told)
    try:
        yield watched
    finally:
        watched.task.cancel()
        began = time.monotonic()
        await asyncio.wait({watched.task})
        assert time.monotonic() - began < pace.farewell + 1
        if not watched.task.cancelled() and (bug := watched.task.exception()):
            raise bug


async def look_fresh(camera: RtspCamera, watched: Watched, timeout: float = 10) -> Frame:
    """A numbered picture, at most half a second old by its number, which ``taken`` must agree with."""
    began = time.monotonic()
    frame = await watched.source.take(timeout)
    now = time.monotonic()
    number = read_number(frame.pixels)
    assert number is not None, "a damaged picture was handed out"
    age = camera.age(number)
    assert age <= 0.5
    assert began <= frame.taken.monotonic <= now
    older = 0.5 if watched.looked else watched.source.pace.most_lag  # the first may have come while it was opened
    assert -0.2 < now - frame.taken.monotonic - age < older, "never fresher than it is; the first may pass for older"
    watched.looked = True
    return frame
