"""The table of answers: which observation was given which, as it is asked for: ``person:yes``, ``people:2``."""

from __future__ import annotations

import json
import sqlite3

BATCH = 1000
MANY = 1000


def said(value: object) -> str | None:
    """An answer's value as it is asked for; None where there is none to be found."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value)


def write(db: sqlite3.Connection, seq: int, observation: str) -> None:
    """Those of one observation, out of its JSON. They go with its row, by a trigger."""
    db.executemany(
        "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", [(name, text, seq) for name, text in _given(observation)]
    )


def fill(db: sqlite3.Connection) -> None:
    """Those of every observation there is."""
    seq = 0
    while some := db.execute(
        "SELECT seq, json FROM observations WHERE seq > ? ORDER BY seq LIMIT ?", (seq, BATCH)
    ).fetchall():
        for seq, observation in some:
            write(db, seq, observation)


def count(db: sqlite3.Connection, name: str, value: str) -> int:
    """How often it was given, as far as MANY: enough to tell a rare one."""
    (many,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM answers WHERE name = ? AND value = ? LIMIT ?)", (name, value, MANY)
    ).fetchone()
    return int(many)


def _given(observation: str) -> list[tuple[str, str]]:
    """None of a row that can't be understood: whoever reads that says so."""
    try:
        answers = json.loads(observation)["answers"]
        found = [(str(name), said(answer["value"])) for name, answer in answers.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [(name, text) for name, text in found if text is not None]
