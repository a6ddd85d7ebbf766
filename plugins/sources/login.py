"""User name and password in a camera's URL."""

from __future__ import annotations

import re
from collections.abc import Container
from urllib.parse import unquote

_HOST_BEFORE_THE_AT = re.compile(r"([^:/?#]*|[^:/?#]+\.[^:/?#]+:\d+|\[[^]]*\](:\d+)?)[/?#]")
"""``10.0.0.2:554/stream`` where user and password should be: the @ belongs to the path."""


_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_PORT = re.compile(r"(?:[^:\[\]]+|\[[^\[\]]*\]):([^:\[\]]+)")
_GOOD_PORT = re.compile(r"0*[1-9][0-9]{0,4}")
_READ_BY = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
"""Which source reads an address that begins so."""


def split_login(url: str, schemes: Container[str], example: str) -> tuple[str, str, str, str]:
    """Scheme, user name, password (both unquoted), and the rest from the host on.

    Splits at the LAST ``@``, so that a password may hold any character, quoted or not. Raises ValueError; no message
    quotes the URL, since whatever is wrong with it may be a part of the password.
    """
    scheme, found, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not found or scheme not in schemes:
        raise ValueError(_scheme_fault(scheme if found else "", example))
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
    user, _, password = login.partition(":")
    return scheme, unquote(user), unquote(password), rest


def check_port(rest: str) -> None:
    """``rest``: from the host on. Raises ValueError, which doesn't quote the port: it may be a password cut off."""
    netloc = re.split("[/?#]", rest, maxsplit=1)[0]
    port = _PORT.fullmatch(netloc)
    if port is None or (_GOOD_PORT.fullmatch(port[1]) and int(port[1]) <= 65535):
        return
    hint = ""
    if netloc == rest and not port[1].isdecimal():
        hint = (
            ". Is it a password, and the host comes behind it? In YAML a # behind a space begins a remark: put the "
            "address in quotes"
        )
    raise ValueError(f"the port in the address must be a number from 1 to 65535{hint}")


def _scheme_fault(scheme: str, example: str) -> str:
    """No word of the address but a scheme that is known: anything else before the :// may be a piece of a password."""
    looks = f"it looks like {example}"
    if scheme in _READ_BY:
        return f"the address begins with {scheme}://, which another source reads: write 'use: {_READ_BY[scheme]}'"
    if scheme in ("rtmp", "rtmps", "rtmpt", "rtmpe"):
        return "the address begins with rtmp: camscribe doesn't speak RTMP; most cameras have an rtsp:// address too"
    if _SCHEME.fullmatch(scheme):
        return f"the address begins with something other than {example.partition('://')[0]}://; {looks}"
    return f"the address has no {example.partition('://')[0]}:// in front; {looks}"
