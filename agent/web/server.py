"""uvicorn on the agent's own event loop: sockets, TLS, a port that is in use, and the end."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from agent.clock import Clock
from agent.status import Counters, Outage
from agent.web.tls import Tls

AGAIN_AFTER = 10.0
"""Seconds between two tries at an address that can't be listened on."""
ENDS_WITHIN = 2.0
"""Seconds that requests under way have when the service stops."""
MOST_REQUESTS = 500
"""Under way at once; more are told to come back later."""
MOST_CONNECTIONS = 600
"""More are closed unheard, of both servers together: the cameras and the engine need descriptors too."""
MOST_OF_A_PEER = 100
"""Connections of one other machine, unless it is a proxy."""
LONGEST_HEADERS = 16 * 1024
IDLE = 15.0
"""Seconds that a connection may be kept without a request, or may take to ask for anything."""
BODY_WITHIN = 40.0
"""Seconds that a request's body may take."""
STALLED_AFTER = 20.0
"""Seconds that a client may take nothing of what waits for it."""
BACKLOG = 128

log = logging.getLogger("camscribe.web")


class _NoSignals(uvicorn.Server):
    """The agent has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Doors:
    """How many connections there are, of whom."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def enter(self, peer: str, *, known: bool) -> bool:
        """Whether there is room. ``known``: it is this machine or a proxy, behind which are many."""
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = min(MOST_CONNECTIONS, descriptors // 2 if descriptors > 0 else MOST_CONNECTIONS)
        if self._of.total() >= room or (not known and self._of[peer] >= MOST_OF_A_PEER):
            return False
        self._of[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        self._of[peer] -= 1
        if not self._of[peer]:
            del self._of[peer]


_DOORS = _Doors()


class _InTime(H11Protocol):
    """Ends a connection that does not get on: uvicorn would wait for a whole request, and for a client that takes
    nothing of its answer, for ever."""

    _late: asyncio.TimerHandle | None = None
    _waits_for = ""
    _stalled: asyncio.TimerHandle | None = None
    _entered: str | None = None

    @staticmethod
    def known(_peer: str) -> bool:
        """See WebServer."""
        return True

    @staticmethod
    def cut(_reason: str) -> None:
        """Told of each connection that is ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        if not _DOORS.enter(peer, known=self.known(peer)):
            self._cut("full")
            return
        self._entered = peer
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._late, self._stalled):
            if timer:
                timer.cancel()
        if self._entered is not None:
            _DOORS.leave(self._entered)
            self._entered = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = asyncio.get_running_loop().call_later(STALLED_AFTER, self._cut, "stalled")

    def resume_writing(self) -> None:
        if self._stalled:
            self._stalled.cancel()
        super().resume_writing()

    def _watch(self) -> None:
        asked = self.cycle is not None and not self.cycle.response_complete
        waits_for = "" if asked and self.conn.their_state is not h11.SEND_BODY else "a body" if asked else "a request"
        if waits_for == self._waits_for:
            return
        self._waits_for = waits_for
        if self._late:
            self._late.cancel()
        if waits_for:
            within = BODY_WITHIN if asked else IDLE
            self._late = asyncio.get_running_loop().call_later(within, self._cut, "late")

    def _cut(self, reason: str) -> None:
        self.cut(reason)
        self.transport.abort()


class WebServer:
    """Serves one app at one address. ``run`` it."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        clock: Clock,
        *,
        tls: Tls | None = None,
        what: str = "The web pages",
        counters: Counters | None = None,
        known: Callable[[str], bool] = lambda _peer: True,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        """``what`` begins the log's sentences; ``known``: whether an address may have as many connections as it likes;
        ``ending`` is called when the end begins, before requests are waited for."""
        self._app = app
        self._host = host
        self._port = port
        self._clock = clock
        self._tls = tls
        self.what = what
        self._counters = counters or Counters()
        self._known = known
        self._ending = ending
        self._outage = Outage(what, log, clock, level=logging.ERROR)
        self.url: str | None = None
        """Where it can be reached, once it can."""

    @property
    def problem(self) -> str | None:
        """Why it can't be."""
        return self._outage.reason or (None if self.url else "It is just starting.")

    async def run(self) -> None:
        """Until cancelled. Raises Misconfigured: the certificate can't be used."""
        context = await asyncio.to_thread(self._tls.context) if self._tls else None
        config = self._config(context)
        sockets = await self._bound()
        server = _NoSignals(config)
        serving = asyncio.create_task(server.serve(sockets), name="uvicorn")
        renewing = asyncio.create_task(self._tls.keep_fresh(context, self._clock)) if self._tls and context else None
        self.url = self._address(sockets[0])
        log.info("%s: %s", self.what, self.url)
        try:
            await asyncio.shield(serving)
        finally:
            self.url = None
            if renewing:
                renewing.cancel()
            self._ending()
            server.should_exit = True
            await asyncio.wait({serving}, timeout=ENDS_WITHIN + 2)
            serving.cancel()
            for each in sockets:
                each.close()

    def _config(self, context: ssl.SSLContext | None) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            http=type("_Known", (_InTime,), {"known": staticmethod(self._known), "cut": staticmethod(self._cut)}),
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the Guard's business
            server_header=False,
            limit_concurrency=MOST_REQUESTS,
            backlog=BACKLOG,
            timeout_keep_alive=int(IDLE),
            timeout_graceful_shutdown=int(ENDS_WITHIN),
            h11_max_incomplete_event_size=LONGEST_HEADERS,
            ssl_context_factory=(lambda _config, _default: context) if context else None,
        )

    async def _bound(self) -> list[socket.socket]:
        """Listening sockets. Another program may have the port, or the address may come later, as a VPN's does."""
        while True:
            try:
                sockets = await asyncio.to_thread(_bind, self._host, self._port)
            except OSError as error:
                reason = error.strerror or str(error)
                self._outage.begins(
                    f"{self._host} port {self._port} can't be listened on ({reason}); trying again. Is another "
                    "camscribe running? web.port in the config names another port."
                )
                await self._clock.sleep(AGAIN_AFTER)
            else:
                self._outage.ends()
                return sockets

    def _cut(self, reason: str) -> None:
        self._counters.add("web_connections_cut_total", reason=reason)

    def _address(self, listening: socket.socket) -> str:
        host, port = listening.getsockname()[:2]
        scheme = "https" if self._tls else "http"
        if host in ("0.0.0.0", "::"):  # noqa: S104
            return f"{scheme}://{_own_address()}:{port}"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _own_address() -> str:
    """This machine's on its network. Sends nothing: to connect UDP only asks which way it would go."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
            return str(asking.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _bind(host: str, port: int) -> list[socket.socket]:
    """On every address of the name; on both of localhost's where it has two."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A free port is one for all of them.
            chosen = sockets[0].getsockname()[1] if port == 0 and len(sockets) > 1 else port
            listening.bind((address[0], chosen, *address[2:]))
            listening.listen(BACKLOG)
            listening.setblocking(False)
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets
