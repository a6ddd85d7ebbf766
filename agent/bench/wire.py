"""Asks an engine without camscribe: one HTTP request, a minimal client, a connection that stays open."""

from __future__ import annotations

import http.client
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.plugin import Wire


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, and how long it took in milliseconds."""

    status: int
    body: bytes
    ms: float

    @property
    def json(self) -> Any:
        """None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def at(self, *path: str | int) -> Any:
        """``json[a][b]…``, or None where something on the way is missing."""
        value = self.json
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class BareClient:
    """Speaks to one engine. Blocks: for a thread of its own."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self._at: tuple[str, str, Path | None] | None = None

    def post(self, wire: Wire) -> Reply:
        """Raises OSError, http.client.HTTPException."""
        url = urlsplit(wire.url)
        return self._send("POST", wire, f"{url.path}?{url.query}" if url.query else url.path, wire.body)

    def get(self, wire: Wire, path: str) -> Reply:
        """Something else from the engine that the wire leads to."""
        return self._send("GET", wire, path, None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, wire: Wire, path: str, body: bytes | None) -> Reply:
        connection, used = self._to(wire)
        headers = dict(wire.headers) if body is not None else _without_type(wire)
        try:
            return _timed(connection, method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            self.close()
            if not used:
                raise
        # The engine had closed the idle connection meanwhile.
        connection, _ = self._to(wire)
        return _timed(connection, method, path, body, headers)

    def _to(self, wire: Wire) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it has been used before."""
        url = urlsplit(wire.url)
        at = (url.scheme, url.netloc, wire.socket)
        if self._connection is not None and self._at == at:
            return self._connection, True
        self.close()
        if wire.socket is not None:
            self._connection = _OverSocket(wire.socket, self._timeout)
        elif url.scheme == "https":
            self._connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=self._timeout)
        else:
            self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=self._timeout)
        self._at = at
        return self._connection, False


def _timed(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> Reply:
    began = time.perf_counter()
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    return Reply(response.status, answer, (time.perf_counter() - began) * 1000)


def _without_type(wire: Wire) -> dict[str, str]:
    return {name: value for name, value in wire.headers.items() if name.lower() != "content-type"}
