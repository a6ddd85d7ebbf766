"""Logging in and out: a form that works without scripts."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from agent.clock import Clock
from agent.status import Counters, Outage
from agent.web.access.arrival import Arrival
from agent.web.access.attempts import Attempts
from agent.web.access.caller import Caller
from agent.web.access.credentials import Credentials, user_name
from agent.web.access.hosts import is_loopback
from agent.web.access.passwords import Busy, Passwords
from agent.web.access.refusals import shown
from agent.web.access.sessions import Session, begun
from agent.web.problems import Problem
from agent.web.rendering import render

LONGEST_FORM = 16 * 1024
FORM = "application/x-www-form-urlencoded"
_NEXT = re.compile(r"/(?!/)[!-\[\]-~]*")
"""A path of ours with its query: printable ASCII, no backslash, no host."""
BUSY_FOR = 2.0

log = logging.getLogger("camscribe.web.access")


class Keeper(Protocol):
    """Keeps the credentials and the sessions."""

    @property
    def credentials(self) -> Credentials | None: ...

    def cookie(self, session: Session | None, arrival: Arrival) -> str:
        """A Set-Cookie header; one that takes it away without a session."""
        ...

    async def end(self, session: Session) -> None: ...


class Login:
    def __init__(self, keeper: Keeper, passwords: Passwords, clock: Clock, counters: Counters) -> None:
        self._keeper = keeper
        self._passwords = passwords
        self._clock = clock
        self._counters = counters
        self._attempts = Attempts(clock)
        self._guessing = Outage("Logging in to the web pages", log, clock, each="attempts")
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/login", self.page, methods=["GET", "HEAD"])
        self.router.add_api_route("/login", self.log_in, methods=["POST"])
        self.router.add_api_route("/logout", self.log_out, methods=["POST"])

    def notice_quiet(self) -> None:
        """Called now and then: says when the guessing has ended."""
        if self._attempts.quiet:
            self._guessing.ends()

    async def page(self, request: Request) -> Response:
        onward = next_path(request.query_params.get("next", ""))
        return _away(request, onward) if _caller(request) else self._form(request, onward)

    async def log_in(self, request: Request) -> Response:
        fields = await _form_fields(request)
        onward = next_path(fields.get("next", ""))
        arrival: Arrival = request.state.arrival
        credentials = self._keeper.credentials
        name = user_name(fields.get("user", "")) or ""
        if credentials is None or not credentials.users:
            return self._form(request, onward, status=401)
        known = credentials.users.get(name)
        if wait := self._attempts.begin(arrival.client, name):
            return self._too_often(request, onward, wait, name, arrival.client, known=known is not None)
        try:
            right = await self._passwords.right(fields.get("password", ""), known.password if known else None)
        except Busy:
            return self._later(request, onward, BUSY_FOR, name)
        if not right:
            self._counters.add("web_logins_total", outcome="wrong")
            log.debug("a wrong password for %s from %s", _whom(name if known else ""), shown(arrival.client))
            told = "This user name or this password is wrong."
            return self._form(request, onward, status=401, error=told, tried=name)
        return self._let_in(request, onward, name, known.password if known else "")

    def _let_in(self, request: Request, onward: str, name: str, tried: str) -> Response:
        arrival: Arrival = request.state.arrival
        credentials = self._keeper.credentials
        if credentials is None or name not in credentials.users or credentials.users[name].password != tried:
            return self._later(request, onward, BUSY_FOR, name)  # it has been changed while it was tried
        self._attempts.succeeded(arrival.client, name)
        self._counters.add("web_logins_total", outcome="right")
        log.info("%s logged in from %s", _whom(name), shown(arrival.client))
        answer = _away(request, onward)
        session = begun(name, credentials, self._clock.now().wall)
        answer.headers.append("Set-Cookie", self._keeper.cookie(session, arrival))
        return answer

    async def log_out(self, request: Request) -> Response:
        caller = _caller(request)
        if caller and caller.session:
            # A browser that goes away now must be logged out all the same.
            await asyncio.shield(self._keeper.end(caller.session))
        answer = _away(request, "/login")
        answer.headers.append("Set-Cookie", self._keeper.cookie(None, request.state.arrival))
        answer.headers["Clear-Site-Data"] = (
            '"cache"'  # pictures are kept for good, and the next one here may be another
        )
        return answer

    def _too_often(
        self, request: Request, onward: str, wait: float, name: str, client: str, *, known: bool
    ) -> Response:
        self._counters.add("web_logins_total", outcome="too_often")
        self._guessing.begins(
            "somebody guesses passwords and has to wait longer and longer between two, last for "
            f"{_whom(name if known else '')} from {shown(client)}"
        )
        return self._later(request, onward, wait, name)

    def _later(self, request: Request, onward: str, wait: float, tried: str) -> Response:
        seconds = math.ceil(wait)
        span = f"{seconds} second{'s' if seconds != 1 else ''}"
        if seconds > 90:
            span = f"{math.ceil(seconds / 60)} minutes"
        error = f"Too many tries. Wait {span}, then try again."
        return self._form(request, onward, status=429, error=error, tried=tried, headers={"Retry-After": str(seconds)})

    def _form(
        self,
        request: Request,
        onward: str,
        *,
        status: int = 200,
        error: str = "",
        tried: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        credentials = self._keeper.credentials
        arrival: Arrival = request.state.arrival
        context = {
            "next": onward,
            "error": error,
            "tried": tried,
            "users": bool(credentials and credentials.users),
            "readable": not arrival.secure and not is_loopback(arrival.name),
        }
        answer = render(request, "login.html.j2", status=status, **context)
        answer.headers.update(headers or {})
        answer.headers["Cache-Control"] = "no-store"
        if status == 401:
            answer.headers["WWW-Authenticate"] = 'Bearer realm="camscribe"'
        return answer


def next_path(text: str) -> str:
    """Where to go after the login: a page of ours, else the first."""
    return text if _NEXT.fullmatch(text) and not text.startswith(("/login", "/logout")) else "/"


def _away(request: Request, path: str) -> Response:
    arrival: Arrival = request.state.arrival
    return RedirectResponse(arrival.root + path, 303, {"Cache-Control": "no-store"})


def _caller(request: Request) -> Caller | None:
    caller: Caller | None = request.state.caller
    return caller


def _whom(name: str) -> str:
    """A name that is not known may be a password in the wrong field."""
    return shown(name) if name else "an unknown user"


async def _form_fields(request: Request) -> dict[str, str]:
    """Raises Problem."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Problem(415, f"This takes {FORM}. Programs log in with a token: camscribe web token add NAME.")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LONGEST_FORM:
            raise Problem(413, "This form is longer than any name and password.")
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise Problem(400, "This form can't be read.") from None
    return dict(pairs)
