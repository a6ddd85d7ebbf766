"""Networks that swallow: no answer to a connection, no answer of the name server. Nobody waits for either."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from agent.plugin import CameraState, Failure
from plugins.sources.rtsp import resolve
from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching

SMALL = (320, 240)


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full: the kernel drops every further SYN."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(10):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.3)
            try:
                waiting.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            raise AssertionError("the queue does not fill up")
        yield port


@pytest.mark.parametrize("connect", ["always", "on_demand"])
async def test_swallowed_connection_is_gone(connect: str) -> None:
    pace = replace(BRISK, open_timeout=1.5, first_pause=20, longest_pause=20)
    with full_listener() as port:
        async with watching(f"rtsp://127.0.0.1:{port}/live", pace=pace, connect=connect) as watched:
            error = await watched.failure(0.5)
            assert error.kind is Failure.TIMEOUT
            assert "has not answered yet" in str(error)
            error = await watched.failure(12)
            assert error.kind is Failure.UNREACHABLE
            assert "can't be reached" in str(error)
            assert watched.states[-1] is CameraState.GONE
            assert CameraState.CONNECTING not in watched.states[1:]


class DeadNameServer:
    """Resolves addresses, and keeps everybody who asks for a name waiting until ``answers`` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = 0

    def __call__(self, host: str, port: int, **options: Any) -> Any:
        if host != "camera.lan":
            return socket.getaddrinfo(host, port, **options)
        self.asked += 1
        self.answers.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadNameServer]:
    dead = DeadNameServer()
    monkeypatch.setattr(resolve, "getaddrinfo", dead)
    yield dead
    dead.answers.set()


@pytest.mark.parametrize("connect", ["always", "on_demand"])
async def test_dead_name_server_is_told_and_is_no_hanging_driver(name_server: DeadNameServer, connect: str) -> None:
    pace = replace(BRISK, stuck=0.3, quiet=0.5, first_pause=20, longest_pause=20)
    async with (
        rtsp_camera(fps=25, gop=10, size=SMALL) as camera,
        watching(camera.url(), pace=replace(BRISK)) as good,
        watching("rtsp://camera.lan/live", pace=pace, connect=connect) as watched,
    ):
        for _ in range(3):
            looks = asyncio.gather(watched.failure(1), look_fresh(camera, good, timeout=4))
            error = (await looks)[0]
            assert error.kind is Failure.UNREACHABLE
            assert "name server" in str(error)
        assert watched.states[-1] is CameraState.GONE
        assert CameraState.PARKED not in watched.states
        assert name_server.asked == 1, "one thread waits, and no second one beside it"
        name_server.answers.set()
        await eventually(lambda: watched.source._connection is None)
        error = await watched.failure(2)
        assert error.kind is Failure.UNREACHABLE
        assert "name server" in str(error)
