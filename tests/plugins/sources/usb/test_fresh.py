"""What is handed out is what is there now."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agent.plugin import CameraState, Failure
from plugins.sources.usb.pace import Pace
from tests.fakes.clips import numbered
from tests.fakes.v4l2.camera import FakeCamera, Tree
from tests.fakes.waiting import eventually
from tests.plugins.sources.usb.watching import look_fresh, processes, watching


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


@pytest.mark.parametrize(("stamps", "least_buffers"), [(0, 4), (1, 4), (2, 1), (3, 3)])
async def test_a_driver_with_more_buffers_or_stamps_that_make_no_sense_gives_fresh_pictures_too(
    tree: Tree, stamps: int, least_buffers: int
):
    camera = FakeCamera(tree.plug(0))
    camera.stamps, camera.least_buffers = stamps, least_buffers
    async with watching(tree, 0) as watched:
        for pause in (0.0, 1.0, 0.3):
            await asyncio.sleep(pause)
            await look_fresh(camera, watched)


async def test_a_process_that_stood_still_hands_out_what_is_there_now(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0) as watched:
        await look_fresh(camera, watched)
        process = watched.process()
        assert process is not None
        process.suspend()
        await asyncio.sleep(2)
        look = asyncio.create_task(look_fresh(camera, watched))
        await asyncio.sleep(0.3)
        process.resume()
        await look
        assert watched.process() == process


@pytest.mark.parametrize("connect", ["always", "on_demand"])
async def test_the_dark_pictures_after_opening_are_not_shown(tree: Tree, connect: str):
    camera = FakeCamera(tree.plug(0))
    camera.dark = 6
    async with watching(tree, 0, connect=connect) as watched:
        for _ in range(2):
            await look_fresh(camera, watched)


async def test_on_demand_the_camera_is_open_while_somebody_looks_and_no_longer(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0, connect="on_demand") as watched:
        for looks in (1, 2):
            await look_fresh(camera, watched)
            await eventually(lambda: not processes())
            assert camera.counter("streams") == looks
        camera.unplug()
        tree.unplug(0)
        began = time.monotonic()
        assert (await watched.failure(5)).kind is Failure.UNREACHABLE
        assert time.monotonic() - began < 4
        camera = FakeCamera(tree.plug(0))
        await look_fresh(camera, watched)


async def test_on_demand_a_camera_that_opens_too_late_for_its_look_is_closed_again(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0, connect="on_demand") as watched:
        assert (await watched.failure(0.05)).kind is Failure.TIMEOUT
        await watched.until(CameraState.LIVE)
        await eventually(lambda: not processes())
        await look_fresh(camera, watched)


@pytest.mark.parametrize("form", ["mjpeg", "yuyv"])
async def test_pictures_are_no_larger_than_anybody_needs(tree: Tree, form: str):
    camera = FakeCamera(tree.plug(0), form=form)
    async with watching(tree, 0, long_edge=320) as watched:
        assert (await look_fresh(camera, watched)).pixels.shape == (180, 320, 3)


@pytest.mark.parametrize("form", ["mjpeg", "yuyv"])
async def test_colours_are_the_cameras(tree: Tree, form: str):
    FakeCamera(tree.plug(0), form=form, count=1)
    async with watching(tree, 0, long_edge=2000) as watched:
        taken = (await watched.source.take(10)).pixels.astype(int)
    real = np.asarray(next(numbered(1, (640, 360)))).astype(int)
    difference = np.abs(taken - real)[16:, 16:]  # the gradients begin again at the left and upper edge
    assert np.median(difference) <= 4
    assert difference.mean() <= 12


if Path("/dev/video0").exists():  # no skip elsewhere: CI counts those as left out, and no CI has a camera

    async def test_a_real_camera_gives_pictures():
        async with watching(Tree(Path("/")), 0, pace=Pace()) as watched:
            for _ in range(3):
                frame = await watched.source.take(20)
                assert frame.pixels.shape[2] == 3
                assert frame.pixels.std() > 0
