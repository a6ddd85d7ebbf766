"""Errors as ``application/problem+json`` (RFC 9457): what is wrong, where, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.errors import CommandRefused, JournalUnavailable
from agent.status import Counters

MEDIA_TYPE = "application/problem+json"
MOST_SAID = 5
"""Faults of one request that are told."""
LONGEST_SAID = 300
_BETTER = {
    "model_attributes_type": "send JSON, with 'Content-Type: application/json'",
    "timezone_aware": "write the time with its zone, such as 2026-11-29T00:00:00Z or …+01:00",
}
"""What to do, where pydantic says only what is wrong."""

log = logging.getLogger("camscribe.web")


class Problem(Exception):
    """Raised by a route; the answer to the request."""

    def __init__(self, status: int, detail: str, *, title: str = "", headers: Mapping[str, str] | None = None) -> None:
        """``detail``: a sentence that a person can act on. ``title``: the kind; left out, the status's own words."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or _title(status)
        self.headers = dict(headers or {})


class ProblemShape(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(title="Problem")

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def response(problem: Problem) -> JSONResponse:
    body = ProblemShape(title=problem.title, status=problem.status, detail=problem.detail)
    return JSONResponse(body.model_dump(), problem.status, problem.headers, MEDIA_TYPE)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: these come as problems."""
    schema = {"$ref": "#/components/schemas/ProblemShape"}
    return {status: {"description": _title(status), "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}


def handle_problems(app: FastAPI) -> None:
    """Every error of the app is a problem."""

    async def problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return response(error)

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return response(Problem(error.status_code, str(error.detail), headers=error.headers))

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return response(Problem(422, _faults(error), title="The request is not as it should be"))

    async def refused(_request: Request, error: Exception) -> JSONResponse:
        return response(Problem(409, str(error)))

    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        return response(Problem(503, str(error), headers={"Retry-After": "10"}))

    async def bug(_request: Request, _error: Exception) -> JSONResponse:
        return response(_BUG)  # and it goes on to Bugs, who tells of it

    app.add_exception_handler(Exception, bug)
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(CommandRefused, refused)
    app.add_exception_handler(JournalUnavailable, unavailable)


def _faults(error: RequestValidationError) -> str:
    """Without what was found: it may be a megabyte, or a secret."""
    said = []
    for fault in error.errors()[:MOST_SAID]:
        where = ".".join(str(part) for part in fault["loc"][1:]) or str(fault["loc"][0])
        said.append(f"{where[:LONGEST_SAID]}: {_BETTER.get(fault['type'], str(fault['msg']))[:LONGEST_SAID]}")
    return "; ".join(said)


_BUG = Problem(500, "camscribe has a bug there; its log has more.")


class Bugs:
    """ASGI: whatever else is raised is a bug of ours: a traceback in the log, counted, and a 500 without details."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except (OSError, ClientDisconnect):
            log.debug("a client of the web pages went away", exc_info=True)
        except Exception:
            log.exception("a request failed: a bug")
            self._counters.add("bugs_total", part="web")
            if not begun:
                await response(_BUG)(scope, receive, send)
