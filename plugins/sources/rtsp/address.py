"""A camera's address: where it is, which may be shown, and the URL with the password in it, which may not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

PORTS = {"rtsp": 554, "rtsps": 322}
LONGEST_LOGIN = 127
"""FFmpeg cuts off the rest of a quoted ``user:password``, and the camera would refuse what is left."""
_HOST_BEFORE_THE_AT = re.compile(r"([^:/?#]*|[^:/?#]+\.[^:/?#]+:\d+|\[[^]]*\](:\d+)?)[/?#]")
"""``10.0.0.2:554/stream`` where user and password should be: the @ belongs to the path."""
_NOT_IN_A_HOST = re.compile(r"[^\w.:%-]")


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int
    url: str = field(repr=False)
    """Whole, with the credentials quoted as FFmpeg wants them. A secret."""

    @property
    def encrypted(self) -> bool:
        return self.url.startswith("rtsps:")

    @property
    def place(self) -> str:
        """``192.168.1.20:554``, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(url: str, username: str | None = None, password: str | None = None) -> Address:
    """Split ``url`` at its LAST ``@``, so that a password in it may hold any character, quoted or not.

    ``username`` and ``password`` are literal and win over what the URL has. Raises ValueError; no message quotes the
    URL, since whatever is wrong with it may be a part of the password.
    """
    scheme, found, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not found or scheme not in PORTS:
        raise ValueError("an RTSP address looks like rtsp://user:password@192.168.1.20:554/stream1")
    login, _, rest = rest.rpartition("@")
    if _HOST_BEFORE_THE_AT.match(login):
        raise ValueError(
            "the address has an @ behind the host; write that one as %40 (an @ in a password may stay, but write a "
            "password that holds a / as well in the setting password)"
        )
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in rest):
        raise ValueError(
            "the address holds a space or a control character behind the host; write it as %20, for example"
        )
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    host, port = _host_and_port(netloc, PORTS[scheme])
    user, _, secret = (unquote(part) for part in login.partition(":"))
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
        raise ValueError("the address has no host that can be read; it looks like rtsp://192.168.1.20:554/stream1")
    return host, default if port is None else port
