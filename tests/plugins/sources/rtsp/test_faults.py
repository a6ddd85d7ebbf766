"""Bad cameras: the right kind of failure in time, and recovery without a hand."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from agent.plugin import CameraState, Failure, FrameUnavailable
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, watching

SMALL = (320, 240)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_wrong_password_is_unauthorized_and_not_tried_again_soon() -> None:
    async with (
        rtsp_camera(user="viewer", password="right", size=SMALL, numbers=20) as camera,
        watching(camera.url(), password="wr0ng") as watched,
    ):
        error = await watched.failure(5)
        assert error.kind is Failure.UNAUTHORIZED
        assert "check username and password in cameras.door.source" in str(error)
        assert "tries again in 3" in str(error)
        assert watched.states == [CameraState.CONNECTING, CameraState.UNAUTHORIZED]
        began = time.monotonic()
        assert (await watched.failure(5)).kind is Failure.UNAUTHORIZED
        assert time.monotonic() - began < 0.5
        assert "wr0ng" not in str(error) + str(watched.told)
        assert sum(event.get("tried", False) for event in camera.events) <= 1


async def test_wrong_path_is_not_found() -> None:
    async with rtsp_camera(size=SMALL, numbers=20) as camera, watching(camera.url("/wrong")) as watched:
        error = await watched.failure(5)
        assert error.kind is Failure.NOT_FOUND
        assert "/wrong" not in str(error)  # a path may hold a password as well
        assert watched.states[-1] is CameraState.NOT_FOUND


async def test_nobody_at_the_address_is_unreachable() -> None:
    async with watching(f"rtsp://127.0.0.1:{free_port()}/live") as watched:
        error = await watched.failure(5)
        assert error.kind is Failure.UNREACHABLE
        assert "refuses connections" in str(error)
        assert watched.states[-1] is CameraState.GONE


async def test_unknown_name_is_unreachable() -> None:
    async with watching("rtsp://no-such-camera.invalid/live") as watched:
        assert (await watched.failure(40)).kind is Failure.UNREACHABLE


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "mute", "at": "OPTIONS"},
        {"fault": "mute", "at": "DESCRIBE"},
        {"fault": "mute", "at": "SETUP"},
        {"fault": "mute", "at": "PLAY"},
        {"fault": "garbage"},
        {"fault": "trickle"},
    ],
    ids=lambda fault: "-".join(fault.values()),
)
@pytest.mark.parametrize("sooner", [True, False], ids=["look-ends-first", "attempt-ends-first"])
async def test_camera_that_never_answers_is_a_timeout(fault: dict[str, str], *, sooner: bool) -> None:
    pace = replace(BRISK, open_timeout=1.0, longest_pause=5, first_pause=5)
    async with rtsp_camera(size=SMALL, numbers=20) as camera, watching(camera.url(**fault), pace=pace) as watched:
        error = await watched.failure(0.7 if sooner else 8)
        assert error.kind is Failure.TIMEOUT
        if not sooner:
            assert watched.states[-1] is CameraState.SILENT


async def test_listener_that_accepts_and_never_reads_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with watching(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live") as watched:
            assert (await watched.failure(1)).kind is Failure.TIMEOUT


@pytest.mark.parametrize("fault", ["freeze", "half"])
async def test_frozen_stream_is_stale_and_comes_back(fault: str) -> None:
    pace = replace(BRISK, read_timeout=2.0, quiet=1.0)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(fault=fault, after=2, times=1), pace=pace) as watched,
    ):
        await watched.source.take(10)
        await eventually(lambda: CameraState.SILENT in watched.states)
        error = await watched.failure(1.0)
        assert error.kind is Failure.STALE
        await eventually(lambda: watched.states[-1] is CameraState.LIVE)
        await watched.source.take(5)
        silent = watched.states.index(CameraState.SILENT)
        assert set(watched.states[silent:-1]) == {CameraState.SILENT}, "a held-back picture is no sign of life"


@pytest.mark.parametrize("fault", ["close", "reset", "noise"])
async def test_broken_stream_is_opened_anew(fault: str) -> None:
    pace = replace(BRISK, read_timeout=1.0)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(fault=fault, after=1, times=1), pace=pace) as watched,
    ):
        await watched.source.take(10)
        plays = lambda: sum(event["event"] == "play" for event in camera.events)  # noqa: E731
        await eventually(lambda: plays() == 2)
        await watched.source.take(10)
        assert watched.states[-1] is CameraState.LIVE


async def test_camera_that_is_starting_gets_its_time() -> None:
    async with (
        rtsp_camera(size=SMALL, numbers=20) as camera,
        watching(camera.url(fault="status", code=503, times=3), pace=BRISK) as watched,
    ):
        assert (await watched.failure(5)).kind is Failure.SOURCE
        await watched.take_until_it_works()


async def test_killed_server_is_found_again() -> None:
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera, watching(camera.url()) as watched:
        await watched.source.take(10)
        await camera.kill()
        assert (await watched.failure(10)).kind is Failure.UNREACHABLE
        assert watched.states[-1] is CameraState.GONE
        await camera.restart()
        await watched.take_until_it_works()
        assert watched.states[-1] is CameraState.LIVE


async def test_stopped_process_is_stale_then_silent_and_found_again() -> None:
    pace = replace(BRISK, open_timeout=2.0, read_timeout=2.0, quiet=1.0)
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera, watching(camera.url(), pace=pace) as watched:
        await watched.source.take(10)
        camera.freeze()
        assert (await watched.failure(3)).kind is Failure.STALE
        await eventually(lambda: "does not answer" in watched.told[-1][1], 40)
        assert (await watched.failure(8)).kind is Failure.TIMEOUT
        camera.thaw()
        await watched.take_until_it_works()


async def test_sound_only_is_no_video() -> None:
    async with rtsp_camera(size=SMALL, numbers=20) as camera, watching(camera.url(fault="audio")) as watched:
        assert (await watched.failure(15)).kind is Failure.NO_VIDEO


async def test_no_key_frame_is_no_video_and_is_told() -> None:
    pace = replace(BRISK, no_key_frame=3.0)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(fault="nokey", times=1), pace=pace) as watched,
    ):
        error = await watched.failure(1.5)
        assert error.kind is Failure.NO_VIDEO
        assert "key frame interval" in str(error)
        await eventually(lambda: CameraState.NO_KEY_FRAMES in watched.states)
        await watched.take_until_it_works()


async def test_damaged_only_is_damaged() -> None:
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL, bit_rate=400_000) as camera,
        watching(camera.url(fault="corrupt", share=1.0)) as watched,
    ):
        assert (await watched.failure(4)).kind is Failure.DAMAGED


async def test_bad_cameras_hold_up_no_good_one() -> None:
    async with rtsp_camera(fps=25, gop=25, size=SMALL) as camera:
        bad = [camera.url(fault="mute", at=at) for at in ("OPTIONS", "DESCRIBE", "SETUP", "PLAY")] * 2
        async with asyncio.TaskGroup() as group, watching(camera.url()) as good:
            for url in bad:
                group.create_task(_fails(url))
            for _ in range(3):
                await good.source.take(4)


async def _fails(url: str) -> None:
    async with watching(url) as watched:
        assert (await watched.failure(3)).kind is Failure.TIMEOUT


async def test_camera_whose_driver_hangs_three_times_is_parked() -> None:
    pace = replace(BRISK, open_timeout=3.0, stuck=0.3)
    async with rtsp_camera(size=SMALL, numbers=20) as camera:
        async with watching(camera.url(fault="mute", at="DESCRIBE"), pace=pace) as watched:
            assert (await watched.failure(10)).kind is Failure.SOURCE
            assert watched.states[-1] is CameraState.PARKED
            await asyncio.wait_for(watched.task, 5)
            assert "restart" in str(await watched.failure(1))
        await _no_threads_left(10)


@pytest.mark.parametrize("fault", [{}, {"fault": "mute", "at": "PLAY"}, {"fault": "freeze", "after": "0.5"}])
async def test_stopping_is_quick_and_leaves_no_thread(fault: dict[str, str]) -> None:
    pace = replace(BRISK, open_timeout=2.0, read_timeout=1.0, farewell=0.3)
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera:
        async with watching(camera.url(**fault), pace=pace) as watched:
            await asyncio.wait({asyncio.create_task(_try(watched))}, timeout=1)
        await _no_threads_left(8)


async def _try(watched: Any) -> None:
    try:
        await watched.source.take(3)
    except FrameUnavailable:
        return


async def _no_threads_left(within: float) -> None:
    ours = {"rtsp door", "decode door"}
    await eventually(lambda: ours.isdisjoint(thread.name for thread in threading.enumerate()), within)
