"""One request for a picture: logged in, redirected, asked again where an old connection has died. Nothing is kept.

A look has transports of its own, and no connection outlives it: none idles at a camera that has few, and none that the
camera has closed meanwhile can cost a look. httpx's client is not used: it would take proxies and passwords from the
environment, keep cookies, and log every URL.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version

import httpx

from plugins.sources.http import trouble
from plugins.sources.http.address import Address, origin, place
from plugins.sources.http.age import retry_after
from plugins.sources.http.body import Body, read_away
from plugins.sources.http.login import Login
from plugins.sources.http.progress import Progress
from plugins.sources.http.resolve import addresses
from plugins.sources.http.trouble import Troubled
from plugins.sources.threads import in_thread
from plugins.tls import Tls, UnusableFile

_LEADS_ON = (301, 302, 303, 307, 308)


class Client:
    def __init__(self, address: Address, login: Login, tls: Tls) -> None:
        self._address = address
        self._login = login
        self._tls = tls
        self._trust: dict[str, ssl.SSLContext] = {}

    @asynccontextmanager
    async def ask(self, progress: Progress) -> AsyncIterator[Body]:
        """The camera's answer with a 2xx. Raises Troubled; so does reading it."""
        async with AsyncExitStack() as ways:
            body = await self._follow(_Ways(ways, self._trusted), progress)
            try:
                yield body
            finally:
                await body.close()

    async def _follow(self, ways: _Ways, progress: Progress) -> Body:
        url = self._address.url
        for _ in range(1 + trouble.MOST_REDIRECTS):
            try:
                body = await self._logged_in(ways, url, progress)
            except httpx.TransportError as error:
                why = trouble.from_error(error, answering=False)
                raise Troubled(why.at("" if url is self._address.url else place(url))) from None
            if body.status not in _LEADS_ON:
                return await self._judged(body, url)
            await read_away(body)
            url = _led(url, body.headers.get("location", ""))
        raise Troubled(trouble.REDIRECTS)

    async def _judged(self, body: Body, url: httpx.URL) -> Body:
        if 200 <= body.status < 300:
            return body
        await body.close()
        if body.status == 401:
            why = trouble.UNAUTHORIZED if self._may_know(url) else trouble.ELSEWHERE
        else:
            why = trouble.answered(body.status, retry_after(body.headers))
        if why.kind is trouble.UNAUTHORIZED.kind:
            self._login.failed()
        raise Troubled(why)

    async def _logged_in(self, ways: _Ways, url: httpx.URL, progress: Progress) -> Body:
        """The answer to a request, and to the one with the password where the camera asks for that."""
        request = httpx.Request("GET", url, headers=HEADERS)
        if not self._may_know(url):
            return await ways.send(request, progress)
        flow = self._login.authorize(request)
        body = await ways.send(request, progress)
        if body.status != 401:
            return body
        try:
            if not self._login.answer(request, flow, body.headers):
                return body
        except Troubled:
            await body.close()
            self._login.failed()
            raise
        await read_away(body)
        return await ways.send(request, progress)

    def _may_know(self, url: httpx.URL) -> bool:
        """The password goes to the camera itself, and to the encrypted side of the same machine."""
        own = self._address.url
        upgraded = (own.scheme, url.scheme) == ("http", "https") and own.host == url.host
        return origin(own) == origin(url) or upgraded

    async def _trusted(self, scheme: str) -> ssl.SSLContext:
        if scheme not in self._trust:
            # Loading the authorities takes a while, and most cameras speak no TLS.
            make = self._tls.context if scheme == "https" else partial(ssl.SSLContext, ssl.PROTOCOL_TLS_CLIENT)
            try:
                self._trust[scheme] = await in_thread("certificates", make)
            except UnusableFile as error:
                raise Troubled(trouble.unusable_file(str(error))) from None
        return self._trust[scheme]


HEADERS = {
    "User-Agent": f"camscribe/{version('camscribe')}",
    "Accept": "image/jpeg, image/*, multipart/x-mixed-replace, */*;q=0.1",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
}


class _Ways:
    """The connections of one look: the answer to a challenge goes where the challenge came from."""

    def __init__(self, stack: AsyncExitStack, trusted: Callable[[str], Awaitable[ssl.SSLContext]]) -> None:
        self._stack = stack
        self._trusted = trusted
        self._transports: dict[tuple[str, str, int], httpx.AsyncHTTPTransport] = {}

    async def send(self, request: httpx.Request, progress: Progress) -> Body:
        transport = await self._transport(request.url)
        *others, last = await addresses(request.url)
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._send(transport, _to(address, request), progress)
        return await self._send(transport, _to(last, request), progress)

    async def _send(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request, progress: Progress) -> Body:
        fresh = False

        async def trace(event: str, _details: object) -> None:
            nonlocal fresh
            if event == "connection.connect_tcp.complete":
                fresh = progress.connected = True

        request.extensions["trace"] = trace
        progress.answered = False
        try:
            answer = await transport.handle_async_request(request)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            if fresh or not progress.connected:
                raise
            answer = await transport.handle_async_request(request)  # the camera had closed the connection meanwhile
        return Body(answer, progress)

    async def _transport(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        """One for each name: the certificate of one must not do for another at the same address."""
        place = origin(url)
        if place not in self._transports:
            transport = httpx.AsyncHTTPTransport(verify=await self._trusted(url.scheme), trust_env=False)
            self._transports[place] = await self._stack.enter_async_context(transport)
        return self._transports[place]


def _to(address: str, request: httpx.Request) -> httpx.Request:
    """The same request, which goes to that address whatever its host; the Host header and TLS have the name."""
    url = request.url.copy_with(host=address)
    return httpx.Request(
        request.method, url, headers=request.headers, extensions={"sni_hostname": request.url.raw_host.decode()}
    )


def _led(url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = url.join(location)
        host = target.host
    except (ValueError, httpx.InvalidURL):
        target, host = httpx.URL(), ""
    if not location or target.scheme not in ("http", "https") or not host:
        raise Troubled(trouble.NOWHERE)
    return target.copy_with(userinfo=b"", fragment=None)
