"""What is told of a camera is true at each moment, and stays told until it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.plugin import CameraState, Failure
from plugins.sources.rtsp.pace import Pace
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)


async def test_camera_that_is_gone_stays_gone_through_every_attempt() -> None:
    async with rtsp_camera(fps=25, gop=10, size=SMALL) as camera, watching(camera.url()) as watched:
        await look_fresh(camera, watched)
        await camera.kill()
        await eventually(lambda: watched.source._failures >= 5)
        assert watched.states[:2] == [CameraState.CONNECTING, CameraState.LIVE]
        assert set(watched.states[2:]) == {CameraState.GONE}
        assert "refuses connections" in watched.told[-1][1]
        await camera.restart()
        await watched.take_until_it_works()
        assert watched.states[-1] is CameraState.LIVE


async def test_camera_that_has_no_such_stream_is_told_once() -> None:
    pace = replace(BRISK, refused_pause=0.05)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(fault="status", code=404, times=5), pace=pace) as watched,
    ):
        await eventually(lambda: CameraState.LIVE in watched.states)
        assert watched.states == [CameraState.CONNECTING, CameraState.NOT_FOUND, CameraState.LIVE]


async def test_camera_that_sends_only_damaged_pictures_is_damaged_until_a_look_finds_a_whole_one() -> None:
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL, bit_rate=400_000) as camera,
        watching(camera.url(fault="corrupt", share=1.0, until=6)) as watched,
    ):
        assert (await watched.failure(2)).kind is Failure.DAMAGED
        await eventually(lambda: watched.states[-1] is CameraState.DAMAGED)
        await watched.take_until_it_works()
        assert [state for state in watched.states if state is not CameraState.LIVE] == [
            CameraState.CONNECTING,
            CameraState.DAMAGED,
        ]
        assert watched.states[-1] is CameraState.LIVE


async def test_camera_whose_key_frames_come_damaged_is_told_without_a_look() -> None:
    async with (
        rtsp_camera(fps=25, gop=5, size=SMALL, bit_rate=400_000) as camera,
        watching(camera.url(fault="loss", share=0.5, until=8)) as watched,
    ):
        await eventually(lambda: CameraState.DAMAGED in watched.states)
        assert "only damaged pictures" in watched.told[-1][1]
        await eventually(lambda: watched.states[-1] is CameraState.LIVE)


@pytest.mark.parametrize(("failures", "least"), [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (10_000, 30.0)])
def test_pause_doubles_to_half_a_minute_and_is_never_quite_the_same(failures: int, least: float) -> None:
    pauses = {Pace().pause(failures, refused=False) for _ in range(50)}
    assert len(pauses) > 10
    assert all(least <= pause <= least * 1.1 for pause in pauses)


def test_pause_after_a_refusal_is_a_minute_at_once() -> None:
    assert all(60 <= Pace().pause(failures, refused=True) <= 66 for failures in (1, 2, 100))
