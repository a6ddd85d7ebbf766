"""A small app behind the real Guard, on a real port; requests are written by hand, so that any of them can be sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse

from agent.clock import Clock
from agent.config.grammar import WebSettings
from agent.status import Counters
from agent.web.access.access import Access
from agent.web.access.credentials import new_token
from agent.web.access.passwords import hashed
from agent.web.access.store import Store
from agent.web.problems import Bugs, handle_problems
from agent.web.server import WebServer
from agent.web.tls import Tls
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import eventually

USER = "anna"
PASSWORD = "four words are enough"
BROWSER = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
TYPED = {**BROWSER, "Sec-Fetch-Site": "none"}
"""An address that somebody types."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: list[str]
    """Set-Cookie headers."""

    @property
    def cookie(self) -> str:
        """What a browser would send back."""
        return "; ".join(one.partition(";")[0] for one in self.cookies)


@dataclass
class Gate:
    """``ask`` it."""

    access: Access
    counters: Counters
    clock: FakeClock
    store: Store
    token: str = ""
    port: int = 0
    streams: list[str] = field(default_factory=list)
    """What became of each opened stream."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def ask(
        self,
        target: str = "/api/v1/home",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
        host: str | None = None,
        token: bool = False,
    ) -> Answer:
        """One request, with these headers and no others but Host and Content-Length."""
        lines = [f"{method} {target} HTTP/1.1", "Connection: close", f"Host: {self.host if host is None else host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if token:
            lines.append(f"Authorization: Bearer {self.token}")
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body, method=method)

    async def send(self, request: bytes, *, method: str = "GET") -> Answer:
        """These very bytes."""
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            content = b"" if method == "HEAD" else await reader.read()
            writer.close()
        first, *lines = head.rstrip().split("\r\n")
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        text = content.decode("latin-1")
        if dict(pairs).get("transfer-encoding") == "chunked":
            text = re.sub(r"(?:\A|\r\n)[0-9a-f]+\r\n", "", text)
        return Answer(
            int(first.split()[1]), dict(pairs), text, [value for name, value in pairs if name == "set-cookie"]
        )

    async def log_in(
        self, password: str = PASSWORD, user: str = USER, headers: Mapping[str, str] | None = None, **fields: str
    ) -> Answer:
        """Sends the form as a browser does."""
        form = urlencode({"user": user, "password": password, **fields}).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded", **TYPED, **(headers or {})}
        return await self.ask("/login", sent, method="POST", body=form)

    @asynccontextmanager
    async def stream(self, headers: Mapping[str, str]) -> AsyncIterator[asyncio.StreamReader]:
        """An open one, behind its first event."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = ["GET /api/v1/stream HTTP/1.1", f"Host: {self.host}", *(f"{a}: {b}" for a, b in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(10):
            await reader.readuntil(b"data: first\n\n")
        try:
            yield reader
        finally:
            writer.close()

    async def change(self, changed: Any) -> None:
        """As a command does; noticed by the service."""
        await asyncio.to_thread(self.store.change, changed)
        before = self.access.credentials
        await eventually(lambda: self.clock.sleepers)
        while self.access.credentials is before:
            await self.clock.advance(2)
            await asyncio.sleep(0.01)


@cache
def hashed_password() -> str:
    """Slow on purpose, so once."""
    return hashed(PASSWORD)


def tiny_app(access: Access, streams: list[str]) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    handle_problems(app)

    @app.get("/healthz")
    @app.get("/readyz")
    @app.get("/static/{name:path}")
    def open_to_all() -> PlainTextResponse:
        return PlainTextResponse("open")

    @app.get("/")
    @app.get("/timeline")
    def page(request: Request) -> HTMLResponse:
        return HTMLResponse(f"<p>secret page at {request.scope['root_path']!r}</p>")

    @app.api_route("/api/v1/home", methods=["GET", "HEAD", "DELETE"])
    def home(request: Request) -> dict[str, Any]:
        caller = request.state.caller
        return {
            "secret": True,
            "kind": caller.kind,
            "name": caller.name,
            "client": request.client and request.client[0],
        }

    @app.post("/api/v1/home")
    async def posted(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/api/v1/cors")
    def careless() -> PlainTextResponse:
        headers = {"Access-Control-Allow-Origin": "*", "Content-Security-Policy": "default-src *"}
        return PlainTextResponse("secret", headers=headers)

    @app.get("/api/v1/stream")
    async def stream() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            yield "data: first\n\n"
            try:
                await asyncio.Event().wait()
            finally:
                streams.append("ended")

        return StreamingResponse(events(), media_type="text/event-stream")

    app.include_router(access.router)
    return app


@asynccontextmanager
async def gate(
    data_dir: Path, *, password: bool = True, clock: Clock | None = None, tls: Any = None, **settings: Any
) -> AsyncIterator[Gate]:
    """``password``: one user and one token are there. The settings are those of ``web:``."""
    clock = clock or FakeClock()
    assert isinstance(clock, FakeClock)
    store, token = Store(data_dir), new_token()
    if password:
        kept = await asyncio.to_thread(hashed_password)
        made = datetime(2026, 11, 1, tzinfo=UTC)
        await asyncio.to_thread(
            store.change, lambda none: none.with_user(USER, kept).with_token("grafana", token, made)
        )
    counters = Counters()
    access = Access(WebSettings(**settings), data_dir, clock, counters)
    await access.open()
    found = Gate(access, counters, clock, store, token)
    app = access.guard(Bugs(tiny_app(access, found.streams), counters))
    more = {"tls": Tls(tls.certificate, tls.key)} if tls else {}
    server = WebServer(app, "127.0.0.1", 0, FakeClock(), **more)
    tasks = [asyncio.create_task(server.run()), asyncio.create_task(access.watch())]
    try:
        url = await eventually(lambda: server.url)
        found.port = int(url.rsplit(":", 1)[1])
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
