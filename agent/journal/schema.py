"""The SQLite file's tables, how an older file comes by them, and the index that captions are searched with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from agent.errors import Misconfigured
from agent.journal import answers

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
    # A row is a kilobyte and more. What observations are found by stands in narrow indexes, newest first from the end.
    """
    ALTER TABLE observations ADD COLUMN sent_bytes INTEGER NOT NULL DEFAULT 0;  -- the model's picture; 0: not kept
    DROP INDEX of_camera;
    CREATE INDEX of_camera ON observations (camera, seq, recorded);
    CREATE INDEX in_order ON observations (seq, camera, recorded);
    CREATE INDEX failed ON observations (seq, camera, recorded) WHERE caption IS NULL;
    CREATE TABLE answers (
        name TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (name, value, seq)
    ) WITHOUT ROWID;
    CREATE INDEX answers_of ON answers (seq);
    CREATE TRIGGER answers_out AFTER DELETE ON observations BEGIN
        DELETE FROM answers WHERE seq = old.seq;
    END;
    """,
)
"""Each brings a file from the version of its index to the next; never changed once released."""

THEN: Mapping[int, Callable[[sqlite3.Connection], None]] = {2: answers.fill}
"""What SQL can't do of the migration to that version, in the same transaction."""

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


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Raises Misconfigured where the file is from a newer version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Misconfigured(
            f"{path} was written by a newer camscribe (journal version {version}, this one knows {len(MIGRATIONS)}). "
            "Upgrade camscribe, or give it another data_dir."
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script}")  # it would commit what is pending: once, at the beginning
        if number in THEN:
            THEN[number](db)
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")


def make_searchable(db: sqlite3.Connection) -> bool:
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
