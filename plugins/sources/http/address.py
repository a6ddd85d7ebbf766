"""A camera's address: where it is, which may be shown, and the way to the picture, which may hold a key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from plugins.sources.login import check_port, split_login

PORTS = {"http": 80, "https": 443}
EXAMPLE = "http://192.168.1.20/snapshot.jpg"


@dataclass(frozen=True, slots=True)
class Address:
    place: str
    """``http://192.168.1.20:8080``, for people."""
    url: httpx.URL = field(repr=False)
    """Without the credentials. A secret all the same: many cameras want a key behind the ``?``."""
    user: str
    password: str = field(repr=False)


def read_address(url: str, username: str | None = None, password: str | None = None) -> Address:
    """``username`` and ``password`` are literal and win over what the URL has. Raises ValueError, never quoting it."""
    scheme, user, secret, rest = split_login(url, PORTS, EXAMPLE)
    check_port(rest)
    whole = _parsed(scheme, rest)
    return Address(
        place(whole),
        whole,
        user if username is None else username,
        secret if password is None else password,
    )


def place(url: httpx.URL) -> str:
    """Its scheme, host and port: no user, path or query."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{'' if url.port is None else f':{url.port}'}"


def origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or PORTS.get(url.scheme, 0)


def _parsed(scheme: str, rest: str) -> httpx.URL:
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    try:
        _ = urlsplit(f"//{netloc}").port  # raises for what httpx would take
        url = httpx.URL(f"{scheme}://{rest}")
        host = url.host  # an international name is decoded here, or can't be
    except (ValueError, httpx.InvalidURL):
        host = ""
    if not host:
        raise ValueError(f"the address has no host that can be read; it looks like {EXAMPLE}")
    return url
