"""Where a request comes from and where it is meant to go, as a browser sees it: only of proxies that are trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from agent.config.grammar import WebSettings
from agent.web.access.hosts import host_and_port
from agent.web.access.refusals import Reason, Refused, shown

_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
LONGEST_PREFIX = 200
_STRANGE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|//|/\.\.?(/|\Z)")
"""In a path: nobody's browser sends them, and what one part of a program reads so another may read otherwise."""


@dataclass(frozen=True, slots=True)
class Arrival:
    client: str
    """The address it comes from."""
    scheme: str
    host: str
    """As in the browser's address bar, with a port where it is not the usual one."""
    name: str
    """The host alone."""
    root: str
    """What stands before every path of ours; empty, or ``/beginning/like/this``."""
    route: str
    """The path below it."""
    by_home_assistant: bool
    """Home Assistant has let it in."""

    @property
    def secure(self) -> bool:
        return self.scheme == "https"


class Arrivals:
    def __init__(self, settings: WebSettings) -> None:
        self._proxies = [ip_network(proxy) for proxy in settings.proxies]
        self._ingress = settings.ingress

    def of(self, scope: Scope, headers: Headers) -> Arrival:
        """Raises Refused."""
        peer = str((scope.get("client") or ("",))[0])
        trusted = self.trusts(peer)
        forwarded = _Forwarded(headers if trusted else Headers())
        host, name = _host(headers, forwarded)
        root = forwarded.prefix()
        return Arrival(
            client=self._client(peer, forwarded),
            scheme=forwarded.scheme() or str(scope.get("scheme", "http")),
            host=host,
            name=name,
            root=root,
            route=_route(str(scope["path"]), root),
            by_home_assistant=self._ingress and forwarded.by_ingress,
        )

    def trusts(self, address: str) -> bool:
        """It is a proxy of ours."""
        known = _address(address)
        return known is not None and any(known in network for network in self._proxies)

    def _client(self, peer: str, forwarded: _Forwarded) -> str:
        """The last one that a proxy of ours has seen: what stands before it, anybody may have written."""
        client = peer
        for hop in reversed(forwarded.hops()):
            if (known := _address(hop)) is None:
                break
            client = str(known)
            if not self.trusts(client):
                break
        return client


class _Forwarded:
    """What the nearest proxy says. Where a header came with others' values before its own, its own is the last."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def hops(self) -> list[str]:
        return list(self._values("x-forwarded-for"))

    def host(self) -> str | None:
        return self._last("x-forwarded-host")

    def scheme(self) -> str | None:
        scheme = (self._last("x-forwarded-proto") or "").lower()
        return scheme if scheme in ("http", "https") else None

    @property
    def by_ingress(self) -> bool:
        return bool(self._last("x-ingress-path"))

    def prefix(self) -> str:
        """Raises Refused."""
        prefix = (self._last("x-ingress-path") or self._last("x-forwarded-prefix") or "").rstrip("/")
        if prefix and (len(prefix) > LONGEST_PREFIX or not _PREFIX.fullmatch(prefix)):
            told = "The proxy's X-Forwarded-Prefix or X-Ingress-Path is no plain path, such as /camscribe."
            raise Refused(Reason.PATH, 400, told)
        return prefix

    def _last(self, name: str) -> str | None:
        return next(iter(reversed(list(self._values(name)))), None)

    def _values(self, name: str) -> Iterable[str]:
        return (part.strip() for value in self._headers.getlist(name) for part in value.split(",") if part.strip())


def _host(headers: Headers, forwarded: _Forwarded) -> tuple[str, str]:
    given = headers.getlist("host")
    if len(given) != 1:
        raise Refused(Reason.HOST, 400, "A request names its host, once.")
    header = forwarded.host() or given[0]
    found = host_and_port(header)
    if found is None:
        raise Refused(Reason.HOST, 400, "The host is no host name.", f"the host {shown(header)} is no host name")
    return header, found[0]


def _route(path: str, root: str) -> str:
    """A proxy takes the prefix off, or leaves it."""
    if not path.startswith("/") or _STRANGE.search(path):
        raise Refused(Reason.PATH, 400, "There is no such path.", f"the path {shown(path)}")
    below = path.removeprefix(root) if root else path
    return below if below.startswith("/") else "/" if not below else path


def _bracketed(text: str) -> bool:
    return text.startswith("[") and not text.endswith("]")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """With a port or without."""
    bare = text.rsplit(":", 1)[0] if text.count(":") == 1 or _bracketed(text) else text
    try:
        known = ip_address(bare.strip("[]"))
    except ValueError:
        return None
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return mapped or known
