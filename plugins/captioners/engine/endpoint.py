"""Where the engine listens: a Unix socket only we can open, or, where asked, a TCP port of this machine."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent.plugin import Misconfigured
from plugins.captioners.engine.endings import Kind
from plugins.captioners.engine.errors import NotStarted

LONGEST_SOCKET_PATH = 100
"""Bytes: macOS allows 104, Linux 108."""
ANSWERS_WITHIN = 2.0
KEPT_OPEN = 2.0
"""Seconds: llama-server closes what is idle after 5, and a request must not meet that."""
_PREFIX, _SUFFIX = "llama-", ".sock"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``host`` is what the engine is told: an address, or a socket's path (which ends in .sock)."""

    host: str
    port: int
    socket: Path | None = None

    @property
    def url(self) -> str:
        if self.socket:
            return "http://engine"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def __str__(self) -> str:
        return str(self.socket) if self.socket else self.url

    def transport(self) -> httpx.AsyncHTTPTransport:
        # No TLS on this machine's own sockets, so no certificates to load either.
        uds = str(self.socket) if self.socket else None
        return httpx.AsyncHTTPTransport(uds=uds, verify=False, limits=httpx.Limits(keepalive_expiry=KEPT_OPEN))

    async def answers(self) -> bool:
        """Somebody listens there."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                if self.socket:
                    _, writer = await asyncio.open_unix_connection(self.socket)
                else:
                    _, writer = await asyncio.open_connection(self.host, self.port)
        except TimeoutError:  # somebody does, and is too busy to take another one
            return True
        except OSError:
            return False
        writer.close()
        return True

    def clean_up(self) -> None:
        """Remove the socket's file: the engine may leave it behind."""
        if self.socket:
            self.socket.unlink(missing_ok=True)


def on_tcp(host: str, port: int) -> Endpoint:
    return Endpoint(host, port)


def on_socket(folder: Path) -> Endpoint:
    """A name that no other run has, so that an engine that is just dying is never mistaken for ours."""
    path = folder / f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}"
    if (length := len(os.fsencode(path))) > LONGEST_SOCKET_PATH:
        raise Misconfigured(
            f"The engine's socket {path} would have a path of {length} bytes, and at most {LONGEST_SOCKET_PATH} work. "
            "Set XDG_RUNTIME_DIR to a folder with a shorter path."
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Endpoint(str(path), 0, path)


async def make_way(place: Endpoint, folder: Path) -> None:
    """Remove the sockets of dead runs. Raises NotStarted where somebody else listens on our port."""
    for path in await asyncio.to_thread(lambda: list(folder.glob(f"{_PREFIX}*{_SUFFIX}"))):
        old = Endpoint(str(path), 0, path)
        if not await old.answers():
            await asyncio.to_thread(old.clean_up)
    if place.socket is None and await place.answers():
        raise NotStarted(
            f"Something else listens on {place}; give the engine another port, or end that program.", Kind.ADDRESS
        )
