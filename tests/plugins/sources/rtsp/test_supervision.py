"""A thread that hangs in native code is abandoned, and does no harm when it comes back."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from agent.plugin import CameraState
from tests.fakes.looker import looker
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)


def threads() -> int:
    return sum(thread.name == "rtsp door" for thread in threading.enumerate())


async def test_abandoned_thread_that_comes_back_closes_its_session_and_ends() -> None:
    pace = replace(BRISK, open_timeout=30.0, stuck=1.0)
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera:
        camera.freeze()  # the kernel accepts connections for it, and nobody answers
        async with watching(camera.url(), pace=pace) as watched:
            await eventually(lambda: threads() == 2)
            assert watched.source._stuck == 1
            camera.thaw()
            for _ in range(3):
                await look_fresh(camera, watched)
            await eventually(lambda: threads() == 1)
            count = lambda kind: sum(event["event"] == kind for event in camera.events)  # noqa: E731
            await eventually(lambda: count("play") == 2 and count("teardown") == 1)
            assert watched.source._stuck == 0
            assert watched.states == [CameraState.CONNECTING, CameraState.LIVE]
            await look_fresh(camera, watched)


async def test_driver_is_not_blamed_for_a_process_that_stood_still() -> None:
    """A paused virtual machine, say: every camera would be called anew, beside the session it still has."""
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera:
        doors = {f"door_{number}": {"url": camera.url(of=number)} for number in range(10)}
        async with looker(doors, seconds=9, every=2, stuck=2.0) as looking:
            listening = asyncio.create_task(looking.listen())
            await eventually(lambda: {look["camera"] for look in looking.looks} == set(doors))
            await looking.stand_still(4)
            await listening
        assert not any("error" in look for look in looking.looks[-len(doors) :])
        assert sum(event["event"] == "play" for event in camera.events) == len(doors)


async def test_looks_of_an_abandoned_thread_are_served_by_the_next() -> None:
    """The look began while the first thread hung, and ends with the second one's picture."""
    pace = replace(BRISK, open_timeout=30.0, stuck=1.0)
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera:
        url = camera.url(fault="mute", at="DESCRIBE", times=1)
        async with watching(url, pace=pace) as watched:
            await look_fresh(camera, watched, timeout=10)
            assert threads() == 2
        await camera.kill()
        await eventually(lambda: threads() == 0)
