"""The SQLite file: every statement that is run on it. All on the journal's thread."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from agent.journal import answers, query, salvage, schema
from agent.journal.query import Filter, Query

T = TypeVar("T")

log = logging.getLogger("camscribe.journal")

ROW_OVERHEAD = 700
"""Bytes a row takes beside its JSON: keys, six indexes, some answers, the caption twice more."""

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
UNTRUSTED = DAMAGED | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
"""After one of these the connection is opened afresh: the disk came back, or the file was moved away."""
TROUBLE = UNTRUSTED | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


@dataclass(frozen=True, slots=True)
class Row:
    """An observation as it lies in the file."""

    seq: int
    camera: str
    good: bool
    recorded: float
    monotonic: float
    picture: str | None
    picture_bytes: int
    sent_bytes: int
    """Of the picture the model got, which lies beside the other; 0 where it was not kept."""
    json: str


@dataclass(frozen=True, slots=True)
class New:
    """A row to be written."""

    id: str
    camera: str
    good: bool
    recorded: float
    monotonic: float
    caption: str | None
    picture: str | None
    picture_bytes: int
    sent_bytes: int
    json: str

    @property
    def bytes(self) -> int:
        return self.picture_bytes + self.sent_bytes + len(self.json.encode()) + ROW_OVERHEAD


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as whoever removes it sees it."""

    seq: int
    camera: str
    picture: str | None
    sent_bytes: int
    bytes: int
    by_hand: bool = False
    """Somebody had it deleted; otherwise it was retention."""


ROW = "seq, camera, good, recorded, monotonic, picture, picture_bytes, sent_bytes, json"
KEPT = "seq, camera, picture, sent_bytes, bytes"
NEIGHBOURS = """
    SELECT (SELECT id FROM observations WHERE camera = o.camera AND seq < o.seq ORDER BY seq DESC LIMIT 1),
        (SELECT id FROM observations WHERE camera = o.camera AND seq > o.seq ORDER BY seq LIMIT 1)
    FROM observations AS o WHERE id = ?"""


def code(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_trouble(error: sqlite3.Error | OSError) -> bool:
    """It tells of the disk or of another process; any other is a bug."""
    return isinstance(error, OSError) or code(error) in TROUBLE


def is_full(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return code(error) == sqlite3.SQLITE_FULL


class Store:
    """The open file. A damaged one is set aside and what can be read of it is carried over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.latest = 0
        """The highest seq ever given."""
        self.bytes = 0
        self.searchable = False
        self._db: sqlite3.Connection | None = None
        self.run(lambda _db: None)

    def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """One job on the file. After damage it is done again on the file that takes the place."""
        try:
            return self._attempt(job)
        except sqlite3.DatabaseError as error:
            if code(error) not in DAMAGED:
                raise
            self._replace(error)
            return self._attempt(job)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _attempt(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._db is None:
                self._db = self._open()
            return job(self._db)
        except sqlite3.Error as error:
            self._after(error)
            raise

    def _after(self, error: sqlite3.Error) -> None:
        """Leave no transaction open, and change over to a fresh connection where the old one may be no good."""
        db = self._db
        if db is None:
            return
        if db.in_transaction:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself after most errors
                db.execute("ROLLBACK")
        if code(error) in UNTRUSTED - DAMAGED:
            with suppress(sqlite3.Error, OSError):  # the disk is no better yet; the old one may still read
                self._db = self._open()
                db.close()

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would make it readable for all
        db = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only an empty file takes it
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA journal_size_limit = 16777216")
            schema.migrate(db, self.path)
            self.searchable = schema.make_searchable(db)
            self._read_totals(db)
        except BaseException:
            db.close()
            raise
        return db

    def _read_totals(self, db: sqlite3.Connection) -> None:
        (given,) = db.execute(
            "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'observations'), 0),"
            " coalesce((SELECT max(seq) FROM cursors), 0))"
        ).fetchone()
        given = max(given, self.latest)  # a new file goes on from the numbers that the outputs know
        db.execute(
            "INSERT INTO sqlite_sequence SELECT 'observations', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence)"
        )
        db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'observations' AND seq < ?", (given, given))
        self.latest = given
        (self.bytes,) = db.execute("SELECT bytes FROM total").fetchone()

    def _replace(self, error: sqlite3.DatabaseError) -> None:
        self.close()
        aside = salvage.set_aside(self.path, datetime.now(UTC))
        log.error("The journal %s is damaged (%s). It is kept as %s, a new one is begun.", self.path, error, aside.name)
        carried = self._attempt(lambda db: salvage.carry_over(aside, db))
        self._attempt(self._read_totals)
        log.error("%d observations could be carried over into the new journal.", carried)

    def insert(self, new: New) -> int:
        def job(db: sqlite3.Connection) -> int:
            db.execute("BEGIN IMMEDIATE")
            (seq,) = db.execute(
                "INSERT INTO observations"
                " (id, camera, good, recorded, monotonic, caption, picture, picture_bytes, sent_bytes, bytes, json)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
                (
                    new.id,
                    new.camera,
                    new.good,
                    new.recorded,
                    new.monotonic,
                    new.caption,
                    new.picture,
                    new.picture_bytes,
                    new.sent_bytes,
                    new.bytes,
                    new.json,
                ),
            ).fetchone()
            answers.write(db, seq, new.json)
            db.execute("UPDATE total SET bytes = bytes + ?", (new.bytes,))
            db.execute("COMMIT")
            return int(seq)

        self.latest = self.run(job)
        self.bytes += new.bytes
        return self.latest

    def rows(self, where: str, values: Sequence[object], order: str, limit: int) -> list[Row]:
        """``where`` and ``order`` are ours, never a user's text."""
        sql = f"SELECT {ROW} FROM observations WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        found = self.run(lambda db: db.execute(sql, (*values, limit)).fetchall())
        return [Row(*row) for row in found]

    def find(self, wanted: Filter, before: int | None, limit: int) -> list[Row]:
        """Newest first."""
        found = self.seqs(wanted, before, limit)
        return self.rows(f"seq IN ({_marks(found)})", found, "seq DESC", limit)

    def seqs(self, wanted: Filter, before: int | None, limit: int) -> list[int]:
        """Of those that ``find`` would give."""
        return [seq for (seq,) in self._asked(wanted, lambda them: query.seqs(them, before, limit, self.searchable))]

    def quarters(self, wanted: Filter) -> list[tuple[int, int]]:
        """How many were recorded in which quarter of an hour."""
        return self._asked(wanted, lambda them: query.quarters(them, self.searchable))

    def _asked(self, wanted: Filter, made: Callable[[Filter], Query]) -> list[Any]:
        def job(db: sqlite3.Connection) -> list[Any]:
            answers_ = sorted(wanted.answers, key=lambda answer: answers.count(db, *answer))
            asked = made(replace(wanted, answers=tuple(answers_)))
            return db.execute(asked.sql, asked.values).fetchall()

        return self.run(job)

    def neighbours(self, id_: str) -> tuple[str | None, str | None]:
        """The ids of the camera's ones before and after this one."""
        found = self.run(lambda db: db.execute(NEIGHBOURS, (id_,)).fetchone())
        return found or (None, None)

    def answers(self) -> list[str]:
        """The name of every answer that was given."""

        def job(db: sqlite3.Connection) -> list[str]:
            found = [""]
            # One step of the index a name: DISTINCT would read all of it.
            while step := db.execute(
                "SELECT name FROM answers WHERE name > ? ORDER BY name LIMIT 1", (found[-1],)
            ).fetchone():
                found.append(step[0])
            return found[1:]

        return self.run(job)

    def newest(self) -> dict[str, tuple[int, int]]:
        """Each camera's latest seq, and the latest with a caption (0 where none is)."""

        def job(db: sqlite3.Connection) -> dict[str, tuple[int, int]]:
            found: dict[str, tuple[int, int]] = {}
            camera = ""
            # One step of the index a camera: GROUP BY would read all of it.
            while step := db.execute(
                "SELECT camera FROM observations WHERE camera > ? ORDER BY camera LIMIT 1", (camera,)
            ).fetchone():
                camera = step[0]
                found[camera] = _newest(db, camera)
            return found

        return self.run(job)

    def newest_of(self, cameras: Collection[str]) -> dict[str, tuple[int, int]]:
        return self.run(lambda db: {camera: _newest(db, camera) for camera in cameras})

    def cursors(self) -> dict[str, int]:
        return dict(self.run(lambda db: db.execute("SELECT output, seq FROM cursors").fetchall()))

    def save_cursor(self, output: str, seq: int) -> None:
        self.run(
            lambda db: db.execute(
                "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (output) DO UPDATE SET seq = excluded.seq", (output, seq)
            )
        )

    def known(self, ids: Sequence[str]) -> dict[str, bool]:
        """Which of these observations have a picture, and whether they have the model's as well."""
        sql = f"SELECT id, sent_bytes > 0 FROM observations WHERE id IN ({_marks(ids)}) AND picture IS NOT NULL"  # noqa: S608
        return {id_: bool(sent) for id_, sent in self.run(lambda db: db.execute(sql, ids).fetchall())}

    def older(self, recorded_before: float, limit: int) -> list[Kept]:
        """The oldest of those recorded before then."""
        return self._kept("WHERE recorded < ? ORDER BY recorded, seq", (recorded_before,), limit)

    def oldest(self, limit: int, down_to: int) -> list[Kept]:
        """As many of the oldest as have to go for the rest to take at most ``down_to`` bytes."""
        left, found = self.bytes, []
        for each in self._kept("ORDER BY seq", (), limit):
            if left <= down_to:
                break
            found.append(each)
            left -= each.bytes
        return found

    def named(self, id_: str) -> list[Kept]:
        """The one with this id, for somebody who has it deleted."""
        return [replace(each, by_hand=True) for each in self._kept("WHERE id = ?", (id_,), 1)]

    def numbered(self, seqs: Sequence[int]) -> list[Kept]:
        """Those of these that are there, for somebody who has them deleted."""
        found = self._kept(f"WHERE seq IN ({_marks(seqs)})", seqs, len(seqs))
        return [replace(each, by_hand=True) for each in found]

    def _kept(self, which: str, values: Sequence[object], limit: int) -> list[Kept]:
        sql = f"SELECT {KEPT} FROM observations {which} LIMIT ?"  # noqa: S608
        return [Kept(*row) for row in self.run(lambda db: db.execute(sql, (*values, limit)).fetchall())]

    def delete(self, kept: Sequence[Kept]) -> None:
        freed = sum(each.bytes for each in kept)

        def job(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM observations WHERE seq = ?", [(each.seq,) for each in kept])
            db.execute("UPDATE total SET bytes = bytes - ?", (freed,))
            db.execute("COMMIT")

        self.run(job)
        self.bytes -= freed

    def shrink(self, pages: int = 256) -> bool:
        """Give some of the file's free pages back where many are free; whether there is more to do."""

        def job(db: sqlite3.Connection) -> bool:
            (free,) = db.execute("PRAGMA freelist_count").fetchone()
            (used,) = db.execute("PRAGMA page_count").fetchone()
            if free < max(4 * pages, used // 5):
                return False
            db.executescript(f"PRAGMA incremental_vacuum({pages})")  # execute() would stop after one page
            (left,) = db.execute("PRAGMA freelist_count").fetchone()
            return bool(left < free)

        return self.run(job)


def _newest(db: sqlite3.Connection, camera: str) -> tuple[int, int]:
    (last,) = db.execute("SELECT max(seq) FROM observations WHERE camera = ?", (camera,)).fetchone()
    (good,) = db.execute("SELECT max(seq) FROM observations WHERE camera = ? AND good", (camera,)).fetchone()
    return last or 0, good or 0


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
