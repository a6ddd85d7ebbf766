"""What camscribe says of itself, on stderr: one line a record, text or JSON, never a secret."""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from agent.redact import Redactor

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
MOST_WAITING = 2000
"""Lines; more are dropped and counted."""
FLUSH_WITHIN = 1.0
TELLTALES = ("httpx", "httpcore")
"""Libraries that log whole URLs, and a URL may be a key: heard only when something is wrong."""
NOISY = ("apscheduler", "asyncio", "libav", "PIL", "aiomqtt", "paho", "mqtt")
"""Libraries whose INFO is our DEBUG."""


class _Text(logging.Formatter):
    """``2026-11-22 18:04:05 WARNING camera.front_door: …``, without the time where journald adds it."""

    def __init__(self) -> None:
        stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
        super().__init__(f"{stamp}%(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # A caption or a server's answer must not write log lines of its own; a traceback may take several.
        head, *rest = text.split("\n") if record.exc_text else [text.replace("\n", "\\n")]
        return "\n".join([_printable(head), *(_printable(line) for line in rest)])


class _Json(logging.Formatter):
    """One JSON object a line; what a caller gave in ``extra`` is in it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "part": record.name,
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_text:
            fields["traceback"] = record.exc_text
        return json.dumps(fields, ensure_ascii=False, default=str)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Stderr(logging.Handler):
    """Writes in a thread of its own: a reader of our log that stands still must not stop the cameras."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._dropped = 0
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 (logging's own way: a record that can't be formatted is said, not raised)
            self.handleError(record)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                sys.stderr.write(f"{line}\n")
                if self._dropped:
                    lost, self._dropped = self._dropped, 0
                    sys.stderr.write(f"{lost} lines of this log are lost: nobody read them in time\n")
                sys.stderr.flush()
            except (OSError, ValueError):
                return  # standard error is closed; there is nobody left to tell

    def close(self) -> None:
        """What was said is written, unless nobody reads it any more."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._writer.join(FLUSH_WITHIN)
        super().close()


def hide(secrets: Collection[str]) -> None:
    """From here on ``secrets`` are replaced instead of those that were before."""
    for handler in logging.getLogger().handlers:
        for old in [known for known in handler.filters if isinstance(known, Redactor)]:
            handler.addFilter(Redactor(secrets))
            handler.removeFilter(old)


UNHEARD = ("uvicorn",)
"""A library that calls whatever a client sends amiss a warning: heard at DEBUG only."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def configure(level: str = "INFO", *, as_json: bool = False, secrets: Collection[str] = ()) -> None:
    """Log to stderr from here on. ``secrets`` are replaced wherever they would appear."""
    handler = _Stderr()
    handler.addFilter(Redactor(secrets))  # before anything is formatted: it turns an exception into its text, too
    handler.setFormatter(_Json() if as_json else _Text())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    set_level(level)


def level() -> str:
    """``INFO`` and so on: what is logged from there up."""
    return logging.getLevelName(logging.getLogger().level)


def set_level(level: str) -> None:
    logging.getLogger().setLevel(level)
    quiet = logging.DEBUG if level == "DEBUG" else logging.WARNING
    for name in NOISY:
        logging.getLogger(name).setLevel(quiet)
    for name in UNHEARD:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
    for name in TELLTALES:
        logging.getLogger(name).setLevel(logging.WARNING)
