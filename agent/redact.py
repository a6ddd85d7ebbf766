"""Keeps secrets out of what is shown: out of log records, tracebacks and any other text."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable

SHOWN = "***"
SHORTEST = 3
"""A shorter secret is not looked for: it would blank half of every line. In a URL's user part it is masked all the
same."""
_USER_PART = re.compile(r"(?<=[A-Za-z0-9]://)[^\s/?#'\"<>]+@")
_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class Redactor(logging.Filter):
    """Replaces every known secret, however it is written, and the user part of any URL.

    As a filter it belongs on a handler: a logger's filter does not see its children's records.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        # Longest first: a secret that begins like another must not leave its end behind.
        patterns = [_any_writing(secret) for secret in sorted(known, key=len, reverse=True)]
        self._secrets = re.compile("|".join(patterns)) if patterns else None

    def redact(self, text: str) -> str:
        if self._secrets:
            text = self._secrets.sub(SHOWN, text)
        return _USER_PART.sub(f"{SHOWN}@", text)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.redact(record.getMessage()), ()
        if record.exc_info:
            # The text stays, the exception goes: another formatter would print it anew.
            record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = self.redact(record.exc_text)
        if record.stack_info:
            record.stack_info = self.redact(record.stack_info)
        for name, value in vars(record).items():
            if name not in _STANDARD and isinstance(value, str):
                setattr(record, name, self.redact(value))
        return True


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without the user part of any URL."""
    return Redactor(secrets).redact(text)


def _any_writing(secret: str) -> str:
    """Matches a secret as it is, and percent-quoted, in JSON, in a Python repr, in a form's or a shell's quotes.

    Character by character, because each library quotes another set of them.
    """
    return "".join(_character(character) for character in secret)


def _character(character: str) -> str:
    quoted = "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
    forms = {character, json.dumps(character)[1:-1], repr(character)[1:-1], "\\" + character}
    forms |= {character.encode("unicode_escape").decode()}
    if character == " ":
        forms.add("+")
    written = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
    return f"(?:{'|'.join([_either_case(quoted), *written])})"


def _either_case(percent: str) -> str:
    return re.sub(r"[A-F]", lambda letter: f"[{letter[0]}{letter[0].lower()}]", percent)
