"""The two endpoints of the prototype that camscribe grew out of, for its page: docs/prototype.md.

They stand on a port of their own, because they know no password: whoever reaches the port may ask for a caption, and
nothing else. A browser may only where its page comes from one of the configured origins.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.config.grammar import CompatSettings
from agent.errors import Failure
from agent.prompt import LONGEST
from agent.upload import from_base64
from agent.values import Observation
from agent.web.access.hosts import Hosts, host_and_port, own_names
from agent.web.access.refusals import shown
from agent.web.problems import Bugs, Problem
from agent.web.services import Services
from agent.web.uploads import Wanted, captioned, parsed

PROMPT = "Describe this image briefly."
LLAMA_MODEL = "smolvlm-llamacpp"
STATUS = {
    Failure.ENGINE: 503,
    Failure.STOPPED: 503,
    Failure.ENGINE_TIMEOUT: 504,
    Failure.BUDGET: 429,
    Failure.REFUSED: 400,
    Failure.NO_ANSWER: 502,
}
MOST_HERE = 2
"""Pictures under way: nobody needs a password here, and the live page must find a place."""
MOST_TOLD = 5
"""Origins that the log names: more are no mistake of the house's."""
HERE = {409: 503, 415: 400}
"""What the site says where all is paused, and of a picture of another format, as the page knows it."""


log = logging.getLogger("camscribe.web")


class Frame(BaseModel):
    """What the page sends. It sends more, which is not looked at."""

    image: str
    prompt: str | None = Field(default=None, max_length=LONGEST)


def make_compat(services: Services, settings: CompatSettings) -> ASGIApp:
    """Blocks a moment: it asks this machine for its name."""

    def captions(plugin: str, model: str | None = None) -> Callable[[Request], Awaitable[Response]]:
        async def process_frame(request: Request) -> Response:
            captioner = _captioner(services, plugin)
            observation = await captioned(request, services.visitor, lambda body: _read(body, captioner), MOST_HERE)
            return JSONResponse(_answer(observation, model))

        return process_frame

    app = Starlette(
        routes=[
            Route("/vlm/process_frame", captions("transformers"), methods=["POST"]),
            Route("/vlm/process_frame_llamacpp", captions("llama_server", LLAMA_MODEL), methods=["POST"]),
        ],
        exception_handlers={Problem: _problem, HTTPException: _http, Exception: _bug},
    )
    app.router.redirect_slashes = False
    open_to = CORSMiddleware(
        Bugs(app, services.counters),
        allow_origins=settings.origins,
        allow_methods=["POST"],
        allow_headers=["*"],
        allow_private_network=True,
    )
    web = services.config().web
    return _Door(open_to, settings.origins, Hosts({*own_names(), *(web.names if web else ())}))


class _Door:
    """Keeps out pages of other origins: CORS alone would let them ask, and only keep the answer from them."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...], hosts: Hosts) -> None:
        self._app = app
        self._origins = origins
        self._hosts = hosts
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers = Headers(scope=scope)
        called, origin = host_and_port(headers.get("host", "")), headers.get("origin")
        if called is None or called[0] not in self._hosts:
            told = "camscribe is not known by this name: whoever runs it can add it to web.names in config.yaml."
            await _error(421, told)(scope, receive, send)
            return
        if origin is not None and origin not in self._origins:
            told = f"Pages of {origin[:100]} may not ask here; web.compat.origins in config.yaml names those that may."
            if origin not in self._told and len(self._told) < MOST_TOLD:
                self._told.add(origin)
                log.info("a page of %s was kept out; if it is yours, name that in web.compat.origins", shown(origin))
            await _error(403, told)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _read(body: bytes, captioner: str) -> Wanted:
    frame = parsed(Frame, body)
    return Wanted(from_base64(frame.image), (frame.prompt or "").strip() or PROMPT, captioner)


def _captioner(services: Services, plugin: str) -> str:
    """The first of the config that is made by that plugin."""
    found = next((name for name, each in services.config().captioners.items() if each.plugin.use == plugin), None)
    if found is None:
        raise Problem(503, f"No captioner of config.yaml has 'use: {plugin}', which this endpoint is for.")
    return found


def _answer(observation: Observation, model: str | None) -> dict[str, object]:
    if observation.error is not None:
        raise Problem(STATUS.get(observation.error.kind, 500), observation.error.message)
    finished = observation.finished_at.astimezone().replace(tzinfo=None)  # local, and not saying so, as it was
    return {
        "status": "success",
        "caption": observation.caption,
        "model": model or observation.model,
        "timestamp": finished.isoformat(),
        "latency_ms": float(observation.latency_ms.total),
    }


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _error(HERE.get(error.status, error.status), error.detail, error.headers)


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {
        404: "There is nothing here but POST /vlm/process_frame and POST /vlm/process_frame_llamacpp.",
        405: "Only POST is answered here.",
    }
    return _error(error.status_code, told.get(error.status_code, error.detail), error.headers)


async def _bug(_request: Request, _raised: Exception) -> Response:
    return _error(500, "camscribe has a bug there; its log has more.")


def _error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
