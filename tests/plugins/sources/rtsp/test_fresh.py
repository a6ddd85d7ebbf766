"""What is handed out is what is there now."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from PIL import Image

from agent.plugin import CameraState, FrameUnavailable
from tests.fakes.clips import read_number
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)


@pytest.mark.parametrize(
    ("codec", "transport", "fault"),
    [("h264", "tcp", None), ("hevc", "tcp", None), ("h264", "udp", None), ("h264", "tcp", "nosps")],
)
async def test_pictures_are_fresh(codec: str, transport: str, fault: str | None) -> None:
    async with rtsp_camera(fps=25, gop=25, size=SMALL, codec=codec) as camera:
        url = camera.url(fault=fault) if fault else camera.url()
        async with watching(url, transport=transport) as watched:
            for pause in (0.0, 0.3, 1.1, 0.7):
                await asyncio.sleep(pause)
                frame = await look_fresh(camera, watched)
                assert frame.how == "key frame"
                assert frame.pixels.shape == (240, 320, 3)
            assert watched.told == [(CameraState.CONNECTING, ""), (CameraState.LIVE, "")]
            assert len([event for event in camera.events if event["event"] == "play"]) == 1
    assert "cv2" not in sys.modules


async def test_long_groups_are_decoded_where_no_key_frame_is_due() -> None:
    async with rtsp_camera(fps=25, gop=200, size=SMALL) as camera, watching(camera.url()) as watched:
        await eventually(lambda: watched.source._connection and watched.source._connection.keys.seconds, 25)
        for _ in range(3):
            began = time.monotonic()
            frame = await look_fresh(camera, watched)
            assert "after a key frame" in frame.how
            assert time.monotonic() - began < 2
            await asyncio.sleep(0.3)


async def test_known_scenes_are_seen_when_they_are_on() -> None:
    scenes = [Image.new("RGB", SMALL, colour) for colour in ("red", "lime", "blue")]
    async with rtsp_camera(scenes, seconds_each=1.0, gop=5) as camera, watching(camera.url()) as watched:
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
async def test_changes_in_band_are_lived_through(fault: str) -> None:
    async with (
        rtsp_camera(fps=25, gop=25, size=SMALL) as camera,
        watching(camera.url(fault=fault, after=2)) as watched,
    ):
        shapes = []
        began = time.monotonic()
        while time.monotonic() - began < 6:
            frame = await look_fresh(camera, watched)
            shapes.append(frame.pixels.shape[:2])
        assert shapes[0] == (240, 320)
        assert shapes[-1] == ((120, 240) if fault == "resize" else (240, 320))
        assert watched.states.count(CameraState.LIVE) == 1


async def test_stream_that_falls_behind_is_refused_and_opened_anew() -> None:
    pace = replace(BRISK, most_lag=0.5, hopeless_lag=2.0)
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL) as camera,
        watching(camera.url(fault="slow", pace=0.5, times=1), pace=pace) as watched,
    ):
        while CameraState.BEHIND not in watched.states:
            with suppress(FrameUnavailable):
                frame = await watched.source.take(1)
                assert camera.age(read_number(frame.pixels)) <= pace.most_lag + 0.4
        assert any("too old" in sentence for _, sentence in watched.told)
        assert CameraState.CONNECTING not in watched.states[1:]
        await look_fresh(camera, watched)


@pytest.mark.parametrize("fault", ["loss", "corrupt"])
async def test_damaged_pictures_are_refused(fault: str) -> None:
    """Every second key frame or so is damaged: each look waits for a whole one."""
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL, bit_rate=400_000) as camera,
        watching(camera.url(fault=fault, share=0.1)) as watched,
    ):
        for _ in range(12):
            await look_fresh(camera, watched)
