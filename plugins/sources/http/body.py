"""What a camera answers, piece by piece and never more of it than fits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from agent.plugin import Moment
from plugins.sources.http import trouble
from plugins.sources.http.progress import Progress
from plugins.sources.http.trouble import Troubled

MOST_PICTURE = 20_000_000
MOST_REFUSAL = 64_000
"""Bytes of a refusal or a redirect that are read, so that its connection can be used again; and so long at most."""
REFUSAL_TIME = 1.0
ENOUGH = 16


class Body:
    """An answer whose head has arrived."""

    def __init__(self, answer: httpx.Response, progress: Progress) -> None:
        self.began = Moment.now()
        self.status = answer.status_code
        self.headers = answer.headers
        self.progress = progress
        self._answer = answer
        self._pieces = aiter(answer.aiter_raw())
        self._first: bytes | None = None

    async def first(self) -> bytes:
        """Its first bytes, which ``pieces`` gives again: enough to tell what it is, where there are so many."""
        if self._first is None:
            self._first = b""
            while len(self._first) < ENOUGH and (piece := await self._next()) is not None:
                self._first += piece
        return self._first

    async def pieces(self) -> AsyncIterator[bytes]:
        if first := await self.first():
            yield first
        while (piece := await self._next()) is not None:
            yield piece

    async def whole(self) -> bytes:
        """Raises Troubled(ENDLESS) where it is more than a picture can be."""
        said = self.headers.get("content-length", "")
        if said.isdecimal() and int(said[:18]) > MOST_PICTURE:
            raise Troubled(trouble.ENDLESS)
        read = bytearray()
        async for piece in self.pieces():
            read += piece
            if len(read) > MOST_PICTURE:
                raise Troubled(trouble.ENDLESS)
        return bytes(read)

    async def _next(self) -> bytes | None:
        try:
            piece = await anext(self._pieces, None)
        except httpx.TransportError as error:
            raise Troubled(trouble.from_error(error, answering=True)) from None
        self.progress.answered = True
        return piece

    async def close(self) -> None:
        await self._answer.aclose()


async def read_away(body: Body) -> None:
    """To its end, where that is near; else the connection goes."""
    read = 0
    with suppress(TimeoutError, Troubled):
        async with asyncio.timeout(REFUSAL_TIME):
            async for piece in body.pieces():
                read += len(piece)
                if read > MOST_REFUSAL:
                    break
    await body.close()
