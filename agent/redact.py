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
    """Matches a secret as it is, and percent-quoted, in JSON, in a Python repr, in JSON within JSON.

    Character by character, because each library quotes another set of them.
    """
    # A run of backslashes and what follows is one piece: written again and again, the run only gets longer.
    pieces = re.findall(r"(\\*)([^\\]|\Z)", secret)
    # A match may as well begin where its run of backslashes does; else a long run would be tried from each of them.
    return r"(?<!\\)" + "".join(_piece(len(run), character) for run, character in pieces if run or character)


def _piece(backslashes: int, character: str) -> str:
    """Quantifiers are possessive: no text, however odd, can make this slow."""
    escapes = {form(character)[1:-1] for form in (json.dumps, repr, ascii)}
    # "\ud83d\ude00": within, too, there may be more backslashes than one.
    bodies = [r"\\++".join(map(re.escape, form[1:].split("\\"))) for form in escapes if form.startswith("\\")]
    plain = [_percent(character), re.escape(character), *([r"\+"] if character == " " else [])]
    if backslashes:
        run = rf"(?:\\{{{backslashes},}}+|{_percent(chr(92)) * backslashes})"
        return f"{run}(?:{'|'.join([*bodies, *plain])})"
    escaped = rf"|\\++(?:{'|'.join(bodies)})" if bodies else ""
    return rf"(?:\\*+(?:{'|'.join(plain)}){escaped})"


def _percent(character: str) -> str:
    quoted = "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
    return re.sub(r"[A-F]", lambda letter: f"[{letter[0]}{letter[0].lower()}]", quoted)
