"""A request's body may only be so large, whether or not it says beforehand how large it is."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from agent.web.access.refusals import Reason, Refused

LARGEST = 64 * 1024
"""Of every request but those that bring pictures: to refuse a JSON of megabytes for what is in it takes seconds."""
OF_PICTURES = 17 * 1024 * 1024
"""Room for a picture of 12 MiB in base64."""
PICTURES = "/api/v1/captions"


def limit_of(route: str) -> int:
    """Bytes."""
    return OF_PICTURES if route == PICTURES else LARGEST


def too_large(limit: int) -> Refused:
    told = f"A request like this may bring {limit // 2**20} MiB." if limit >= 2**20 else "A request may bring 64 KiB."
    return Refused(Reason.BODY, 413, told, headers={"Connection": "close"})


def check(headers: Headers, limit: int) -> None:
    """Raises Refused."""
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 15 or int(length) > limit):
        raise too_large(limit)


class Counted:
    """``receive`` of a request, up to the limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self.limit = limit
        self._left = limit
        self.exceeded = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.exceeded = True
            raise HTTPException(413)  # the frameworks let this one through; the Guard says the rest
        return message
