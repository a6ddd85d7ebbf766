"""A real HTTP server that keeps every request and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import h11


@dataclass(frozen=True)
class Request:
    """One that has arrived whole."""

    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, tuple[str, bytes]]:
        """A multipart form's parts by name: their head, and what they hold."""
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        parts = {}
        for piece in self.body.split(b"--" + boundary)[1:-1]:
            head, _, content = piece.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
            parts[head.decode().partition('name="')[2].partition('"')[0]] = (head.decode(), content)
        return parts


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    """Take the request and say nothing."""
    hang_up: bool = False
    """Take the request and close the connection."""
    endless: bool = False
    """Repeat ``body`` for as long as somebody reads."""


class Receiver:
    """Answers the next of ``answers``, and 200 when there is none."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.answers: deque[Answer] = deque()
        """What the next requests get."""
        self.connections = 0
        self.sent = 0
        """Bytes of endless bodies."""
        self.port = 0
        self._tls = tls
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        receiver = cls(tls)
        await receiver.start()
        try:
            yield receiver
        finally:
            await receiver.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def answer(self, *answers: int | Answer) -> None:
        """The next requests get these, in this order; a bare number is a status."""
        self.answers += [answer if isinstance(answer, Answer) else Answer(answer) for answer in answers]

    async def start(self) -> None:
        """Listen; on the same port as before, where it has been stopped."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def until(self, condition: Callable[[list[Request]], Any], seconds: float = 15) -> Any:
        """Wait for ``condition(requests)``; its value."""
        async with asyncio.timeout(seconds), self._news:
            return await self._news.wait_for(lambda: condition(self.requests))

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the other side is gone, or the test is over
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while request := await _next_request(connection, reader):
            async with self._news:
                self.requests.append(request)
                self._news.notify_all()
            answer = self.answers.popleft() if self.answers else Answer()
            if answer.hang:
                await reader.read()
            if answer.hang or answer.hang_up:
                return
            await self._answer(connection, writer, answer)
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answer(self, connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer) -> None:
        length = {} if answer.endless else {"content-length": str(len(answer.body))}
        head = h11.Response(status_code=answer.status, headers=list({**length, **answer.headers}.items()))
        writer.write(connection.send(head) or b"")
        while answer.endless:
            writer.write(connection.send(h11.Data(data=answer.body)) or b"")
            await writer.drain()
            self.sent += len(answer.body)
        writer.write(connection.send(h11.Data(data=answer.body)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()


async def _next_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head
            headers = {name.decode().lower(): value.decode() for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, body)
        else:
            return None
