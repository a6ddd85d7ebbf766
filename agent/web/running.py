"""The web part as a whole: the site, what it listens to, and who may come in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from agent.config.grammar import WebSettings
from agent.errors import Misconfigured
from agent.supervise import forever
from agent.web.access.access import Access
from agent.web.access.arrival import Arrivals
from agent.web.access.hosts import is_loopback
from agent.web.compat import make_compat
from agent.web.server import WebServer
from agent.web.services import Services
from agent.web.site import make_site
from agent.web.stream import Stream
from agent.web.tls import Tls


class Web:
    """Serves the pages, the API, and the prototype's endpoints where they are wanted."""

    def __init__(self, settings: WebSettings, access: Access, services: Services) -> None:
        """For ``open``."""
        self._services = services
        self._access = access
        self._stream = Stream(services.journal, services.house, services.counters)
        site = make_site(services, access, self._stream)
        arrivals = Arrivals(settings)
        serve = partial(
            WebServer,
            host=settings.host,
            clock=services.clock,
            tls=Tls.of(settings),
            counters=services.counters,
            known=lambda peer: is_loopback(peer) or arrivals.trusts(peer),
        )
        self._servers = [serve(site, port=settings.port, ending=self._stream.end)]
        if compat := settings.compat:
            app = make_compat(services, compat)
            self._servers.append(serve(app, port=compat.port, what="The prototype's endpoints"))

    @classmethod
    async def open(cls, settings: WebSettings, data_dir: Path, services: Services) -> Web:
        """Raises Misconfigured: others could reach the pages and there is no password, or the certificate is none."""
        access = Access(settings, data_dir, services.clock, services.counters)
        await access.open()
        if access.fault:
            raise Misconfigured(access.fault)
        if tls := Tls.of(settings):
            await asyncio.to_thread(tls.context)
        return await asyncio.to_thread(cls, settings, access, services)  # templates are read, routes are made

    @property
    def told(self) -> list[dict[str, str | None]]:
        """What is served, where, and what is wrong with it."""
        return [{"what": server.what, "url": server.url, "problem": server.problem} for server in self._servers]

    async def run(self) -> None:
        """Until cancelled."""
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "web stream": self._stream.run,
            "web access": self._access.watch,
            **{f"web {number}": server.run for number, server in enumerate(self._servers)},
        }
        async with asyncio.TaskGroup() as group:
            for name, part in parts.items():
                group.create_task(self._forever(name, part), name=name)

    async def _forever(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        await forever(name, part, self._services.clock, self._services.counters)
