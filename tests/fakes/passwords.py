"""Odd passwords, as people and cameras make them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from urllib.parse import quote, quote_plus

USER = "vie wer"

PASSWORDS = [
    "plain-0ne",
    "with space",
    "at@sign@twice",
    "sla/sh/es",
    "ha#sh",
    "quest?ion=1",
    "co:lon:s",
    "amp&ersand",
    "pl+us+sign",
    "50%plus",
    "quoted%41%2f",
    "brac[ket]s",
    "back\\slash",
    "quo'te\"s",
    "dol$lar{brace}!",
    "ümläut-ß-日本",
    "<a>|b^c`d~e;f,g*(h)" + "-64-characters-long-as-most-cameras-allow-it",
]


def may_stand_raw(password: str) -> bool:
    """It may stand in an address as it is: a % and two digits would be read as a quoted character."""
    return re.search("%[0-9a-fA-F]{2}", password) is None


def writings(password: str) -> set[str]:
    """A password as it is, and every way a library may have written it."""
    plain = {password, quote(password, safe=""), quote(password), quote_plus(password)}
    plain |= {text.lower() for text in plain if "%" in text}
    escaped = {form(text)[1:-1] for text in plain for form in (json.dumps, repr, ascii)}
    return plain | escaped | {b64encode(f"{USER}:{password}".encode()).decode()}


def leaks(text: str) -> dict[str, str]:
    """Each password that is in ``text``, with what stands around it."""
    found = {}
    for password in PASSWORDS:
        for writing in writings(password):
            if (at := text.find(writing)) >= 0:
                found[password] = text[max(0, at - 60) : at + 60]
    return found
