"""ASGI: stands before the whole app. What is not let in explicitly goes no further."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.web.access import body, cross_site
from agent.web.access.arrival import Arrival, Arrivals
from agent.web.access.caller import Caller
from agent.web.access.hosts import Hosts
from agent.web.access.refusals import Reason, Refusals, Refused, shown
from agent.web.access.security import secure
from agent.web.access.under_way import UnderWay
from agent.web.problems import response

OPEN = frozenset({"/healthz", "/readyz", "/login"})
"""Whatever else is served needs to be let in, but for:"""
OPEN_FOLDER = "/static/"
LOGIN, LOGOUT = "/login", "/logout"
CHALLENGE = 'Bearer realm="camscribe"'
_ONWARD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>camscribe</title><meta http-equiv="refresh" content="0;url={url}">
</head><body><p><a href="{url}">Go on to camscribe</a></p></body></html>
"""


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """What the Guard has to know."""

    arrivals: Arrivals
    hosts: Hosts
    identify: Callable[[Arrival, Headers], Caller | None]
    """None: it has neither a session nor a token. Raises Refused."""
    renewal: Callable[[Caller, Arrival], str | None]
    """A new cookie for a session that is no longer fresh."""
    under_way: UnderWay
    refusals: Refusals


class Guard:
    def __init__(self, app: ASGIApp, doorkeeper: Doorkeeper) -> None:
        self._app = app
        self._keeper = doorkeeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            self._note(Refused(Reason.SOCKET, 403, "There are no WebSockets here."), scope)
            await send({"type": "websocket.close"})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        arrival = caller = None
        try:
            arrival = self._keeper.arrivals.of(scope, headers)
            self._check(scope, headers, arrival)
            caller = self._keeper.identify(arrival, headers)
            if caller is None and not _is_open(arrival.route):
                raise _unknown()
        except Refused as refused:
            self._note(refused, scope, arrival)
            answer = _answer(refused, scope, headers, arrival)
            await answer(scope, receive, _Answer(send, arrival))
            return
        scope["root_path"] = arrival.root
        scope["path"] = arrival.root + arrival.route
        scope["scheme"] = arrival.scheme
        scope["client"] = (arrival.client, 0)
        scope.setdefault("state", {}).update(caller=caller, arrival=arrival)
        renewal = self._keeper.renewal(caller, arrival) if caller else None
        lasting = None if arrival.route == LOGOUT else caller  # that request may outlive its session
        await self._let_in(
            scope, body.Counted(receive, body.limit_of(arrival.route)), _Answer(send, arrival, renewal), lasting
        )

    def _check(self, scope: Scope, headers: Headers, arrival: Arrival) -> None:
        """Raises Refused."""
        # Whom Home Assistant has let in came by a name of Home Assistant's.
        if not arrival.by_home_assistant and arrival.name not in self._keeper.hosts:
            raise Refused(
                Reason.HOST,
                421,
                "camscribe is not known by this name: whoever runs it can add it to web.names in config.yaml.",
                f"it was called {shown(arrival.name)}; if that is a name of this machine, add it to web.names",
            )
        cross_site.check(scope["method"], headers, arrival)
        body.check(headers, body.limit_of(arrival.route))

    async def _let_in(self, scope: Scope, receive: body.Counted, answer: _Answer, caller: Caller | None) -> None:
        """Of a ``caller``: until that one may go on no longer."""
        if caller is None:
            await self._app(scope, receive, answer.until_exceeded(receive))
        else:
            with self._keeper.under_way.request(caller) as ended:
                await self._app(scope, _until(ended, receive), answer.until_exceeded(receive, ended))
                if ended.is_set():
                    await answer.finish()
        if receive.exceeded and not answer.begun:
            refused = body.too_large(receive.limit)
            self._note(refused, scope)
            await response(refused.problem)(scope, receive, answer)

    def _note(self, refused: Refused, scope: Scope, arrival: Arrival | None = None) -> None:
        peer = (scope.get("client") or ("",))[0]
        self._keeper.refusals.note(refused, arrival.client if arrival else str(peer))


class _Answer:
    """``send`` of a request: with the headers that every answer has."""

    def __init__(self, send: Send, arrival: Arrival | None, renewal: str | None = None) -> None:
        self._send = send
        self._arrival = arrival
        self._renewal = renewal
        self.begun = False
        self._whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            secure(headers, self._arrival)
            if self._renewal and "set-cookie" not in headers:
                headers.append("set-cookie", self._renewal)
            message = {**message, "headers": headers.raw}
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
        await self._send(message)

    def until_exceeded(self, receive: body.Counted, ended: asyncio.Event | None = None) -> Send:
        """What the app sends; but nothing more once its request has turned out too large, or may go on no longer."""

        async def send(message: Message) -> None:
            if receive.exceeded and not self.begun:
                return
            if ended and ended.is_set():
                raise OSError("the session or the token of this request has ended")
            await self(message)

        return send

    async def finish(self) -> None:
        if self.begun and not self._whole:
            await self({"type": "http.response.body", "body": b""})


def _until(ended: asyncio.Event, receive: Receive) -> Receive:
    """As if the client had gone, from then on."""

    async def received() -> Message:
        getting = asyncio.ensure_future(receive())
        ending = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({getting, ending}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else {"type": "http.disconnect"}
        finally:
            ending.cancel()
            getting.cancel()

    return received


def _is_open(route: str) -> bool:
    """Exactly these. The route has neither ``//`` nor ``..`` in it, and is the one that the app goes by."""
    return route in OPEN or route.startswith(OPEN_FOLDER)


def _unknown() -> Refused:
    told = "Log in at /login, or send a token (camscribe web token add NAME) as 'Authorization: Bearer …'."
    return Refused(Reason.LOGIN, 401, told, "without a session or a token", headers={"WWW-Authenticate": CHALLENGE})


def _answer(refused: Refused, scope: Scope, headers: Headers, arrival: Arrival | None) -> Response:
    method = scope["method"]
    if refused.reason is Reason.LOGIN and arrival and cross_site.navigates(method, arrival.route, headers):
        answer = _to_login(method, scope, headers, arrival)
    else:
        answer = response(refused.problem)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _to_login(method: str, scope: Scope, headers: Headers, arrival: Arrival) -> Response:
    wanted = quote(arrival.route) if method in cross_site.SAFE else "/"
    if wanted != "/" and (query := bytes(scope.get("query_string", b"")).decode("latin-1")):
        wanted += f"?{query}"
    url = arrival.root + LOGIN + (f"?{urlencode({'next': wanted}, safe='/')}" if wanted != "/" else "")
    if method in cross_site.SAFE and cross_site.came_from_elsewhere(headers):
        # The login page sends on whom it knows: so a link from elsewhere asks nobody for the password again.
        return HTMLResponse(_ONWARD.format(url=html.escape(url)), 401, {"WWW-Authenticate": CHALLENGE})
    return RedirectResponse(url, 303)
