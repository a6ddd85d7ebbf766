"""Each thing that goes wrong with a USB camera is named, with what to do, and ends by itself where it can."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.plugin import CameraState, Failure
from tests.fakes.v4l2.camera import FakeCamera, Tree
from tests.fakes.waiting import eventually
from tests.plugins.sources.usb.watching import BRISK, look_fresh, processes, watching

BY_ID = "usb-046d_Fake_Camera_1234"


async def test_a_camera_that_is_not_there_is_named_and_found_once_it_is(tree: Tree):
    path = tree.plug(0)
    async with watching(tree, path) as watched:
        await watched.until(CameraState.NOT_FOUND)
        failure = await watched.failure(5)
        assert failure.kind is Failure.NOT_FOUND
        assert f"The camera at {path} is not there; plug it in" in str(failure)
        camera = FakeCamera(path)
        await eventually(lambda: watched.live)
        await look_fresh(camera, watched)


async def test_an_unplugged_camera_is_noticed_without_a_look_and_found_under_another_number(tree: Tree):
    camera = FakeCamera(tree.plug(0, by_id=BY_ID))
    link = tree.dev / "v4l" / "by-id" / f"{BY_ID}-video-index0"
    async with watching(tree, link) as watched:
        await look_fresh(camera, watched)
        camera.unplug()
        tree.unplug(0)
        await watched.until(CameraState.GONE)
        failure = await watched.failure(5)
        assert failure.kind is Failure.UNREACHABLE
        assert "was unplugged; plug it in again; camscribe goes on by itself then." in str(failure)
        assert not processes()
        camera = FakeCamera(tree.plug(3, by_id=BY_ID))
        await eventually(lambda: watched.live)
        await look_fresh(camera, watched)


async def test_a_camera_unplugged_as_somebody_looks_fails_that_look_at_once(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0) as watched:
        await look_fresh(camera, watched)
        camera.unplug()
        began = time.monotonic()
        failure = await watched.failure(20)
        assert time.monotonic() - began < 5
        assert failure.kind is Failure.UNREACHABLE


async def test_a_stalled_camera_gets_another_process_within_the_look(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0, pace=replace(BRISK, stalled=1)) as watched:
        await look_fresh(camera, watched)
        first = watched.process()
        camera.stalled = True
        look = asyncio.create_task(look_fresh(camera, watched, 20))
        await eventually(lambda: first not in processes())
        camera.stalled = False
        await look
        assert watched.live


async def test_a_camera_that_stays_silent_is_told_in_time(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0, pace=replace(BRISK, stalled=1)) as watched:
        await look_fresh(camera, watched)
        camera.stalled = True
        failure = await watched.failure(4)
        assert failure.kind is Failure.TIMEOUT
        assert "is plugged in but gives no pictures" in str(failure)
        await watched.until(CameraState.SILENT)
        camera.stalled = False
        await watched.take_until_it_works()
        await look_fresh(camera, watched)


async def test_a_process_that_hangs_is_killed_within_the_look(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0) as watched:
        await look_fresh(camera, watched)
        first = watched.process()
        assert first is not None
        first.send_signal(signal.SIGSTOP)
        await look_fresh(camera, watched, 10)
        assert watched.process() != first


@asynccontextmanager
async def _held(path: Path) -> AsyncIterator[None]:
    """Another program, and no child of ours, has the camera open."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    script = f"(echo; exec sleep 60) < '{path}'; true"
    holder = await asyncio.create_subprocess_exec(
        *("sh", "-c", script), env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert holder.stdout is not None
        await holder.stdout.readline()
        yield
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        await holder.wait()


async def test_a_look_too_short_for_the_camera_fails_alone(tree: Tree):
    camera = FakeCamera(tree.plug(0), fps=2, count=30)
    async with watching(tree, 0) as watched:
        await watched.source.take(10)
        process = watched.process()
        assert (await watched.failure(0.05)).kind is Failure.TIMEOUT
        await look_fresh(camera, watched)
        assert watched.process() == process


async def test_a_busy_camera_names_who_has_it_and_is_taken_once_it_is_free(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    camera.busy = True
    async with _held(camera.path), watching(tree, 0) as watched:
        await watched.until(CameraState.BUSY)
        failure = await watched.failure(5)
        assert failure.kind is Failure.SOURCE
        assert re.search(r"is in use by \w+ \(process \d+\); only one at a time can have it", str(failure))
        camera.busy = False
        await watched.take_until_it_works()
        assert watched.live


async def test_two_cameras_with_one_device_are_told_so(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0) as first:
        await look_fresh(camera, first)
        camera.busy = True
        async with watching(tree, camera.path, alone=False) as second:
            await second.until(CameraState.BUSY)
            assert "is in use by another camera of this camscribe" in str(await second.failure(5))
        await look_fresh(camera, first)


async def test_missing_permission_says_the_group(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    camera.open_errno = errno.EACCES
    async with watching(tree, 0) as watched:
        await watched.until(CameraState.NO_PERMISSION)
        failure = await watched.failure(5)
        assert failure.kind is Failure.UNAUTHORIZED
        assert "sudo usermod -aG" in str(failure)
        camera.open_errno = 0
        await watched.take_until_it_works()


async def test_the_node_without_pictures_is_answered_with_the_right_one(tree: Tree):
    FakeCamera(tree.plug(0, by_id=BY_ID))
    other = FakeCamera(tree.plug(1, index=1, by_id=BY_ID))
    other.metadata = True
    async with watching(tree, 1) as watched:
        await watched.until(CameraState.NOT_FOUND)
        failure = await watched.failure(5)
        assert failure.kind is Failure.NOT_FOUND
        right = tree.dev / "v4l" / "by-id" / f"{BY_ID}-video-index0"
        assert f"gives no pictures; write source: usb:{right}" in str(failure)


async def test_a_file_that_is_no_camera_is_said(tree: Tree):
    path = tree.root / "notes.txt"
    path.write_text("no camera")
    async with watching(tree, path) as watched:
        await watched.until(CameraState.NOT_FOUND)
        assert "gives no pictures; see which ones do with 'camscribe doctor'" in str(await watched.failure(5))


async def test_a_full_bus_is_said(tree: Tree):
    camera = FakeCamera(tree.plug(0))
    camera.no_bandwidth = True
    async with watching(tree, 0) as watched:
        await watched.until(CameraState.BUSY)
        assert "the USB bus is full" in str(await watched.failure(5))


@pytest.mark.parametrize("damage", [1, 2])
async def test_damaged_pictures_are_refused_until_a_whole_one_comes(tree: Tree, damage: int):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0) as watched:
        await look_fresh(camera, watched)
        camera.damage = damage
        failure = await watched.failure(1)
        assert failure.kind is Failure.DAMAGED
        assert watched.states[-1] is CameraState.DAMAGED
        look = asyncio.create_task(look_fresh(camera, watched))
        await asyncio.sleep(0.3)
        camera.damage = 0
        await look
        assert watched.live
        assert camera.counter("streams") == 1, "a damaged picture is no reason to open the camera anew"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_killed_process_costs_no_look(tree: Tree, number: signal.Signals):
    camera = FakeCamera(tree.plug(0))
    async with watching(tree, 0) as watched:
        await look_fresh(camera, watched)
        first = watched.process()
        assert first is not None
        first.send_signal(number)
        await eventually(lambda: not psutil.pid_exists(first.pid))
        await watched.take_until_it_works()
        await look_fresh(camera, watched)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print('hello, I am a camera')\nimport time; time.sleep(60)", "say what makes no sense"),
        ("import os; os.write(1, b'camscrib' + b'\\xff' * 8)\nimport time; time.sleep(60)", "say what makes no sense"),
        ("import sys; sys.exit('no disk')", r"made its process end \(status 1: no disk\)"),
        ("import os; os.abort()", r"made its process end \(by signal SIGABRT\)"),
    ],
)
async def test_a_process_that_is_beside_itself_is_replaced(tree: Tree, script: str, words: str):
    FakeCamera(tree.plug(0))
    async with watching(tree, 0, command=(sys.executable, "-c", script)) as watched:
        await watched.until(CameraState.SILENT)
        with pytest.raises(Exception, match=words):
            await watched.source.take(5)


async def test_missing_opencv_is_said(tree: Tree):
    FakeCamera(tree.plug(0))
    script = "import sys; sys.modules['cv2'] = None\nfrom plugins.sources.usb.child import main; main()"
    async with watching(tree, 0, command=(sys.executable, "-c", script)) as watched:
        await watched.until(CameraState.SILENT)
        assert "without OpenCV" in str(await watched.failure(5))
