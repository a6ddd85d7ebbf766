"""An HTTP source under test: running, with what it reported."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.plugin import CameraState, Context, Frame, FrameUnavailable
from plugins.sources.http import HttpSource
from plugins.sources.http.pace import Pace
from tests.fakes.clips import read_number
from tests.fakes.http_camera import HttpCamera

BRISK = replace(Pace(), first_pause=0.05, longest_pause=0.2)
"""The real time limits, and hardly any pause between attempts."""


class Looked:
    """A source and the states it told."""

    def __init__(self, source: HttpSource, told: list[tuple[CameraState, str]]) -> None:
        self.source = source
        self.told = told
        self.task = asyncio.create_task(source.run())

    @property
    def states(self) -> list[CameraState]:
        return [state for state, _ in self.told]

    async def failure(self, timeout: float = 5) -> FrameUnavailable:
        """What ``take`` raises, having kept its deadline."""
        began = time.monotonic()
        with pytest.raises(FrameUnavailable) as caught:
            await self.source.take(timeout)
        assert time.monotonic() - began < timeout + 0.5
        assert self.told[-1][1] == str(caught.value)
        assert caught.value.__cause__ is None
        return caught.value

    async def fresh(self, camera: HttpCamera, timeout: float = 10) -> Frame:
        """A numbered picture, at most half a second old by its number, which ``taken`` must agree with."""
        began = time.monotonic()
        frame = await self.source.take(timeout)
        now = time.monotonic()
        assert began <= frame.taken.monotonic <= now
        assert self.age(camera, frame) <= 0.5
        return frame

    @staticmethod
    def age(camera: HttpCamera, frame: Frame) -> float:
        number = read_number(frame.pixels)
        assert number is not None, "a damaged picture was handed out"
        return camera.age(number)


@asynccontextmanager
async def looking(url: str, *, pace: Pace = BRISK, long_edge: int = 1280, **options: Any) -> AsyncIterator[Looked]:
    told: list[tuple[CameraState, str]] = []
    log = logging.getLogger("camscribe.camera.door")
    context = Context(
        "door",
        log,
        Path("/nonexistent"),
        Path("/nonexistent"),
        report=lambda state, detail: told.append((state, detail)),
        long_edge=long_edge,
    )
    source = HttpSource(HttpSource.Config(url=url, **options), context)
    source.pace = pace  # type: ignore[misc]
    looked = Looked(source, told)
    try:
        yield looked
    finally:
        looked.task.cancel()
        began = time.monotonic()
        await asyncio.wait({looked.task})
        assert time.monotonic() - began < 1
        if not looked.task.cancelled() and (bug := looked.task.exception()):
            raise bug
