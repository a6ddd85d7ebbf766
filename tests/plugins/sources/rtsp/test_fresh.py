"""What is handed out is what is there now."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from agent.plugin import CameraState
from plugins.sources.rtsp.pace import Pace
from tests.fakes.clips import read_number
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually

SMALL = (320, 240)


async def look(camera: Any, watched: Any, timeout: float = 10) -> tuple[float, Any]:
    """The age of the picture by the number in it, which the record's ``taken`` must agree with."""
    began = time.monotonic()
    frame = await watched.source.take(timeout)
    now = time.monotonic()
    number = read_number(frame.pixels)
    assert number is not None, "a damaged picture was handed out"
    age = camera.age(number)
    assert began <= frame.taken.monotonic <= now
    assert abs(now - frame.taken.monotonic - age) < 0.2
    return age, frame


@pytest.mark.parametrize(
    ("codec", "transport", "fault"),
    [("h264", "tcp", None), ("hevc", "tcp", None), ("h264", "udp", None), ("h264", "tcp", "nosps")],
)
async def test_pictures_are_fresh(watch: Callable[..., Any], codec: str, transport: str, fault: str | None) -> None:
    async with rtsp_camera(fps=25, gop=25, size=SMALL, codec=codec) as camera:
        url = camera.url(fault=fault) if fault else camera.url()
        async with watch(url, transport=transport) as watched:
            for pause in (0.0, 0.3, 1.1, 0.7):
                await asyncio.sleep(pause)
                age, frame = await look(camera, watched)
                assert age <= 0.5
                assert frame.how == "key frame"
                assert frame.pixels.shape == (240, 320, 3)
            assert watched.told == [(CameraState.CONNECTING, ""), (CameraState.LIVE, "")]
            assert len([event for event in camera.events if event["event"] == "play"]) == 1
    assert "cv2" not in sys.modules


async def test_long_groups_are_decoded_where_no_key_frame_is_due(watch: Callable[..., Any]) -> None:
    async with rtsp_camera(fps=25, gop=200, size=SMALL) as camera, watch(camera.url()) as watched:
        await eventually(lambda: watched.source._connection and watched.source._connection.keys.seconds, 25)
        for _ in range(3):
            began = time.monotonic()
            age, frame = await look(camera, watched)
            assert age <= 0.5
            assert "after a key frame" in frame.how
            assert time.monotonic() - began < 2
            await asyncio.sleep(0.3)


async def test_known_scenes_are_seen_when_they_are_on(watch: Callable[..., Any]) -> None:
    scenes = [Image.new("RGB", SMALL, colour) for colour in ("red", "lime", "blue")]
    async with rtsp_camera(scenes, seconds_each=1.0, gop=5) as camera, watch(camera.url()) as watched:
        seen = set()
        for _ in range(5):
            frame = await watched.source.take(10)
            # A scene may have changed between the picture and this line.
            on = int(((frame.taken.monotonic - camera.epoch) % 3.0) / 1.0)
            assert int(frame.pixels.mean(axis=(0, 1)).argmax()) == on
            seen.add(on)
            await asyncio.sleep(0.4)
        assert len(seen) >= 2


@pytest.mark.parametrize("fault", ["tsjump", "resize"])
async def test_changes_in_band_are_lived_through(watch: Callable[..., Any], fault: str) -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL) as camera,
        watch(camera.url(fault=fault, after=2)) as watched,
    ):
        ages, shapes = [], []
        began = time.monotonic()
        while time.monotonic() - began < 6:
            age, frame = await look(camera, watched)
            ages.append(age)
            shapes.append(frame.pixels.shape[:2])
        assert max(ages) <= 0.5
        assert shapes[0] == (240, 320)
        assert shapes[-1] == ((120, 240) if fault == "resize" else (240, 320))
        assert watched.states.count(CameraState.LIVE) == 1


async def test_stream_that_falls_behind_is_refused_and_opened_anew(watch: Callable[..., Any], brisk: Pace) -> None:
    pace = replace(brisk, most_lag=0.5, hopeless_lag=2.0)
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL) as camera,
        watch(camera.url(fault="slow", pace=0.5, times=1), pace=pace) as watched,
    ):
        await eventually(lambda: CameraState.CONNECTING in watched.states[1:], 20)
        assert "too old" in watched.told[-1][1]
        age, _ = await look(camera, watched)
        assert age <= 0.5


@pytest.mark.parametrize("fault", ["loss", "corrupt"])
async def test_damaged_pictures_are_refused(watch: Callable[..., Any], fault: str) -> None:
    """Every second key frame or so is damaged: each look waits for a whole one."""
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL, bit_rate=400_000) as camera,
        watch(camera.url(fault=fault, share=0.1)) as watched,
    ):
        for _ in range(12):
            age, _ = await look(camera, watched)
            assert age <= 0.5
