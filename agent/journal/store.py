"""The SQLite file: its schema and every statement that is run on it. All on the journal's thread."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from agent.errors import Misconfigured
from agent.journal import salvage

T = TypeVar("T")

log = logging.getLogger("camscribe.journal")

MIGRATIONS = (
    """
    CREATE TABLE observations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused, or a cursor would skip what comes after
        id TEXT NOT NULL UNIQUE,
        camera TEXT NOT NULL,
        good INTEGER NOT NULL,                  -- it has a caption, by the camera's own prompt
        recorded REAL NOT NULL,                 -- Unix time
        monotonic REAL NOT NULL,                -- means something to the process that wrote it only
        caption TEXT,
        picture TEXT,                           -- its path in the picture folder
        picture_bytes INTEGER NOT NULL,
        bytes INTEGER NOT NULL,                 -- what row and picture take on the disk
        json TEXT NOT NULL
    );
    CREATE INDEX of_camera ON observations (camera, seq);
    CREATE INDEX good_of_camera ON observations (camera, seq) WHERE good;
    CREATE INDEX by_age ON observations (recorded);
    CREATE TABLE cursors (output TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE total (bytes INTEGER NOT NULL);
    INSERT INTO total VALUES (0);
    """,
)
"""Each brings a file from the version of its index to the next; never changed once released."""

SEARCH = (
    "CREATE VIRTUAL TABLE captions USING fts5(caption, content=observations, content_rowid=seq)",
    """CREATE TRIGGER caption_in AFTER INSERT ON observations WHEN new.caption IS NOT NULL BEGIN
        INSERT INTO captions(rowid, caption) VALUES (new.seq, new.caption);
    END""",
    """CREATE TRIGGER caption_out AFTER DELETE ON observations WHEN old.caption IS NOT NULL BEGIN
        INSERT INTO captions(captions, rowid, caption) VALUES ('delete', old.seq, old.caption);
    END""",
    "INSERT INTO captions(captions) VALUES ('rebuild')",
)

ROW_OVERHEAD = 400
"""Bytes a row takes beside its JSON: keys, three indexes, the caption twice more."""

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
    json: str

    @property
    def bytes(self) -> int:
        return self.picture_bytes + len(self.json.encode()) + ROW_OVERHEAD


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as retention sees it."""

    seq: int
    camera: str
    picture: str | None
    bytes: int


ROW = "seq, camera, good, recorded, monotonic, picture, picture_bytes, json"


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
            _migrate(db, self.path)
            self.searchable = _make_searchable(db)
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
                " (id, camera, good, recorded, monotonic, caption, picture, picture_bytes, bytes, json)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
                (
                    new.id,
                    new.camera,
                    new.good,
                    new.recorded,
                    new.monotonic,
                    new.caption,
                    new.picture,
                    new.picture_bytes,
                    new.bytes,
                    new.json,
                ),
            ).fetchone()
            db.execute("UPDATE total SET bytes = bytes + ?", (new.bytes,))
            db.execute("COMMIT")
            return int(seq)

        self.latest = self.run(job)
        self.bytes += new.bytes
        return self.latest

    def rows(self, where: str, values: Sequence[object], order: str, limit: int) -> list[Row]:
        """``where`` and ``order`` are ours, never a user's text."""
        query = f"SELECT {ROW} FROM observations WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608
        found = self.run(lambda db: db.execute(query, (*values, limit)).fetchall())
        return [Row(*row) for row in found]

    def search(self, words: Sequence[str], limit: int) -> list[Row]:
        if self.searchable:
            phrase = " ".join('"' + word.replace('"', '""') + '"*' for word in words)
            return self.rows("seq IN (SELECT rowid FROM captions WHERE captions MATCH ?)", (phrase,), "seq DESC", limit)
        likes = " AND ".join("caption LIKE ? ESCAPE '!'" for _ in words)
        return self.rows(likes, [f"%{_escaped(word)}%" for word in words], "seq DESC", limit)

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
                (last,) = db.execute("SELECT max(seq) FROM observations WHERE camera = ?", (camera,)).fetchone()
                (good,) = db.execute(
                    "SELECT max(seq) FROM observations WHERE camera = ? AND good", (camera,)
                ).fetchone()
                found[camera] = (last, good or 0)
            return found

        return self.run(job)

    def cursors(self) -> dict[str, int]:
        return dict(self.run(lambda db: db.execute("SELECT output, seq FROM cursors").fetchall()))

    def save_cursor(self, output: str, seq: int) -> None:
        self.run(
            lambda db: db.execute(
                "INSERT INTO cursors VALUES (?, ?) ON CONFLICT (output) DO UPDATE SET seq = excluded.seq", (output, seq)
            )
        )

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these observations there are."""
        marks = ",".join("?" * len(ids))
        query = f"SELECT id FROM observations WHERE id IN ({marks}) AND picture IS NOT NULL"  # noqa: S608
        return {id_ for (id_,) in self.run(lambda db: db.execute(query, ids).fetchall())}

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

    def _kept(self, which: str, values: Sequence[object], limit: int) -> list[Kept]:
        query = f"SELECT seq, camera, picture, bytes FROM observations {which} LIMIT ?"  # noqa: S608
        return [Kept(*row) for row in self.run(lambda db: db.execute(query, (*values, limit)).fetchall())]

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


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Misconfigured(
            f"{path} was written by a newer camscribe (journal version {version}, this one knows {len(MIGRATIONS)}). "
            "Upgrade camscribe, or give it another data_dir."
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def _make_searchable(db: sqlite3.Connection) -> bool:
    """Index the captions; without FTS5 in this SQLite, see to it that nothing calls for it."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'caption%'")}
    try:
        with closing(sqlite3.connect(":memory:")) as trial:
            trial.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
    except sqlite3.OperationalError:
        db.execute("DROP TRIGGER IF EXISTS caption_in")
        db.execute("DROP TRIGGER IF EXISTS caption_out")
        return False
    if {"captions", "caption_in", "caption_out"} <= there:
        return True
    db.execute("BEGIN IMMEDIATE")
    for statement in SEARCH:
        if statement.split()[2 if "VIRTUAL" not in statement else 3] not in there:
            db.execute(statement)
    db.execute("COMMIT")
    return True


def _escaped(word: str) -> str:
    for special in "!%_":
        word = word.replace(special, "!" + special)
    return word
