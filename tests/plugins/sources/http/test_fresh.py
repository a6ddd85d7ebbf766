"""What is handed out is what is there now."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import replace

import pytest

from agent.plugin import CameraState, Failure, FrameUnavailable
from tests.fakes.http_camera import ROOT, http_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.http.http_looking import BRISK, looking


@pytest.mark.parametrize("framing", ["length", "close", "chunked"])
@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg", "text/plain", ""])
async def test_snapshot_is_fresh_however_it_is_sent(framing: str, kind: str) -> None:
    async with http_camera() as camera, looking(camera.url(framing=framing, type=kind)) as looked:
        for _ in range(2):
            frame = await looked.fresh(camera)
        assert frame.how == "snapshot"
        assert looked.told == [(CameraState.LIVE, "")]


async def test_stream_is_fresh() -> None:
    async with http_camera() as camera, looking(camera.stream(kept=3)) as looked:
        for _ in range(3):
            frame = await looked.fresh(camera)
        assert frame.how == "stream"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"delimiter": "--", "declared": ""},
        {"delimiter": "--a", "declared": "a"},
        {"delimiter": "----odd", "declared": "----odd"},
        {"delimiter": "--frame", "declared": "something-else"},
        {"newline": "lf"},
        {"newline": "none", "lengths": "no"},
        {"lengths": "no"},
        {"lengths": "lie"},
        {"type": "text/html"},
        {"kept": 1},
        {"kept": 3},
        {"kept": 2, "lengths": "no"},
        {"fps": 2, "kept": 1},
        {"kept": 1, "late": 0.3},
        {"kept": 3, "late": 0.3},
    ],
    ids=str,
)
async def test_stream_is_fresh_however_it_is_written(query: dict[str, object]) -> None:
    async with http_camera() as camera, looking(camera.stream(**query)) as looked:
        frame = await looked.fresh(camera)
        assert frame.how == "stream"


async def test_single_picture_in_a_streams_clothes() -> None:
    async with http_camera() as camera, looking(camera.stream(once=1)) as looked:
        await looked.fresh(camera)


async def test_stream_is_left_to_others_between_looks() -> None:
    async with http_camera(viewers=1) as camera, looking(camera.stream()) as looked:
        await looked.fresh(camera)
        await eventually(lambda: camera.events[-1] == {"event": "gone", "viewers": 0})
        await looked.fresh(camera)


@pytest.mark.parametrize("said", ["modified", "age"])
async def test_cached_picture_is_as_old_as_its_server_says(said: str) -> None:
    async with http_camera(numbers=400) as camera, looking(camera.url(cached=8, said=said)) as looked:
        frame = await looked.source.take(10)
        now = time.monotonic()
        assert now - frame.taken.monotonic == pytest.approx(looked.age(camera, frame), abs=1.5)
        assert 7 < now - frame.taken.monotonic < 10
        assert frame.how == "snapshot, 8 s old by its server"
        assert looked.states == [CameraState.BEHIND]


async def test_date_that_never_changes_is_seen_through_in_the_first_look() -> None:
    async with http_camera() as camera, looking(camera.url(said="stuck")) as looked:
        for _ in range(3):
            assert (await looked.fresh(camera)).how == "snapshot"
        assert len(camera.requests) == 4 + 2
        assert looked.states == [CameraState.LIVE]


async def test_camera_that_hands_out_its_last_picture_is_asked_again() -> None:
    async with http_camera(numbers=400) as camera:
        async with looking(camera.url(behind=1, stamp=1)) as looked:
            for _ in range(2):
                frame = await looked.source.take(10)
                assert looked.age(camera, frame) <= 1.0
            assert len(camera.requests) <= 6
        async with looking(camera.url(behind=1), discard=1) as looked:
            frame = await looked.source.take(10)
            assert looked.age(camera, frame) <= 1.0


async def test_same_picture_for_long_is_told_and_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    pace = replace(BRISK, same=0.5)
    async with http_camera() as camera, looking(camera.url(same=1), pace=pace) as looked:
        await looked.source.take(5)
        assert looked.told == [(CameraState.LIVE, "")]

        async def told() -> None:
            while "very same picture" not in looked.told[-1][1]:
                await looked.source.take(5)

        await asyncio.wait_for(told(), 10)
        await looked.source.take(5)
        assert set(looked.states) == {CameraState.LIVE}
        assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


# Kept open


async def test_kept_stream_is_opened_once_and_fresh() -> None:
    async with http_camera(fps=20, numbers=400) as camera, looking(camera.stream(kept=3), connect="always") as looked:
        for _ in range(10):
            await looked.fresh(camera)
        assert len(camera.requests) == 1
        assert looked.states == [CameraState.CONNECTING, CameraState.LIVE]


async def test_kept_stream_comes_back_by_itself() -> None:
    async with http_camera() as camera, looking(camera.stream(), connect="always") as looked:
        await looked.fresh(camera)
        await camera.kill()
        await eventually(lambda: looked.states[-1] is CameraState.GONE)
        with pytest.raises(FrameUnavailable) as caught:
            await looked.source.take(1)
        assert caught.value.kind in (Failure.UNREACHABLE, Failure.DAMAGED)
        await camera.restart()
        await eventually(lambda: looked.states[-1] is CameraState.LIVE)
        await looked.fresh(camera)


async def test_kept_stream_that_freezes_is_stale_and_opened_anew() -> None:
    pace = replace(BRISK, hopeless=1.5)
    async with (
        http_camera() as camera,
        looking(camera.stream(fault="freeze", after=1, times=1), connect="always", pace=pace) as looked,
    ):
        await looked.fresh(camera)
        await eventually(lambda: CameraState.SILENT in looked.states)
        assert "stopped sending pictures" in looked.told[-1][1]
        await eventually(lambda: looked.states[-1] is CameraState.LIVE)
        await looked.fresh(camera)
        assert len(camera.requests) == 2


async def test_kept_stream_that_is_quiet_is_told_long_before_it_is_opened_anew() -> None:
    async with (
        http_camera() as camera,
        looking(camera.stream(), connect="always", pace=replace(BRISK, quiet=1.0)) as looked,
    ):
        await looked.fresh(camera)
        camera.freeze()
        await eventually(lambda: looked.states[-1] is CameraState.SILENT)
        assert "stopped sending pictures; it may need a restart." in looked.told[-1][1]
        camera.thaw()
        await eventually(lambda: looked.states[-1] is CameraState.LIVE)
        await looked.fresh(camera)
        assert len(camera.requests) == 1


async def test_kept_streams_wrong_password_is_left_alone() -> None:
    async with (
        http_camera(user="viewer", password="right", numbers=2) as camera,
        looking(camera.stream(), password="wr0ng", connect="always") as looked,
    ):
        await eventually(lambda: CameraState.UNAUTHORIZED in looked.states)
        with pytest.raises(FrameUnavailable, match="refused the user name or password") as caught:
            await looked.source.take(5)
        assert caught.value.kind is Failure.UNAUTHORIZED
        assert len(camera.requests) == 2


async def test_always_means_nothing_to_single_pictures() -> None:
    async with http_camera() as camera, looking(camera.url(), connect="always") as looked:
        for _ in range(2):
            await looked.fresh(camera)
        assert looked.task.done()


async def test_a_stream_is_never_older_for_this_process_having_stood_still() -> None:
    """In a process of its own, which is stopped for a while: what has waited in the connection is not handed out."""
    async with http_camera(fps=20, numbers=400, size=(640, 480)) as camera:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.plugins.sources.http.looker", camera.stream(), "always"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            for _ in range(2):
                number = await _look(child)
                assert camera.age(number) <= 0.5
            os.kill(child.pid, signal.SIGSTOP)
            stopped = time.monotonic()
            await eventually(lambda: time.monotonic() - stopped > 4)
            os.kill(child.pid, signal.SIGCONT)
            assert camera.age(await _look(child)) <= 0.5
        finally:
            child.kill()
            await child.communicate()


async def test_a_look_is_never_older_for_this_process_having_stood_still_meanwhile() -> None:
    async with http_camera(fps=20, numbers=400, size=(640, 480)) as camera:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.plugins.sources.http.looker", camera.stream(late=0.5), "on_demand"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await _look(child)
            looked = len(camera.events)
            look = asyncio.create_task(_look(child))
            await eventually(lambda: any(event.get("event") == "watching" for event in camera.events[looked:]))
            os.kill(child.pid, signal.SIGSTOP)
            stopped = time.monotonic()
            await eventually(lambda: time.monotonic() - stopped > 4)
            os.kill(child.pid, signal.SIGCONT)
            assert camera.age(await look) <= 0.5
        finally:
            child.kill()
            await child.communicate()


async def _look(child: asyncio.subprocess.Process) -> int:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"look\n")
    return int(json.loads(await asyncio.wait_for(child.stdout.readline(), 30))["number"])
