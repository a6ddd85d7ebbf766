"""Passwords of every kind get in, and none of them gets out."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote

import av.logging
import pytest

from agent.plugin import Failure
from tests.fakes.rtsp_camera import rtsp_camera
from tests.plugins.sources.rtsp.watching import watching

PASSWORDS = [
    "plain-0ne",
    "with space",
    "at@sign@twice",
    "sla/sh/es",
    "ha#sh",
    "quest?ion=1",
    "co:lon:s",
    "amp&ersand",
    "pl+us+sign",
    "50%plus",
    "quoted%41%2f",
    "brac[ket]s",
    "back\\slash",
    "quo'te\"s",
    "dol$lar{brace}!",
    "ümläut-ß-日本",
    "<a>|b^c`d~e;f,g*(h)",
]


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
        rtsp_camera(fps=10, gop=5, size=(160, 120), numbers=20, user="vie wer", passwords=paths) as camera,
        asyncio.TaskGroup() as group,
    ):
        for path, password in paths.items():
            place = f"{camera.host}:{camera.port}{path}?auth={auth}"
            group.create_task(enters(f"rtsp://vie%20wer:{quote(password, safe='')}@{place}"))
            group.create_task(enters(f"rtsp://{place}", username="vie wer", password=password))
            group.create_task(is_refused(f"rtsp://{place}", username="vie wer", password=password + "x"))
            if "%41" not in password:
                group.create_task(enters(f"rtsp://vie wer:{password}@{place}"))
    everything = "\n".join([*seen, caplog.text, *(str(record.__dict__) for record in caplog.records)])
    leaked = [password for password in PASSWORDS if password in everything or quote(password, safe="") in everything]
    assert leaked == []
    assert "connecting to 127.0.0.1" in caplog.text


def test_the_library_logs_nothing_by_itself() -> None:
    assert av.logging.get_level() is None
