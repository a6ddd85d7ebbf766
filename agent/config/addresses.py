"""What ``web:`` says of the network: where to listen, and by which names, through whom and from where it is reached."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from agent.units import refusal

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LISTEN_ALLOWED = "an address of this machine such as 127.0.0.1, or 0.0.0.0 for all of them, without http:// and port,"
_NAME_ALLOWED = "a host name such as cam.example.org, without http://, port and path,"
_PROXY_ALLOWED = "an address such as 172.30.32.2 or a network such as 10.0.0.0/8"
_ORIGIN_ALLOWED = "the beginning of the page's address, such as http://localhost:5173, without a path,"


def host_name(text: str) -> str | None:
    """A host name or an address in the form that a browser sends; None where it is neither."""
    name = text.strip().removesuffix(".").lower()
    if address := _address(name):
        return address
    try:
        name = name.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return name if _NAME.fullmatch(name) and not name.rsplit(".", 1)[-1].isdecimal() else None


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


def _listen(text: str) -> str:
    if text != text.strip("[]") or (found := host_name(text)) is None:
        raise refusal(_LISTEN_ALLOWED, _host_within(text))
    return found


def _name(text: str) -> str:
    if (found := host_name(text)) is None:
        raise refusal(_NAME_ALLOWED, _host_within(text))
    return found


def _host_within(text: str) -> str | None:
    """The host of what looks like a URL, or like a host with a port."""
    parts = _split(text if "://" in text else f"//{text}")
    found = host_name(parts.hostname) if parts and parts.hostname else None
    return found if found != text else None


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises only when it is asked for
    except ValueError:
        return None
    return parts


def _proxy(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise refusal(_PROXY_ALLOWED, _network_meant(text)) from None
    if network.prefixlen < 8:
        told = "is half the world, and anybody in it could say to be anybody: name the proxy's own address"
        raise ValueError(f"'{text}' {told}")
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _network_meant(text: str) -> str | None:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return None


def _origin(text: str) -> str:
    if "*" in text:
        raise ValueError(f"'{text}' would let every web page in: name the page's own origin, http://localhost:5173")
    parts = _split(text)
    host = host_name(parts.hostname) if parts and parts.hostname else None
    if parts is None or host is None or parts.scheme not in ("http", "https"):
        raise refusal(_ORIGIN_ALLOWED)
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    origin = f"{parts.scheme}://{shown}" + ("" if parts.port in (None, usual) else f":{parts.port}")
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        raise refusal(_ORIGIN_ALLOWED, origin)
    return origin


ListenAddress = Annotated[str, AfterValidator(_listen)]
HostName = Annotated[str, AfterValidator(_name)]
ProxyAddress = Annotated[str, AfterValidator(_proxy)]
"""An IP address or a network, as text."""
Origin = Annotated[str, AfterValidator(_origin)]
"""As a browser sends it: without the scheme's usual port."""
