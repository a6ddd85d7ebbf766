"""User name and password in a camera's URL."""

from __future__ import annotations

import re
from collections.abc import Container
from urllib.parse import unquote

_HOST_BEFORE_THE_AT = re.compile(r"([^:/?#]*|[^:/?#]+\.[^:/?#]+:\d+|\[[^]]*\](:\d+)?)[/?#]")
"""``10.0.0.2:554/stream`` where user and password should be: the @ belongs to the path."""


def split_login(url: str, schemes: Container[str], example: str) -> tuple[str, str, str, str]:
    """Scheme, user name, password (both unquoted), and the rest from the host on.

    Splits at the LAST ``@``, so that a password may hold any character, quoted or not. Raises ValueError; no message
    quotes the URL, since whatever is wrong with it may be a part of the password.
    """
    scheme, found, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not found or scheme not in schemes:
        raise ValueError(f"a camera's address here looks like {example}")
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
