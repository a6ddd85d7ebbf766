"""A picture in a request: its body read within limits, captioned, and given up where the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from agent import upload
from agent.errors import CommandRefused, PictureRefused, TooBusy
from agent.values import Observation
from agent.visitor import MOST, Visitor
from agent.web.problems import Problem

MOST_BODY = upload.MOST_BYTES * 4 // 3 * 78 // 76 + 64 * 1024
"""The largest picture as base64 in lines, and what stands beside it."""
READ_WITHIN = 30.0
GONE = 499
"""As nginx has it; nobody reads it."""
STATUS = {"damaged": 400, "too_large": 413, "format": 415}
MOST_SAID = 5

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants to know of which picture."""

    picture: bytes
    prompt: str | None
    captioner: str | None
    max_tokens: int | None = None


async def captioned(
    request: Request, visitor: Visitor, read: Callable[[bytes], Wanted], most: int = MOST
) -> Observation:
    """``read`` makes of the body what is wanted, in a thread. ``most``: see Visitor.admitted.

    Raises Problem, and what ``read`` raises.
    """
    try:
        with visitor.admitted(most) as visit:  # before the body is read, so that those who wait hold no memory
            wanted = await visit.off_loop(read, await _body(request))
            asking = visit.caption(wanted.picture, wanted.prompt, wanted.captioner, wanted.max_tokens)
            return await _while_there(request, asking)
    except TooBusy as error:
        raise Problem(429, str(error), headers={"Retry-After": f"{error.retry_after:.0f}"}) from None
    except PictureRefused as error:
        raise Problem(STATUS[error.kind], str(error)) from None
    except CommandRefused as error:
        raise Problem(409, str(error)) from None


def parsed(shape: type[M], body: bytes) -> M:
    """The body as JSON of that shape. Raises Problem, without what was found: it may be megabytes."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(_fault(fault["loc"], fault["msg"]) for fault in faults[:MOST_SAID])
        raise Problem(422, told, title="The request is not as it should be") from None


def _fault(where: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, where))[:100]
    return f"{name}: {message}" if name else message


async def _body(request: Request) -> bytes:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "A compressed body is not taken: a picture is compressed already.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and (len(declared) > 12 or int(declared) > MOST_BODY):
        raise Problem(413, str(upload.too_many_bytes()))
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    raise Problem(413, str(upload.too_many_bytes()))
    except TimeoutError:
        raise Problem(408, f"The picture did not arrive within {READ_WITHIN:g} s.") from None
    except ClientDisconnect:
        raise Problem(GONE, "The client went away.") from None
    return bytes(body)


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What comes of it; cancelled where the client goes away, and with us."""
    doing, leaving = asyncio.create_task(work), asyncio.create_task(_leaves(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise Problem(GONE, "The client went away.")
    finally:
        doing.cancel()
        leaving.cancel()
        await asyncio.wait({doing, leaving})


async def _leaves(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
