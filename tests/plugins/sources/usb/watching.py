"""A USB source under test: running, with what it reported."""

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

import psutil
import pytest

from agent.plugin import CameraState, Context, Frame, FrameUnavailable
from plugins.sources.usb import UsbConfig, UsbSource
from plugins.sources.usb.nodes import Places
from plugins.sources.usb.pace import Pace
from tests.fakes.clips import read_number
from tests.fakes.service import lives
from tests.fakes.v4l2.camera import FakeCamera, Tree
from tests.fakes.waiting import eventually

BRISK = replace(Pace(), first_pause=0.05, longest_pause=0.2, glance=0.05, settle=0.2)
"""The real time limits, and hardly any pause between attempts."""
FRESH = 0.5


class Watched:
    """A source and the states it told."""

    def __init__(self, source: UsbSource, told: list[tuple[CameraState, str]]) -> None:
        self.source = source
        self.told = told
        self.task = asyncio.create_task(source.run())

    @property
    def states(self) -> list[CameraState]:
        return [state for state, _ in self.told]

    @property
    def live(self) -> bool:
        return bool(self.told) and self.told[-1] == (CameraState.LIVE, "")

    async def until(self, state: CameraState) -> None:
        await eventually(lambda: self.states[-1:] == [state])

    def process(self) -> psutil.Process | None:
        """The camera's own process."""
        return next(iter(processes()), None)

    async def failure(self, timeout: float) -> FrameUnavailable:
        """What ``take`` raises, having kept its deadline."""
        began = time.monotonic()
        with pytest.raises(FrameUnavailable) as caught:
            await self.source.take(timeout)
        assert time.monotonic() - began < timeout + 0.5
        assert str(caught.value).endswith(".")
        return caught.value

    async def take_until_it_works(self, within: float = 30.0) -> Frame:
        deadline = time.monotonic() + within
        while True:
            try:
                return await self.source.take(5)
            except FrameUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)


def processes() -> list[psutil.Process]:
    """The cameras' processes that live below this one."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "plugins.sources.usb.child" in child.cmdline() and lives(child):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@asynccontextmanager
async def watching(tree: Tree, device: str | int, **options: Any) -> AsyncIterator[Watched]:
    told: list[tuple[CameraState, str]] = []
    home = threading.get_ident()

    def report(state: CameraState, detail: str) -> None:
        assert threading.get_ident() == home
        told.append((state, detail))

    log = logging.getLogger("camscribe.camera.desk")
    context = Context(
        *("desk", log, Path("/nonexistent"), Path("/nonexistent")),
        report=report,
        long_edge=options.pop("long_edge", 1280),
    )
    alone = options.pop("alone", True)
    pace, command = options.pop("pace", BRISK), options.pop("command", UsbSource.command)
    source = UsbSource(UsbConfig(device=str(device) if isinstance(device, Path) else device, **options), context)
    source.pace, source.command = pace, command  # type: ignore[misc]
    source.places = Places(tree.dev, tree.sys)  # type: ignore[misc]
    watched = Watched(source, told)
    try:
        yield watched
    finally:
        watched.task.cancel()
        began = time.monotonic()
        await asyncio.wait({watched.task})
        assert time.monotonic() - began < pace.grace + 2
        if not watched.task.cancelled() and (bug := watched.task.exception()):
            raise bug
        assert not processes() or not alone


async def look_fresh(camera: FakeCamera, watched: Watched, timeout: float = 10) -> Frame:
    """A numbered picture, at most half a second old by its number, which ``taken`` must agree with."""
    began = time.monotonic()
    frame = await watched.source.take(timeout)
    now = time.monotonic()
    number = read_number(frame.pixels)
    assert number is not None, "a damaged picture was handed out"
    age = camera.age(number)
    assert age <= FRESH
    assert began <= frame.taken.monotonic <= now
    assert abs(now - frame.taken.monotonic - age) < 0.2
    return frame
