"""Cameras that take their time: to begin, and between pictures. They are told from broken ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.plugin import CameraState, Failure
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)


async def test_camera_that_takes_long_to_begin_is_not_hung_up_on() -> None:
    """As behind a recorder that wakes the camera first: by the time of the first picture the session is old."""
    pace = replace(BRISK, most_lag=0.5, hopeless_lag=1.0)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(late=2), pace=pace) as watched,
    ):
        await look_fresh(camera, watched)
        assert watched.states == [CameraState.CONNECTING, CameraState.LIVE]
        assert sum(event["event"] == "play" for event in camera.events) == 1


async def test_few_pictures_are_no_silence() -> None:
    pace = replace(BRISK, quiet=0.8, read_timeout=4.0)
    async with (
        rtsp_camera(fps=10, gop=1, size=SMALL) as camera,
        watching(camera.url(every=20), pace=pace) as watched,  # one each 2 s
    ):
        for _ in range(3):
            await watched.source.take(15)
        assert watched.states == [CameraState.CONNECTING, CameraState.LIVE]


async def test_fewer_pictures_than_reading_waits_for_are_told_as_such_and_never_as_live() -> None:
    pace = replace(BRISK, open_timeout=2.0, read_timeout=1.0, quiet=0.5)
    async with (
        rtsp_camera(fps=10, gop=1, size=SMALL, numbers=200) as camera,
        watching(camera.url(every=50), pace=pace) as watched,  # one each 5 s
    ):
        await eventually(lambda: any("less often" in sentence for _, sentence in watched.told), 20)
        error = await watched.failure(4)
        assert error.kind is Failure.TIMEOUT
        await asyncio.sleep(5)
        assert set(watched.states) == {CameraState.CONNECTING, CameraState.SILENT}


async def test_camera_on_demand_stays_live_after_its_look_however_seldom_it_sends() -> None:
    pace = replace(BRISK, quiet=0.5)
    async with (
        rtsp_camera(fps=10, gop=1, size=SMALL, numbers=200) as camera,
        watching(camera.url(every=20), pace=pace, connect="on_demand") as watched,  # one each 2 s
    ):
        await watched.source.take(15)
        assert watched.states[-1] is CameraState.LIVE
        told = len(watched.told)
        await eventually(lambda: watched.source._connection is None)
        assert watched.told[told:] == []


async def test_camera_that_goes_while_its_picture_is_decoded_is_gone() -> None:
    pace = replace(BRISK, first_pause=10, longest_pause=10, settle=1.0)  # the first picture is judged after a second
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL) as camera,
        watching(camera.url(fault="close", after=0.5), pace=pace) as watched,
    ):
        await watched.source.take(10)
        assert watched.states[-1] is CameraState.GONE
        assert "closed the connection" in str(await watched.failure(0.5))
