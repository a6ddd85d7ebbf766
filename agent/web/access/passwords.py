"""Passwords: what is none, and whether one is right. argon2id is slow on purpose, so only one is tried at a time."""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 8
LONGEST = 1000
MOST_WAITING = 8
_COMMON = (
    *("admin", "baseball", "camera", "camscribe", "changeme", "dragon", "football", "geheim", "hallo", "iloveyou"),
    *("letmein", "login", "monkey", "passwd", "password", "passwort", "princess", "schatz", "secret", "sunshine"),
    *("superman", "test", "trustno", "user", "webcam", "welcome", "zuhause"),
)
_ROWS = (
    *("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjkl"),
    *("1qaz2wsx3edc4rfv5tgb", "1q2w3e4r5t6y7u8i9o0p", "azertyuiopqsdfghjklm"),
)

# What OWASP asks for at least: on the smallest machines, too, the memory is there beside a model's.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Busy(Exception):
    """So many passwords wait to be tried that this one has to come again."""


def password_fault(password: str, user: str) -> str | None:
    """Why this is no password; a sentence."""
    password = _normal(password)
    if len(password) < SHORTEST:
        return f"That has {len(password)} characters: a password has {SHORTEST} or more, such as four words."
    if len(password) > LONGEST:
        return f"That has more than {LONGEST} characters."
    plain = password.casefold()
    if len(set(plain)) < 4 or any(plain in row or plain in row[::-1] for row in _ROWS):
        return "That is among the first that anybody tries. Take something less regular, such as four words."
    if _mostly(plain, (*_COMMON, *re.split(r"[^a-z]+", user), user)):
        return "That is little more than a name or a common word. Take something longer, such as four words."
    return None


def _mostly(plain: str, words: tuple[str, ...]) -> bool:
    """One of the words with up to five characters around it, or written with digits for letters."""
    spelled = plain.translate(str.maketrans("013457@$!", "oieastasi"))
    return any(
        len(word) >= 4 and len(text) - len(word) <= 5 and word in text for word in words for text in (plain, spelled)
    )


def hashed(password: str) -> str:
    """Takes a while; blocks."""
    return _HASHER.hash(_normal(password))


class Passwords:
    """Tries them, one after the other, in a thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._nobodys = ""

    async def open(self) -> None:
        self._nobodys = await asyncio.to_thread(hashed, secrets.token_urlsafe())

    async def right(self, password: str, expected: str | None) -> bool:
        """``expected``: the hash, or None for a user who is not there; that takes as long. Raises Busy."""
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._turn:
                found = await asyncio.to_thread(verify, expected or self._nobodys, password)
        finally:
            self._waiting -= 1
        return found and expected is not None


def verify(expected: str, password: str) -> bool:
    try:
        return _HASHER.verify(expected, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """A Mac composes é of other characters than a telephone does."""
    return unicodedata.normalize("NFC", password)
