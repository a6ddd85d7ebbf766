"""An OpenAI-compatible endpoint that says what the test wants, as slowly as it wants, and counts what is under way."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.fakes.waiting import eventually


@dataclass(frozen=True, slots=True)
class Asked:
    """What came with one request."""

    picture: bytes
    prompt: str
    max_tokens: int


class Endpoint:
    """At ``url``."""

    def __init__(self) -> None:
        self.says = "Nothing of note."
        """``{count}`` in it is how many have asked."""
        self.seconds = 0.0
        """What an answer takes."""
        self.asked: list[Asked] = []
        self.under_way = self.most = 0
        self.url = ""

    async def complete(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            parts = {part["type"]: part for part in body["messages"][-1]["content"]}
            picture = base64.b64decode(parts["image_url"]["image_url"]["url"].partition(",")[2])
            self.asked.append(Asked(picture, parts["text"]["text"], body["max_tokens"]))
            said = self.says.replace("{count}", str(len(self.asked)))
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return JSONResponse({"choices": [choice], "usage": {"completion_tokens": 7}})


class _NoSignals(uvicorn.Server):
    """Ctrl-C is pytest's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def run_endpoint() -> AsyncIterator[Endpoint]:
    """On a free port of loopback."""
    endpoint = Endpoint()
    app = Starlette(routes=[Route("/v1/chat/completions", endpoint.complete, methods=["POST"])])
    server = _NoSignals(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    endpoint.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        server.should_exit = server.force_exit = True
        await serving
