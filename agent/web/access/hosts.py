"""By which names camscribe may be called.

DNS rebinding: a web page's own name is pointed at this machine, and the browser takes camscribe for that page's server.
But then it sends that name, and it is none of ours.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")


def host_and_port(header: str) -> tuple[str, str] | None:
    """The name in lower case, without brackets and the dot at its end, and the port, perhaps empty."""
    found = _HOST.fullmatch(header)
    if not found:
        return None
    return found[1].lower().strip("[]").removesuffix("."), found[2] or ""


def is_address(name: str) -> bool:
    """An IP address, which nobody's DNS can point elsewhere."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def own_names() -> frozenset[str]:
    """This machine's. Blocks."""
    name = socket.gethostname().lower().removesuffix(".")
    short = name.split(".")[0]
    return frozenset({"localhost", *(known for known in (name, short, short and f"{short}.local") if known)})


class Hosts:
    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def __contains__(self, name: str) -> bool:
        return name in self._names or is_address(name)
