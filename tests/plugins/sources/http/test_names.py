"""A camera that is called by a name."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import pytest

from agent.plugin import Failure
from tests.fakes.http_camera import http_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.http.http_looking import looking

ask = socket.getaddrinfo


async def test_the_name_is_asked_for_and_its_other_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(host: Any, *rest: Any, **options: Any) -> Any:
        if host != "camera.test":
            return ask(host, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    async with http_camera(user="viewer", password="right") as camera:
        camera.host = "camera.test"
        async with looking(camera.url()) as looked:
            await looked.fresh(camera)
    assert camera.requests[-1]["headers"]["host"] == f"camera.test:{camera.port}"


async def test_a_dead_name_server_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "camera.test":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ask(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", dead)
    async with looking("http://camera.test/s.jpg") as looked:
        error = await looked.failure()
    assert error.kind is Failure.UNREACHABLE
    assert "name server (DNS) does not answer" in str(error)


async def test_names_that_take_for_ever_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither who else asks for a name, nor the end of the process."""
    over = threading.Event()

    def slow(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "camera.test":
            over.wait(60)
        return ask(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    threads = threading.active_count()
    try:
        async with looking("http://camera.test/s.jpg") as looked:
            for _ in range(8):
                error = await looked.failure(0.1)
            assert error.kind is Failure.UNREACHABLE
            assert "can't be reached (within 0.1 s)" in str(error)
            loop = asyncio.get_running_loop()
            began = time.monotonic()
            await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 5)
            await loop.shutdown_default_executor()
            assert time.monotonic() - began < 5
    finally:
        over.set()
    await eventually(lambda: threading.active_count() <= threads)
