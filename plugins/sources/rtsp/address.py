"""A camera's address: where it is, which may be shown, and the URL with the password in it, which may not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from plugins.sources.login import check_port, split_login

PORTS = {"rtsp": 554, "rtsps": 322}
EXAMPLE = "rtsp://192.168.1.20:554/stream1"
LONGEST_LOGIN = 127
"""FFmpeg cuts off the rest of a quoted ``user:password``, and the camera would refuse what is left."""
_NOT_IN_A_HOST = re.compile(r"[^\w.:%-]")


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    url: str = field(repr=False)
    """Whole, with the credentials quoted as FFmpeg wants them. A secret."""

    @property
    def anonymous(self) -> bool:
        """Without user and password."""
        return "@" not in self.url

    @property
    def encrypted(self) -> bool:
        return self.url.startswith("rtsps:")

    @property
    def place(self) -> str:
        """``192.168.1.20:554``, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(url: str, username: str | None = None, password: str | None = None) -> Address:
    """``username`` and ``password`` are literal and win over what the URL has. Raises ValueError, never quoting it."""
    scheme, user, secret, rest = split_login(url, PORTS, EXAMPLE)
    check_port(rest)
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    host, port = _host_and_port(netloc, PORTS[scheme])
    user = user if username is None else username
    secret = secret if password is None else password
    shown = f"[{host}]" if ":" in host else host
    tail = rest.removeprefix(netloc)
    return Address(host, port, f"{scheme}://{_login(user, secret)}{shown}:{port}{tail}")


def _login(user: str, password: str) -> str:
    if not user and not password:
        return ""
    login = f"{quote(user, safe='')}{':' if password else ''}{quote(password, safe='')}"
    if len(login) > LONGEST_LOGIN:
        raise ValueError(
            f"user name and password together are too long: {len(login) - 1} characters, and {LONGEST_LOGIN - 1} can "
            "be sent, where one that is neither a letter of English, a digit nor one of - . _ ~ counts as three or "
            "more; give the camera a shorter password"
        )
    return f"{login}@"


def _host_and_port(netloc: str, default: int) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{netloc}")
        host, port = split.hostname, split.port
    except ValueError:
        host, port = None, None
    if not host or _NOT_IN_A_HOST.search(host):  # else a piece of a password could pass for one, and be shown
        raise ValueError(f"the address has no host that can be read; it looks like {EXAMPLE}")
    return host, default if port is None else port
