"""The one app: the API and the pages, behind the Guard."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from agent.web.access.access import Access
from agent.web.api import cameras, captions, health, home, observations, performance
from agent.web.api import stream as stream_
from agent.web.metrics import make_metrics
from agent.web.pages import make_pages
from agent.web.problems import Bugs, ProblemShape, described, handle_problems
from agent.web.services import Services
from agent.web.stream import Stream

ABOUT = """What camscribe's cameras see, in words: list it, search it, hear it as it happens, ask for a look.

Send `Authorization: Bearer …` with a token that `camscribe web token add NAME` has printed, where a password is set up.
Errors are `application/problem+json`."""


class _Site(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """With the shape that ``described`` answers refer to: FastAPI itself knows only those in application/json."""
        api = super().openapi()
        api["components"]["schemas"][ProblemShape.__name__] = ProblemShape.model_json_schema()
        return api


def make_site(services: Services, access: Access, stream: Stream) -> ASGIApp:
    """Everything that is reached over HTTP at ``web.port``."""
    app = _Site(
        title="camscribe",
        version=version("camscribe"),
        description=ABOUT,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        separate_input_output_schemas=False,
        responses=described(400, 422),
    )
    app.state.services = services
    app.state.stream = stream
    handle_problems(app)
    for part in (cameras, home, observations, captions, performance, stream_, health):
        app.include_router(part.router)
    app.include_router(make_metrics(services))
    app.include_router(access.router)
    app.include_router(make_pages(services))
    return access.guard(Bugs(app, services.counters))
