"""All bad cameras at once in one process (the service with them: tests/e2e/test_cameras_at_once.py): the end of it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack

import psutil
import pytest

from agent.plugin import FrameUnavailable
from plugins.sources.rtsp.pace import Pace
from tests.fakes.bad_cameras import BAD, bad_cameras
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, Watched, watching

RUNS = 12.0
TIMEOUT = 3.0
LONGEST = 2 * BRISK.open_timeout + 3.0
"""Seconds after which the last thread has left its native call: both of FFmpeg's time limits, and a knock."""


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("rtsp", "decode"))]


async def look_until(watched: Watched, end: float) -> int:
    """Looks one after the other; each ends in time. How many gave a picture."""
    good = 0
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            await watched.source.take(TIMEOUT)
            good += 1
        except FrameUnavailable:
            pass  # which failure it is, the other tests ask
        assert time.monotonic() - began <= TIMEOUT + 0.5
        await asyncio.sleep(0.3)
    return good


@pytest.mark.slow
async def test_stopping_amid_all_faults_leaves_no_thread_and_no_descriptor() -> None:
    me = psutil.Process()
    async with bad_cameras() as bad:
        before = me.num_fds()
        async with AsyncExitStack() as stack:
            watched = {
                name: await stack.enter_async_context(watching(url, pace=BRISK)) for name, url in bad.urls.items()
            }
            end = time.monotonic() + RUNS
            looks = await asyncio.gather(*(look_until(one, end) for one in watched.values()))
            assert sum(good > 0 for good in looks) >= sum(camera.comes_back for camera in BAD.values()) - 6
            assert len(threads()) <= len(BAD) + 2
        await eventually(lambda: threads() == [], LONGEST)
        await eventually(lambda: me.num_fds() <= before, 5)
    assert me.children() == []
    assert Pace().open_timeout == BRISK.open_timeout  # with the real time limits
