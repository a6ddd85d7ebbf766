"""A request's body may only be so large, whether or not it says beforehand how large it is."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from agent.web.access.refusals import Reason, Refused

LARGEST = 17 * 1024 * 1024
"""Room for a picture of 12 MiB in base64."""


def too_large() -> Refused:
    told = f"A request may bring {LARGEST // 2**20} MiB."
    return Refused(Reason.BODY, 413, told, headers={"Connection": "close"})


def check(headers: Headers) -> None:
    """Raises Refused."""
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 15 or int(length) > LARGEST):
        raise too_large()


class Counted:
    """``receive`` of a request, up to the limit."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = LARGEST
        self.exceeded = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.exceeded = True
            raise HTTPException(413)  # the frameworks let this one through; the Guard says the rest
        return message
