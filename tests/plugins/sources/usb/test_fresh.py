"""What is handed out is what is there now."""

from __future__ import annotations

import asyncio
import sys

import pytest

from agent.plugin import CameraState
from tests.fakes.v4l2.camera import FakeCamera, Tree
from tests.plugins.sources.usb.watching import look_fresh, watching


@pytest.mark.parametrize("form", ["mjpeg", "yuyv"])
async def test_pictures_are_fresh_in_spite_of_the_drivers_buffers(tree: Tree, form: str):
    camera = FakeCamera(tree.plug(0), form=form)
    async with watching(tree, 0) as watched:
        for pause in (0.0, 0.1, 1.0, 0.5):
            await asyncio.sleep(pause)
            frame = await look_fresh(camera, watched)
            assert frame.pixels.shape == (360, 640, 3)
        assert watched.told == [(CameraState.CONNECTING, ""), (CameraState.LIVE, "")]
        assert camera.counter("streams") == 1
    assert "cv2" not in sys.modules
