"""The same against a real RTSP server that nobody of this project wrote."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agent.plugin import CameraState, Failure
from tests.fakes.gst_camera import gst_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_pictures_are_fresh(codec: str, transport: str) -> None:
    async with gst_camera(codec) as camera, watching(camera.url(), transport=transport) as watched:
        for _ in range(3):
            await look_fresh(camera, watched)
            await asyncio.sleep(1.1)
        assert watched.told == [(CameraState.CONNECTING, ""), (CameraState.LIVE, "")]


@pytest.mark.parametrize("auth", ["digest", "basic"])
async def test_password_is_asked_for(auth: str) -> None:
    async with gst_camera(user="viewer", password="p@ss/w?rd#%41", auth=auth) as camera:
        async with watching(camera.url()) as watched:
            await look_fresh(camera, watched)
        async with watching(camera.url(), password="other") as watched:
            assert (await watched.failure(5)).kind is Failure.UNAUTHORIZED
        async with watching(f"rtsp://127.0.0.1:{camera.port}/live") as watched:
            assert (await watched.failure(5)).kind is Failure.UNAUTHORIZED


async def test_wrong_path_is_not_found() -> None:
    async with gst_camera(gop=10) as camera, watching(camera.url("/other")) as watched:
        assert (await watched.failure(5)).kind is Failure.NOT_FOUND


async def test_killed_and_stopped_server_is_found_again() -> None:
    pace = replace(BRISK, open_timeout=3.0, read_timeout=2.0, quiet=1.0)
    async with gst_camera(gop=10) as camera, watching(camera.url(), pace=pace) as watched:
        await look_fresh(camera, watched)
        await camera.kill()
        assert (await watched.failure(10)).kind is Failure.UNREACHABLE
        await camera.restart()
        await watched.take_until_it_works()
        camera.freeze()
        assert (await watched.failure(3)).kind is Failure.STALE
        await eventually(lambda: "does not answer" in watched.told[-1][1], 40)
        camera.thaw()
        await watched.take_until_it_works()
        await look_fresh(camera, watched)
