"""Who has logged in, in a signed cookie: the service keeps none of it but which were logged out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from agent.web.access.credentials import LONGEST_SESSION, Credentials

RENEWED_AFTER = timedelta(days=1)
_AHEAD = timedelta(days=1)
"""A clock that was wrong after a power cut has been set back: not every session ends for that."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's."""

    id: str
    user: str
    issued: datetime
    fingerprint: str
    """Of the user's password as it was then."""

    def old(self, now: datetime) -> bool:
        """Worth a new cookie."""
        return now - self.issued > RENEWED_AFTER

    def renewed(self, now: datetime) -> Session:
        return replace(self, issued=now)

    def good(self, credentials: Credentials, now: datetime) -> bool:
        user = credentials.users.get(self.user)
        return (
            user is not None
            and hmac.compare_digest(user.fingerprint, self.fingerprint)
            and -_AHEAD < now - self.issued < LONGEST_SESSION
            and self.id not in credentials.ended
        )


def begun(user: str, credentials: Credentials, now: datetime) -> Session:
    """Always a new one: what cookie the browser had before says nothing."""
    return Session(secrets.token_urlsafe(16), user, now, credentials.users[user].fingerprint)


def written(session: Session, credentials: Credentials) -> str:
    """As the cookie's value."""
    issued = int(session.issued.timestamp())
    return str(_signer(credentials).dumps([session.id, session.user, issued, session.fingerprint]))


def read(value: str, credentials: Credentials, now: datetime) -> Session | None:
    """The session of a cookie's value, where it is ours and still good."""
    try:
        id_, user, issued, fingerprint = _signer(credentials).loads(value)
        session = Session(str(id_), str(user), datetime.fromtimestamp(issued, UTC), str(fingerprint))
    except (BadData, ValueError, TypeError, OverflowError, OSError):
        return None
    return session if session.good(credentials, now) else None


def _signer(credentials: Credentials) -> URLSafeSerializer:
    options: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(credentials.secret, salt="camscribe.web.session", signer_kwargs=options)


def cookie_name(credentials: Credentials, *, secure: bool, root: str) -> str:
    """Each camscribe of a host has its own: cookies don't know ports. The prefixes make browsers insist on the rest."""
    own = hashlib.sha256(credentials.secret.encode()).hexdigest()[:8]
    prefix = "" if not secure else "__Secure-" if root else "__Host-"
    return f"{prefix}camscribe-{own}"


def cookie(name: str, value: str, *, secure: bool, root: str) -> str:
    """A Set-Cookie header; without a value, one that takes the cookie away."""
    lasts = int(LONGEST_SESSION.total_seconds()) if value else 0
    parts = [f"{name}={value}", f"Max-Age={lasts}", f"Path={root or '/'}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, *(["Secure"] if secure else [])])


def cookies_of(header: str, name: str) -> list[str]:
    """Every value that came under that name: another program on this host may have set one of it as well."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return [value for key, _, value in pairs if key == name]
