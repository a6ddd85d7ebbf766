"""What is done about a damaged journal: it is set aside, and what can still be read of it is carried over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.journal import answers

ASIDE = "journal.damaged-"
COLUMNS = (
    "seq",
    "id",
    "camera",
    "good",
    "recorded",
    "monotonic",
    "caption",
    "picture",
    "picture_bytes",
    "sent_bytes",
    "bytes",
    "json",
)


def set_aside(path: Path, now: datetime) -> Path:
    """Move the file and what belongs to it out of the way. Of older damaged ones none is kept: they are big."""
    for old in path.parent.glob(f"{ASIDE}*"):
        old.unlink()
    aside = path.with_name(f"{ASIDE}{now:%Y%m%dT%H%M%S}{path.suffix}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def carry_over(damaged: Path, db: sqlite3.Connection) -> int:
    """Copy every row that can be read, and the outputs' cursors; the number of observations there are then."""
    with closing(sqlite3.connect(damaged, isolation_level=None)) as old:
        db.execute("BEGIN IMMEDIATE")
        for row in _readable(old, "SELECT output, seq FROM cursors"):
            db.execute("INSERT OR IGNORE INTO cursors VALUES (?, ?)", row)
        columns = _columns(old)
        reached = 0
        for row in _readable(old, f"SELECT {columns} FROM observations ORDER BY seq"):  # noqa: S608
            _copy(db, columns, row)
            reached = row[0]
        # And from the other end: one bad page in the middle then costs only what is on it.
        for row in _readable(old, f"SELECT {columns} FROM observations ORDER BY seq DESC"):  # noqa: S608
            if row[0] <= reached:
                break
            _copy(db, columns, row)
        db.execute("UPDATE total SET bytes = (SELECT coalesce(sum(bytes), 0) FROM observations)")
        db.execute("COMMIT")
    (count,) = db.execute("SELECT count(*) FROM observations").fetchone()
    return int(count)


def _columns(old: sqlite3.Connection) -> str:
    """Those that the file has: it may have been damaged before it was brought to this version."""
    there = {name for (name,) in _readable(old, "SELECT name FROM pragma_table_info('observations')")}
    return ", ".join(column for column in COLUMNS if column in there)


def _copy(db: sqlite3.Connection, columns: str, row: tuple[Any, ...]) -> None:
    marks = ", ".join("?" * len(row))
    added = db.execute(f"INSERT OR IGNORE INTO observations ({columns}) VALUES ({marks})", row)  # noqa: S608
    if added.rowcount > 0:
        answers.write(db, row[0], row[-1])


def _readable(old: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows up to where the file is damaged."""
    try:
        yield from old.execute(query)
    except sqlite3.DatabaseError:
        return  # the caller says how many there were
