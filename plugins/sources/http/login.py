"""Logging in to a camera: bearer, basic, or digest, as it asks; and remembered, so that it has to ask only once."""

from __future__ import annotations

import re
from collections.abc import Generator
from urllib.request import parse_http_list

import httpx

from plugins.sources.http import trouble
from plugins.sources.http.config import HttpConfig
from plugins.sources.http.trouble import Troubled

HASHES = ("SHA-512-SESS", "SHA-512", "SHA-256-SESS", "SHA-256", "MD5-SESS", "MD5", "SHA-SESS", "SHA")
"""What httpx can do; the camera's first choice among them is taken."""
Flow = Generator[httpx.Request, httpx.Response, None]
"""httpx's: takes a response, and puts the answer to it into the request."""
_BEGINS = re.compile(r"(?:([A-Za-z][A-Za-z0-9-]*)(?:\s+|$))?(?:([A-Za-z-]+)\s*=\s*(.*))?", re.DOTALL)


class Login:
    """What goes into the Authorization header. ``failed`` forgets it, so that no wrong password is sent unasked."""

    def __init__(self, config: HttpConfig) -> None:
        address = config.address
        self._token = config.token.get_secret_value() if config.token is not None else None
        self._user, self._password = address.user, address.password
        self._allowed = config.auth
        self._way: httpx.Auth | None = None
        self.failed()

    def failed(self) -> None:
        basic = self._allowed == "basic" and self._known
        self._way = httpx.BasicAuth(self._user, self._password) if basic else None

    @property
    def _known(self) -> bool:
        return bool(self._user or self._password)

    def authorize(self, request: httpx.Request) -> Flow | None:
        """Puts the header in, where the way is known already. What it gives wants to see a 401's challenge."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        if self._way is None:
            return None
        flow = self._way.auth_flow(request)
        next(flow)
        return flow

    def answer(
        self,
        request: httpx.Request,
        flow: Flow | None,
        refusal: httpx.Headers,
    ) -> bool:
        """The camera said 401: put the answer to its challenge in. False: there is none but what it just refused."""
        if self._token is not None:
            raise Troubled(trouble.UNAUTHORIZED_TOKEN)
        if not self._known:
            raise Troubled(trouble.NO_LOGIN)
        offers = challenges(refusal.get_list("www-authenticate"))
        digest = _best([fields for scheme, fields in offers if scheme == "digest"])
        if digest is not None and self._allowed != "basic":
            return self._digest(request, flow, digest)
        if isinstance(self._way, httpx.BasicAuth):
            return False
        if not any(scheme == "basic" for scheme, _ in offers):
            raise Troubled(trouble.ODD_LOGIN if offers else trouble.NOT_ASKED)
        if self._allowed == "digest":
            raise Troubled(trouble.CLEAR_LOGIN)
        self._way = httpx.BasicAuth(self._user, self._password)
        next(self._way.auth_flow(request))
        return True

    def _digest(
        self,
        request: httpx.Request,
        flow: Flow | None,
        fields: dict[str, str],
    ) -> bool:
        if not isinstance(self._way, httpx.DigestAuth) or flow is None:
            self._way = httpx.DigestAuth(self._user, self._password)
            flow = self._way.auth_flow(request)
            next(flow)
        elif fields.get("stale", "").lower() != "true" and not _is_news(request, fields):
            return False
        said = ", ".join(f'{name}="{value}"' for name, value in fields.items())
        try:
            flow.send(httpx.Response(401, headers={"WWW-Authenticate": f"Digest {said}"}, request=request))
        except (StopIteration, httpx.ProtocolError, NotImplementedError):
            raise Troubled(trouble.ODD_LOGIN) from None
        return True


def _is_news(request: httpx.Request, fields: dict[str, str]) -> bool:
    """Another nonce than the one just answered to: it has aged, and not every camera calls that stale."""
    return f'nonce="{fields["nonce"]}"' not in request.headers.get("Authorization", "")


def challenges(headers: list[str]) -> list[tuple[str, dict[str, str]]]:
    """``("digest", {"realm": …, "nonce": …})`` for each way to log in, in the camera's order; names in lower case."""
    found: list[tuple[str, dict[str, str]]] = []
    for item in (item for header in headers for item in parse_http_list(header)):
        begins = _BEGINS.fullmatch(item.strip())
        if begins is None:
            continue
        scheme, name, value = begins.groups()
        if scheme:
            found.append((scheme.lower(), {}))
        if name and found:
            found[-1][1][name.lower()] = value.strip().removeprefix('"').removesuffix('"')
    return found


def _best(offers: list[dict[str, str]]) -> dict[str, str] | None:
    for fields in offers:
        algorithm = fields.get("algorithm", "MD5").upper()
        ways = re.split(r"\s*,\s*", fields.get("qop", "").strip())
        if {"realm", "nonce"} <= fields.keys() and algorithm in HASHES and (ways == [""] or "auth" in ways):
            whole = {**fields, **({"qop": "auth"} if "auth" in ways else {})}
            return {name: value for name, value in whole.items() if (name, value) != ("qop", "")}
    return None
