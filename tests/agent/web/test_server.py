from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from agent.errors import Misconfigured
from agent.status import Counters
from agent.web.server import AGAIN_AFTER, WebServer
from agent.web.tls import LOOKED_EVERY, Tls
from tests.fakes.certificates import Authority, Pair
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import eventually

APP = PlainTextResponse("here")


@asynccontextmanager
async def running(server: WebServer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def is_up(server: WebServer) -> str:
    url: str = await eventually(lambda: server.url)
    return url


@contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


async def get(url: str, **more: Any) -> str:
    async with httpx.AsyncClient(trust_env=False, **more) as client:
        return (await client.get(url)).text


async def test_a_port_in_use_is_said_once_and_taken_when_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    caplog.set_level(logging.INFO)
    with taken() as port:
        server = WebServer(APP, "127.0.0.1", port, clock)
        async with running(server):
            for _ in range(3):
                await eventually(lambda: clock.sleepers)
                await clock.advance(AGAIN_AFTER)
            assert caplog.text.count(f"127.0.0.1 port {port} can't be listened on (Address already in use)") == 1
    server = WebServer(APP, "127.0.0.1", port, clock)
    async with running(server):
        assert await get(await is_up(server)) == "here"


async def test_localhost_is_both_of_its_addresses() -> None:
    server = WebServer(APP, "localhost", 0, FakeClock())
    async with running(server):
        port = (await is_up(server)).rsplit(":", 1)[1]
        hosts = {info[4][0] for info in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)}
        for host in hosts:
            shown = f"[{host}]" if ":" in host else host
            assert await get(f"http://{shown}:{port}") == "here"


def authority(folder: Path) -> tuple[Authority, Pair]:
    made = Authority(folder)
    return made, made.pair("server", "IP:127.0.0.1")


async def test_tls_with_a_certificate_that_is_renewed_under_way(tmp_path: Path) -> None:
    clock = FakeClock()
    (first, pair), (second, newer) = [await asyncio.to_thread(authority, tmp_path / name) for name in ("1", "2")]
    server = WebServer(APP, "127.0.0.1", 0, clock, tls=Tls(pair.certificate, pair.key))
    async with running(server):
        url = await is_up(server)
        assert url.startswith("https://127.0.0.1:")
        assert await get(url, verify=await trusting(first)) == "here"
        await asyncio.to_thread(newer.key.replace, pair.key)
        await asyncio.to_thread(newer.certificate.replace, pair.certificate)
        trusted = await trusting(second)
        async with asyncio.timeout(20):
            while True:
                await clock.advance(LOOKED_EVERY)
                with suppress(httpx.ConnectError):
                    assert await get(url, verify=trusted) == "here"
                    break


async def trusting(authority: Authority) -> ssl.SSLContext:
    return await asyncio.to_thread(ssl.create_default_context, cafile=authority.ca)


@pytest.mark.parametrize("fault", ["missing", "no certificate", "of another", "behind a password"])
async def test_a_certificate_that_cant_be_used_is_misconfigured(tmp_path: Path, fault: str) -> None:
    made, pair = await asyncio.to_thread(authority, tmp_path)
    certificate, key = pair.certificate, pair.key
    match fault:
        case "missing":
            certificate = tmp_path / "nowhere.pem"
        case "no certificate":
            certificate.write_text("not at all")
        case "of another":
            key = (await asyncio.to_thread(made.pair, "other", "DNS:other")).key
        case "behind a password":
            key = await asyncio.to_thread(made.encrypted, pair, "hunter2")
    server = WebServer(APP, "127.0.0.1", 0, FakeClock(), tls=Tls(certificate, key))
    with pytest.raises(Misconfigured, match=r"web\.certificate \S+ and web\.key \S+ can't be used \(.+\)\. They"):
        await server.run()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\n\r\nGET / HT"])
async def test_who_does_not_get_round_to_a_whole_request_is_cut_off(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.web.server.IDLE", 1.0)
    server = WebServer(APP, "127.0.0.1", 0, FakeClock())
    async with running(server):
        reader, writer = await connected(server)
        writer.write(sent)
        async with asyncio.timeout(10):
            while not await closed(reader):
                writer.write(b"X-Slow: 1\r\n" if sent.endswith(b"\r\n") and sent.count(b"\r\n") == 2 else b"")
        writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.web.server.BODY_WITHIN", 0.5)

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    counters = Counters()
    server = WebServer(app, "127.0.0.1", 0, FakeClock(), counters=counters)
    async with running(server):
        reader, writer = await connected(server)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nu")
        async with asyncio.timeout(10):
            assert await closed(reader)
        writer.close()
    assert counters.snapshot() == {'web_connections_cut_total{reason="late"}': 1}


async def test_who_takes_nothing_of_an_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.web.server.STALLED_AFTER", 0.5)
    gone = asyncio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    counters = Counters()
    server = WebServer(app, "127.0.0.1", 0, FakeClock(), counters=counters)
    async with running(server):
        _, writer = await connected(server)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.transport.pause_reading()
        await asyncio.wait_for(gone.wait(), 20)
        writer.close()
    assert counters.snapshot() == {'web_connections_cut_total{reason="stalled"}': 1}


@pytest.mark.parametrize("known", [True, False])
async def test_there_is_an_end_to_connections_that_ask_nothing(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine and the cameras need descriptors too."""
    monkeypatch.setattr("agent.web.server.MOST_CONNECTIONS" if known else "agent.web.server.MOST_OF_A_PEER", 5)
    server = WebServer(APP, "127.0.0.1", 0, FakeClock(), known=lambda _peer: known)
    async with running(server):
        url = await is_up(server)
        idle = [await connected(server) for _ in range(5)]
        reader, writer = await connected(server)
        async with asyncio.timeout(10):
            assert await closed(reader)
        for _, each in (*idle, (reader, writer)):
            each.close()
        assert await eventually_get(url) == "here"


async def connected(server: WebServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int((await is_up(server)).rsplit(":", 1)[1]))


async def closed(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionResetError):
        return await reader.read(1) == b""
    return True


async def eventually_get(url: str) -> str:
    """Once those that were closed are forgotten."""
    async with asyncio.timeout(10):
        while True:
            with suppress(httpx.TransportError):
                return await get(url)


async def test_it_ends_although_somebody_listens_for_ever() -> None:
    listening = asyncio.Event()
    told = asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        listening.set()
        await asyncio.Event().wait()

    server = WebServer(app, "127.0.0.1", 0, FakeClock(), ending=told.set)
    async with running(server) as task:
        asking = asyncio.create_task(get(await is_up(server)))
        await asyncio.wait_for(listening.wait(), 10)
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait({task})
        assert told.is_set()
        with pytest.raises(httpx.HTTPError):
            await asking
