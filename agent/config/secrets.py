"""Which values of a config must never be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, SecretStr

from agent.config.faults import Path_
from agent.config.sentences import hides
from agent.config.variables import Piece, Place
from agent.plugin import SecretUrl

LONG_PATH = 10
"""A URL's path that is as long is a key wherever it stands. A shorter one may be a word, such as door, and is one only
behind its slash."""


def secrets_of(
    options: Iterable[BaseModel], pieces: Mapping[Path_, Iterable[Piece]], secret_paths: Iterable[Path_]
) -> frozenset[str]:
    """Every secret, as it is and percent-quoted."""
    declared = set(secret_paths)
    found = {secret for one in options for secret in _in_value(one)}
    for path, filled in pieces.items():
        found |= {piece.value for piece in filled if _is_secret(piece, path in declared)}
    return frozenset(form for secret in found if secret.strip() for form in (secret, quote(secret, safe="")))


def _is_secret(piece: Piece, declared: bool) -> bool:
    if piece.from_file or piece.place is Place.PASSWORD:
        return True
    return declared and piece.place in (Place.TEXT, Place.BEHIND_HOST)


def _in_value(value: Any) -> Iterator[str]:
    match value:
        case SecretUrl():
            yield from url_secrets(value.get_secret_value(), path_is_secret=value.path_is_secret)
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            for name in type(value).model_fields:
                yield from _in_value(getattr(value, name))
        case Mapping():
            for item in value.values():
                yield from _in_value(item)
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _in_value(item)


def url_secrets(url: str, *, path_is_secret: bool = False) -> Iterator[str]:
    """A URL's password, raw and unquoted, and what else of it is a key. The password may hold any character."""
    _, _, rest = url.partition("://")
    user_part, at, address = rest.rpartition("@")
    user, colon, password = user_part.partition(":")
    secret = password if colon else user
    # Without a colon, an @ behind the first slash belongs to the path.
    if at and (colon or not re.search(r"[/?#]", secret)):
        yield from (secret, unquote(secret))
    host_and_path, _, query = address.partition("?")
    for pair in query.split("#")[0].split("&"):
        name, _, value = pair.partition("=")
        if hides(name):
            yield from (value, unquote(value))
    path = host_and_path.partition("/")[2]
    if path_is_secret and path:
        yield f"/{path}"
        if len(path) >= LONG_PATH:
            yield path
