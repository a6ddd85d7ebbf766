"""``connect: on_demand``: connects at the look, takes a fresh key frame, and hangs up."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from agent.plugin import CameraState, Failure
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)


def count(camera: RtspCamera, kind: str) -> int:
    return sum(event["event"] == kind for event in camera.events)


def running() -> bool:
    return any(thread.name in {"rtsp door", "decode door"} for thread in threading.enumerate())


@pytest.mark.parametrize(("codec", "transport"), [("h264", "tcp"), ("hevc", "tcp"), ("h264", "udp")])
async def test_each_look_connects_and_hangs_up(codec: str, transport: str) -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL, codec=codec) as camera,
        watching(camera.url(), connect="on_demand", transport=transport) as watched,
    ):
        for look in range(1, 4):
            frame = await look_fresh(camera, watched)
            assert frame.how == "key frame"
            await eventually(lambda: not running(), 5)
            await eventually(lambda look=look: count(camera, "teardown") == look, 5)
            assert count(camera, "play") == look
        assert watched.told == [(CameraState.CONNECTING, ""), (CameraState.LIVE, "")]


async def test_nothing_runs_before_the_first_look() -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL) as camera,
        watching(camera.url(), connect="on_demand") as watched,
    ):
        await asyncio.sleep(0.3)
        assert not running()
        assert not camera.events
        await look_fresh(camera, watched)


async def test_look_right_after_the_last_waits_for_the_camera_to_be_free() -> None:
    async with (
        rtsp_camera(fps=5, gop=5, size=SMALL) as camera,
        watching(camera.url(single=453), connect="on_demand") as watched,
    ):
        for _ in range(3):
            await watched.source.take(10)
        assert count(camera, "full") == 0


async def test_refused_camera_is_left_alone_and_says_why_at_once() -> None:
    async with (
        rtsp_camera(user="viewer", password="right", size=SMALL, numbers=20) as camera,
        watching(camera.url(), password="wr0ng", connect="on_demand") as watched,
    ):
        assert (await watched.failure(5)).kind is Failure.UNAUTHORIZED
        tried = count(camera, "refused")
        for _ in range(3):
            began = time.monotonic()
            error = await watched.failure(5)
            assert error.kind is Failure.UNAUTHORIZED
            assert time.monotonic() - began < 0.5
        assert "tries again at the first look in" in str(error)
        assert count(camera, "refused") == tried
        assert watched.states == [CameraState.CONNECTING, CameraState.UNAUTHORIZED]


async def test_refused_camera_is_tried_again_at_a_look_when_the_pause_is_over() -> None:
    pace = replace(BRISK, refused_pause=0.3)
    async with rtsp_camera(size=SMALL, fps=25, gop=10) as camera:
        url = camera.url(fault="status", code=404, times=1)
        async with watching(url, connect="on_demand", pace=pace) as watched:
            assert (await watched.failure(5)).kind is Failure.NOT_FOUND
            await asyncio.sleep(1)
            assert count(camera, "refused") == 1, "nobody looked"
            await look_fresh(camera, watched)
            assert watched.states[-1] is CameraState.LIVE


async def test_failed_look_hangs_up_and_its_state_stays() -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL) as camera,
        watching(camera.url(fault="nokey", times=1), connect="on_demand") as watched,
    ):
        assert (await watched.failure(2)).kind is Failure.NO_VIDEO
        await eventually(lambda: not running(), 5)
        assert watched.states == [CameraState.CONNECTING, CameraState.NO_KEY_FRAMES]
        await look_fresh(camera, watched)
        assert watched.states[-1] is CameraState.LIVE


async def test_silent_camera_keeps_no_look_waiting_and_is_not_asked_twice_at_once() -> None:
    pace = replace(BRISK, open_timeout=1.5)
    async with rtsp_camera(fps=25, gop=25, size=SMALL) as camera:
        url = camera.url(fault="mute", at="DESCRIBE", times=1)
        async with watching(url, connect="on_demand", pace=pace) as watched:
            assert (await watched.failure(0.5)).kind is Failure.TIMEOUT
            assert sum(thread.name == "rtsp door" for thread in threading.enumerate()) == 1
            await watched.take_until_it_works()


async def test_long_groups_are_waited_for() -> None:
    async with (
        rtsp_camera(fps=25, gop=150, size=SMALL) as camera,
        watching(camera.url(), connect="on_demand") as watched,
    ):
        frame = await look_fresh(camera, watched, timeout=15)
        assert frame.how == "key frame"
