"""Passwords of every kind get in, and none of them gets out."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote

import pytest

from agent.plugin import Failure
from tests.fakes.passwords import PASSWORDS, USER, leaks, may_stand_raw
from tests.fakes.rtsp_camera import rtsp_camera
from tests.plugins.sources.rtsp.watching import watching


@pytest.mark.parametrize("auth", ["digest", "basic"])
async def test_any_password_gets_in_and_none_gets_out(caplog: pytest.LogCaptureFixture, auth: str) -> None:
    caplog.set_level(logging.DEBUG)
    paths = {f"/pw/{number}": password for number, password in enumerate(PASSWORDS)}
    seen: list[str] = []

    async def enters(url: str, **options: str) -> None:
        async with watching(url, **options) as watched:
            await watched.source.take(20)
            seen.append(f"{watched.source!r} {watched.source.config!r} {watched.told}")

    async def is_refused(url: str, **options: str) -> None:
        async with watching(url, **options) as watched:
            error = await watched.failure(20)
            assert error.kind is Failure.UNAUTHORIZED
            seen.append(f"{error!r} {error} {error.__cause__!r} {error.__context__!r} {watched.told}")

    async with (
        rtsp_camera(fps=10, gop=5, size=(160, 120), numbers=20, user=USER, passwords=paths) as camera,
        asyncio.TaskGroup() as group,
    ):
        for path, password in paths.items():
            place = f"{camera.host}:{camera.port}{path}?auth={auth}"
            group.create_task(enters(f"rtsp://{quote(USER)}:{quote(password, safe='')}@{place}"))
            group.create_task(enters(f"rtsp://{place}", username=USER, password=password))
            group.create_task(is_refused(f"rtsp://{place}", username=USER, password=password + "x"))
            if may_stand_raw(password):
                group.create_task(enters(f"rtsp://{USER}:{password}@{place}"))
    everything = "\n".join([*seen, caplog.text, *(str(record.__dict__) for record in caplog.records)])
    assert leaks(everything) == {}
    assert "connecting to 127.0.0.1" in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("libav")]
