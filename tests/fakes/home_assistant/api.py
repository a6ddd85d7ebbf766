"""Home Assistant's two interfaces, REST and websocket, as one user who has signed in."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
import websockets

ANSWER_TIME = 30.0


class Refused(Exception):
    """Home Assistant says no to what it was asked."""


class Api:
    """An open connection: requests, websocket commands and subscriptions."""

    def __init__(self, client: httpx.AsyncClient, socket: websockets.ClientConnection) -> None:
        self._client, self._socket = client, socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[int, asyncio.Queue[dict[str, Any]]] = {}

    @property
    def open(self) -> bool:
        return self._socket.state is websockets.State.OPEN

    @classmethod
    @asynccontextmanager
    async def signed_in(cls, url: str, token: str) -> AsyncIterator[Self]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, timeout=ANSWER_TIME, trust_env=False) as client,
            websockets.connect(f"{url.replace('http', 'ws', 1)}/api/websocket", max_size=None, proxy=None) as socket,
        ):
            await socket.recv()  # auth_required
            await socket.send(json.dumps({"type": "auth", "access_token": token}))
            answer = json.loads(await socket.recv())
            if answer["type"] != "auth_ok":
                raise Refused(str(answer))
            api = cls(client, socket)
            reading = asyncio.create_task(api._read())
            try:
                yield api
            finally:
                reading.cancel()
                await asyncio.wait({reading})

    async def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        response = await self._client.request(method, path, json=body)
        if response.is_error:
            raise Refused(f"{method} {path}: {response.status_code} {response.text[:2000]}")
        return response

    async def get(self, path: str) -> Any:
        return (await self.request("GET", path)).json()

    async def post(self, path: str, body: Any = None) -> Any:
        return (await self.request("POST", path, body or {})).json()

    async def ask(self, command: str, **details: Any) -> Any:
        """The result of a websocket command."""
        return (await self._send(next(self._numbers), command, details))["result"]

    async def subscribe(self, event: str, into: asyncio.Queue[dict[str, Any]]) -> int:
        """From now on, events of this type go into that queue; the number it ends with."""
        number = next(self._numbers)
        self._events[number] = into
        await self._send(number, "subscribe_events", {"event_type": event})
        return number

    async def unsubscribe(self, number: int) -> None:
        await self.ask("unsubscribe_events", subscription=number)
        del self._events[number]

    async def _send(self, number: int, command: str, details: dict[str, Any]) -> dict[str, Any]:
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(json.dumps({"id": number, "type": command, **details}))
            said = await asyncio.wait_for(answer, ANSWER_TIME)
        except websockets.ConnectionClosed as closed:
            raise ConnectionError("Home Assistant has closed the connection") from closed
        finally:
            del self._answers[number]
        if not said["success"]:
            raise Refused(f"{command} {details}: {said['error']}")
        return said

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self._take(json.loads(text))
        except websockets.ConnectionClosedError:
            pass
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("Home Assistant has closed the connection"))

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "event" and message["id"] in self._events:
            self._events[message["id"]].put_nowait(message["event"])
        elif message["type"] == "result" and message["id"] in self._answers:
            answer = self._answers[message["id"]]
            if not answer.done():
                answer.set_result(message)
