"""The ways of RTSP servers: tracks beside the video, sessions that must be kept alive, a single place for viewers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from agent.plugin import CameraState, Failure
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)
GROUPS_ONLY = replace(BRISK, patience=0.0)
"""Decodes the pictures since the last key frame at every look."""


def events(camera: RtspCamera, *kinds: str) -> list[str]:
    return [event["event"] for event in camera.events if event["event"] in kinds]


def tracks(camera: RtspCamera) -> list[str]:
    return [event["track"] for event in camera.events if event["event"] == "setup"]


@pytest.mark.parametrize("beside", ["both", "backchannel"])
async def test_only_the_video_is_set_up(beside: str) -> None:
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera, watching(camera.url(tracks=beside)) as watched:
        await look_fresh(camera, watched)
        assert tracks(camera) == ["video"]


@pytest.mark.parametrize("base", ["none", "relative", "elsewhere"])
async def test_tracks_are_found_however_they_are_named(base: str) -> None:
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(channel=1, subtype=1, base=base)) as watched,
    ):
        await look_fresh(camera, watched)
        assert tracks(camera) == ["video"]


async def test_query_reaches_the_camera() -> None:
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera:
        async with watching(camera.url(channel=1, subtype=1, fault="status", code=404)) as watched:
            assert (await watched.failure(5)).kind is Failure.NOT_FOUND
        async with watching(camera.url(channel=1, subtype=1)) as watched:
            await look_fresh(camera, watched)


async def test_ipv6_address_is_reached() -> None:
    async with rtsp_camera(fps=25, gop=10, size=SMALL, host="::1") as camera, watching(camera.url()) as watched:
        await look_fresh(camera, watched)
        camera.freeze()
        assert f"[::1]:{camera.port}" in str(await watched.failure(2))


async def test_camera_is_reached_by_its_name() -> None:
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(f"rtsp://localhost:{camera.port}/live") as watched,
    ):
        await look_fresh(camera, watched)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_session_is_kept_alive_between_looks(transport: str) -> None:
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(fault="session", seconds=3), transport=transport) as watched,
    ):
        await look_fresh(camera, watched)
        await eventually(lambda: len(events(camera, "get_parameter")) >= 5)  # one each half of the three seconds
        await look_fresh(camera, watched)
        assert events(camera, "play") == ["play"]
        assert watched.states == [CameraState.CONNECTING, CameraState.LIVE]


@pytest.mark.parametrize("answer", ["453", "503", "close"])
async def test_second_viewer_of_a_camera_that_has_one_place_is_told_so(answer: str) -> None:
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera, watching(camera.url(single=answer)) as first:
        await look_fresh(camera, first)
        async with watching(camera.url(single=answer)) as second:
            error = await second.failure(5)
            assert "no connection left for another viewer" in str(error)
            assert second.states[-1] is (CameraState.SILENT if answer == "close" else CameraState.BUSY)
            await look_fresh(camera, first)


@pytest.mark.parametrize("fault", ["freeze", "close", "noise"])
async def test_reconnecting_does_not_lock_itself_out(fault: str) -> None:
    pace = replace(BRISK, read_timeout=1.0, quiet=0.5)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(single=453, fault=fault, after=1, times=1), pace=pace) as watched,
    ):
        await look_fresh(camera, watched)
        await eventually(lambda: events(camera, "play") == ["play", "play"])
        await look_fresh(camera, watched)
        assert not events(camera, "full")
        if fault == "freeze":  # the camera still has its session: it must be told that it is over
            assert events(camera, "play", "teardown") == ["play", "teardown", "play"]


async def test_transport_that_the_camera_lacks_is_named() -> None:
    async with (
        rtsp_camera(size=SMALL, numbers=20) as camera,
        watching(camera.url(fault="status", at="SETUP", code=461)) as watched,
    ):
        assert "set transport to the other" in str(await watched.failure(5))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("sets", ["once", "apart"])
@pytest.mark.parametrize("pace", [BRISK, GROUPS_ONLY], ids=["key-frames", "groups"])
async def test_parameter_sets_in_band_are_remembered(codec: str, sets: str, pace: object) -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL, codec=codec) as camera,
        watching(camera.url(sets=sets), pace=pace) as watched,
    ):
        for _ in range(3):
            await look_fresh(camera, watched)
            await asyncio.sleep(0.9)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("pace", [BRISK, GROUPS_ONLY], ids=["key-frames", "groups"])
async def test_other_size_in_band_is_followed(codec: str, pace: object) -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL, codec=codec) as camera,
        watching(camera.url(fault="resize", after=2), pace=pace) as watched,
    ):
        shapes = []
        until = time.monotonic() + 20  # the other size has to be encoded first
        while time.monotonic() < until and (120, 240) not in shapes:
            shapes.append((await look_fresh(camera, watched)).pixels.shape[:2])
        shapes.append((await look_fresh(camera, watched)).pixels.shape[:2])
        assert (shapes[0], shapes[-1]) == ((240, 320), (120, 240))
        assert events(camera, "play") == ["play"]


@pytest.mark.parametrize("leap", [3600, -3600])
@pytest.mark.parametrize("pace", [BRISK, GROUPS_ONLY], ids=["key-frames", "groups"])
async def test_leap_of_the_cameras_clock_is_lived_through(leap: int, pace: object) -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL) as camera,
        watching(camera.url(fault="tsjump", after=2, by=leap), pace=pace) as watched,
    ):
        until = time.monotonic() + 4
        while time.monotonic() < until:
            await look_fresh(camera, watched)
        assert events(camera, "play") == ["play"]


async def test_burst_of_old_pictures_at_the_start_is_not_fresh() -> None:
    async with rtsp_camera(fps=25, gop=50, size=SMALL) as camera:
        for _ in range(2):
            async with watching(camera.url(fault="cached", before=2.5)) as watched:
                await look_fresh(camera, watched)


async def test_slow_stream_is_live_and_its_pictures_say_how_old_they_are() -> None:
    """FFmpeg hands out a picture when the next one comes: here 2.5 s later, which the picture's moment must show."""
    async with rtsp_camera(fps=2, gop=1, size=SMALL, numbers=60) as camera:
        slow = camera.url(every=5)
        async with watching(slow) as watched:
            await watched.source.take(15)
            frame = await watched.source.take(15)
            assert 2 < time.monotonic() - frame.taken.monotonic < 3.5
            assert watched.states.count(CameraState.LIVE) == 1
            assert watched.states[-1] is CameraState.LIVE
            assert "so few pictures" in str(await watched.failure(2))
