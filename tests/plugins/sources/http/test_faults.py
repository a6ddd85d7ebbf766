"""Bad cameras: the right kind of failure in time, and what to do about it."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from agent.plugin import CameraState, Failure, FrameUnavailable
from tests.fakes.http_camera import http_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.http.http_looking import looking


@pytest.fixture(scope="module")
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


FAULTS: list[tuple[dict[str, Any], Failure, CameraState, str]] = [
    ({"fault": "status", "code": 403}, Failure.UNAUTHORIZED, CameraState.UNAUTHORIZED, "refuses access"),
    ({"fault": "status", "code": 404}, Failure.NOT_FOUND, CameraState.NOT_FOUND, "behind the host in cameras.door"),
    ({"fault": "status", "code": 500}, Failure.SOURCE, CameraState.SILENT, "500 Internal Server Error"),
    ({"fault": "status", "code": 400}, Failure.SOURCE, CameraState.NOT_FOUND, "400 Bad Request"),
    ({"fault": "status", "code": 304}, Failure.SOURCE, CameraState.NOT_FOUND, "304 Not Modified"),
    ({"fault": "status", "code": 204}, Failure.NO_VIDEO, CameraState.SILENT, "without a picture"),
    ({"fault": "empty"}, Failure.NO_VIDEO, CameraState.SILENT, "without a picture"),
    ({"fault": "html"}, Failure.NO_VIDEO, CameraState.NOT_FOUND, "a web page, not a picture"),
    ({"fault": "text"}, Failure.NO_VIDEO, CameraState.NOT_FOUND, "a text, not a picture"),
    ({"fault": "json"}, Failure.UNAUTHORIZED, CameraState.UNAUTHORIZED, "the login failed"),
    ({"fault": "junk"}, Failure.NO_VIDEO, CameraState.NOT_FOUND, "something that is no picture"),
    ({"fault": "gzip"}, Failure.SOURCE, CameraState.SILENT, "compressed"),
    ({"fault": "pixels"}, Failure.DAMAGED, CameraState.DAMAGED, "pixels"),
    ({"fault": "short"}, Failure.DAMAGED, CameraState.DAMAGED, "broke off"),
    ({"fault": "cut"}, Failure.DAMAGED, CameraState.DAMAGED, "not a whole picture"),
    ({"fault": "endless"}, Failure.SOURCE, CameraState.SILENT, "more than a picture can be"),
    ({"announced": 10**11}, Failure.SOURCE, CameraState.SILENT, "more than a picture can be"),
    ({"fault": "loop"}, Failure.SOURCE, CameraState.NOT_FOUND, "redirects more than 5 times"),
    ({"fault": "redirect", "count": 10_000}, Failure.SOURCE, CameraState.NOT_FOUND, "redirects more than 5 times"),
    ({"fault": "redirect", "to": "ftp://127.0.0.1/"}, Failure.SOURCE, CameraState.NOT_FOUND, "redirects to nowhere"),
    ({"fault": "redirect", "to": "http://xn--/"}, Failure.SOURCE, CameraState.NOT_FOUND, "redirects to nowhere"),
    ({"fault": "redirect", "to": ""}, Failure.SOURCE, CameraState.NOT_FOUND, "redirects to nowhere"),
    ({"fault": "garbage"}, Failure.SOURCE, CameraState.SILENT, "not HTTP"),
    ({"fault": "close"}, Failure.UNREACHABLE, CameraState.GONE, "closed the connection"),
    ({"fault": "reset"}, Failure.UNREACHABLE, CameraState.GONE, "closed the connection"),
    ({"fault": "mute"}, Failure.TIMEOUT, CameraState.SILENT, "does not answer (within 1 s)"),
    ({"fault": "loris"}, Failure.TIMEOUT, CameraState.SILENT, "does not answer (within 1 s)"),
    ({"fault": "loris", "at": "body", "pause": 0.2}, Failure.TIMEOUT, CameraState.SILENT, "whole picture in time"),
]


@pytest.mark.parametrize(("query", "kind", "state", "words"), FAULTS, ids=lambda value: str(value)[:40])
async def test_bad_answer_is_named_in_time(
    query: dict[str, Any], kind: Failure, state: CameraState, words: str
) -> None:
    timeout = 1 if kind is Failure.TIMEOUT else 5
    async with http_camera(numbers=2) as camera, looking(camera.url(key="s3cret", **query)) as looked:
        error = await looked.failure(timeout)
        assert error.kind is kind
        assert words in str(error)
        assert looked.states[-1] is state
        assert "s3cret" not in str(looked.told)
        assert len(camera.requests) <= 6


STREAM_FAULTS: list[tuple[dict[str, Any], Failure, str]] = [
    ({"fault": "torn"}, Failure.DAMAGED, "only damaged pictures"),
    ({"fault": "torn", "lengths": "no"}, Failure.DAMAGED, "only damaged pictures"),
    ({"fault": "half", "after": 0}, Failure.DAMAGED, "broke off"),
    ({"fault": "end", "after": 0.05, "fps": 20}, Failure.UNREACHABLE, "ended the stream"),
    ({"fault": "freeze", "after": 0}, Failure.TIMEOUT, "does not answer"),
    ({"fault": "freeze", "after": 0.05, "fps": 20}, Failure.STALE, "stopped sending pictures"),
    ({"fault": "hugehead"}, Failure.NO_VIDEO, "without pictures in it"),
    ({"fault": "hugepart", "lengths": "no"}, Failure.NO_VIDEO, "without pictures in it"),
    ({"fault": "headless"}, Failure.NO_VIDEO, "without pictures in it"),
    ({"lengths": "huge"}, Failure.NO_VIDEO, "without pictures in it"),
]


@pytest.mark.parametrize(("query", "kind", "words"), STREAM_FAULTS, ids=lambda value: str(value)[:40])
async def test_bad_stream_is_named_in_time(query: dict[str, Any], kind: Failure, words: str) -> None:
    async with (
        http_camera(numbers=2) as camera,
        looking(camera.stream(type="multipart/x-mixed-replace", **query)) as looked,
    ):
        error = await looked.failure(1.5)
        assert words in str(error)
        assert error.kind is kind


async def test_nobody_at_the_address(free_port: int) -> None:
    async with looking(f"http://127.0.0.1:{free_port}/s.jpg") as looked:
        error = await looked.failure()
        assert (error.kind, looked.states[-1]) == (Failure.UNREACHABLE, CameraState.GONE)
        assert f"http://127.0.0.1:{free_port} refuses connections" in str(error)


async def test_unknown_name() -> None:
    async with looking("http://no-such-camera.invalid/s.jpg") as looked:
        error = await looked.failure(40)
        assert error.kind is Failure.UNREACHABLE
        assert "its name is unknown" in str(error)


async def test_connection_that_is_never_accepted() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        try:
            async with looking(f"http://127.0.0.1:{address[1]}/s.jpg") as looked:
                error = await looked.failure(1)
                assert error.kind is Failure.UNREACHABLE
                assert "can't be reached (within 1 s)" in str(error)
        finally:
            for one in waiting:
                one.close()


async def test_server_that_asks_to_be_left_alone_is() -> None:
    query = {"fault": "status", "code": 503, "retry": 2, "times": 1}
    async with http_camera(numbers=2) as camera, looking(camera.url(**query)) as looked:
        first = await looked.failure()
        assert "503 Service Unavailable" in str(first)
        assert "tries again in 2 s" in str(first)
        began = time.monotonic()
        with pytest.raises(FrameUnavailable, match=r"503 Service Unavailable.*tries again in"):
            await looked.source.take(5)
        assert time.monotonic() - began < 0.2
        assert len(camera.requests) == 1
        await eventually(lambda: time.monotonic() > began + 2)
        await looked.source.take(5)


async def test_longest_time_to_be_left_alone() -> None:
    query = {"fault": "status", "code": 429, "retry": 999999999}
    async with http_camera(numbers=2) as camera, looking(camera.url(**query)) as looked:
        assert "tries again in 300 s" in str(await looked.failure())


async def test_camera_comes_back_by_itself() -> None:
    async with http_camera() as camera, looking(camera.url()) as looked:
        await looked.fresh(camera)
        await camera.kill()
        assert (await looked.failure()).kind is Failure.UNREACHABLE
        await camera.restart()
        await looked.fresh(camera)
        camera.freeze()
        assert (await looked.failure(1)).kind is Failure.TIMEOUT
        camera.thaw()
        await looked.fresh(camera)
        assert looked.states[-1] is CameraState.LIVE


@pytest.mark.parametrize("dies", [{"idle": "close"}, {"second": "close"}], ids=str)
async def test_connections_that_die_unsaid_cost_no_look(dies: dict[str, str]) -> None:
    async with (
        http_camera(user="viewer", password="right", nonce_uses=1) as camera,
        looking(camera.url(**dies)) as looked,
    ):
        for _ in range(5):
            await looked.fresh(camera)


async def test_ipv6() -> None:
    async with http_camera(host="::1") as camera, looking(camera.url()) as looked:
        await looked.fresh(camera)
        await camera.kill()
        assert f"http://[::1]:{camera.port} refuses connections" in str(await looked.failure())


async def test_old_http_without_a_length() -> None:
    async with http_camera() as camera, looking(camera.url(http="1.0", framing="close")) as looked:
        await looked.fresh(camera)


async def test_second_viewer_is_told_that_the_camera_is_busy() -> None:
    async with http_camera(viewers=1) as camera, looking(camera.stream(), connect="always") as first:
        await first.fresh(camera)
        async with looking(camera.stream()) as second:
            assert "503 Service Unavailable: no picture just now" in str(await second.failure())
        await first.fresh(camera)
