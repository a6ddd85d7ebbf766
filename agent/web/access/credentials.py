"""Who has a password or a token. None of either is kept as it is, only what proves it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

TOKEN_PREFIX = "camscribe_"  # noqa: S105 (by it a token is known for one, where somebody has published it by mistake)
LONGEST_SESSION = timedelta(days=30)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
NAME_ALLOWED = "letters, digits, dots, dashes, underscores and @, at most 64, beginning with a letter or a digit"

T = TypeVar("T")
Hidden = Annotated[str, Field(repr=False)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class User(_Record):
    password: Hidden
    """argon2id's text, with its salt and what it costs."""

    @property
    def fingerprint(self) -> str:
        """Another one after each change of the password, even to the same."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:20]


class Token(_Record):
    sha256: Hidden
    """Enough: nobody guesses 32 random bytes."""
    made: datetime


class Credentials(_Record):
    """The file's content. Every change makes a new one."""

    version: Literal[1] = 1
    secret: Hidden = Field(min_length=32)
    """Signs the sessions' cookies."""
    users: Mapping[str, User] = {}
    tokens: Mapping[str, Token] = {}
    ended: Mapping[str, datetime] = {}
    """Sessions that were logged out, and when: their cookies would be good for a while yet."""

    @classmethod
    def new(cls) -> Self:
        return cls(secret=secrets.token_urlsafe(32))

    @property
    def any(self) -> bool:
        """Whether there is anybody who could prove who they are."""
        return bool(self.users or self.tokens)

    def with_user(self, name: str, password: str) -> Self:
        """``password``: its hash."""
        return self.model_copy(update={"users": {**self.users, name: User(password=password)}})

    def without_user(self, name: str) -> Self:
        return self.model_copy(update={"users": _without(self.users, name)})

    def with_token(self, name: str, token: str, made: datetime) -> Self:
        return self.model_copy(update={"tokens": {**self.tokens, name: Token(sha256=_digest(token), made=made)}})

    def without_token(self, name: str) -> Self:
        return self.model_copy(update={"tokens": _without(self.tokens, name)})

    def with_ended(self, session: str, now: datetime) -> Self:
        """What has run out by itself need not be remembered."""
        lasting = {id_: when for id_, when in self.ended.items() if now - when < LONGEST_SESSION}
        return self.model_copy(update={"ended": {**lasting, session: now}})

    def token(self, presented: str) -> str | None:
        """The name of the token that this is."""
        digest = _digest(presented)
        return next((name for name, one in self.tokens.items() if hmac.compare_digest(one.sha256, digest)), None)


def proofs(credentials: Credentials | None) -> object:
    """What is different when a password or a token is."""
    return (dict(credentials.users), dict(credentials.tokens)) if credentials else ({}, {})


def new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def user_name(text: str) -> str | None:
    """As it is kept: however a telephone writes it. None where it can't be one."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    return name if _NAME.fullmatch(name) else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _without(mapping: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in mapping.items() if key != name}
