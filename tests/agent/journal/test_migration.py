"""A journal of an earlier camscribe: brought to this version with all that is in it, or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from agent.clock import SystemClock
from agent.journal import Filter, Journal, schema
from agent.status import Counters
from agent.values import Answer
from tests.fakes.observations import JPEG, observation

FIRST = schema.MIGRATIONS[0]
ADD = (
    "INSERT INTO observations (id, camera, good, recorded, monotonic, caption, picture, picture_bytes, bytes, json)"
    " VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?)"
)


def seen(number):
    answers = {"person": Answer(value=number % 2 == 0), "count": Answer(value=number), "odd": Answer(value=None)}
    return observation(caption=f"Look {number}.", answers=answers)


def first_version(data_dir, count=2500):
    """As that version wrote it."""
    made = [seen(number) for number in range(count)]
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "journal.sqlite3")) as db, db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(FIRST)
        for number, each in enumerate(made):
            path = f"2026/11/22/{each.id}.jpg"
            size = 900 + len(JPEG)
            told = each.model_dump_json()
            db.execute(ADD, (each.id, each.camera, True, number, each.caption, path, len(JPEG), size, told))
            db.execute("UPDATE total SET bytes = bytes + ?", (size,))
        db.execute("INSERT INTO cursors VALUES ('mqtt', ?)", (count - 3,))
        for statement in schema.SEARCH:
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
    folder = data_dir / "pictures/2026/11/22"
    folder.mkdir(parents=True)
    for each in made:
        (folder / f"{each.id}.jpg").write_bytes(JPEG)
    return made


async def opened(data_dir):
    return await Journal.open(data_dir, clock=SystemClock(), counters=Counters())


def version(data_dir):
    with closing(sqlite3.connect(data_dir / "journal.sqlite3")) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


async def test_what_is_in_a_file_of_version_1_can_be_found(data_dir):
    made = first_version(data_dir)
    journal = await opened(data_dir)
    assert (journal.latest_seq, journal.cursors) == (2500, {"mqtt": 2497})
    assert journal.bytes == 2500 * (900 + len(JPEG))
    assert await journal.recent(3) == made[:-4:-1]
    even = await journal.find(Filter(answers=(("person", "yes"),)), None, 5000)
    assert [found for _, found in even] == made[-2::-2]
    assert [found for _, found in await journal.find(Filter(answers=(("count", "2077"),)), None, 9)] == [made[2077]]
    assert await journal.answers() == ["count", "person"]
    assert len(await journal.find(Filter(text="look"), None, 5000)) == 2500
    assert sum(count for _, count in await journal.days(Filter())) == 2500
    assert await journal.picture(made[7]) == JPEG
    assert await journal.sent(made[7]) is None
    new = await journal.record(seen(2), JPEG, b"sent")
    assert await journal.sent(new) == b"sent"
    await journal.close()
    assert version(data_dir) == len(schema.MIGRATIONS)


async def test_its_rows_are_removed_with_all_that_belongs_to_them(data_dir):
    first_version(data_dir, 60)
    journal = await opened(data_dir)
    assert await journal.delete_matching(Filter(answers=(("person", "yes"),))) == 30
    assert await journal.remove_oldest(99, down_to=0) == 30
    assert journal.bytes == 0
    left = await journal._worker.run(
        lambda: journal._store.run(lambda db: db.execute("SELECT count(*) FROM answers").fetchone())
    )
    assert left == (0,)
    assert not list((data_dir / "pictures").rglob("*.jpg"))
    await journal.close()


async def test_a_migration_that_breaks_off_has_not_begun(data_dir, monkeypatch):
    made = first_version(data_dir, 20)

    def power_cut(db):
        raise RuntimeError("power cut")

    monkeypatch.setattr(schema, "THEN", {2: power_cut})
    with pytest.raises(RuntimeError, match="power cut"):
        await opened(data_dir)
    assert version(data_dir) == 1
    monkeypatch.undo()
    journal = await opened(data_dir)
    assert await journal.recent(1) == [made[-1]]
    assert len(await journal.find(Filter(answers=(("person", "no"),)), None, 99)) == 10
    await journal.close()


async def test_rows_that_cant_be_understood_are_carried_along(data_dir):
    made = first_version(data_dir, 5)
    with closing(sqlite3.connect(data_dir / "journal.sqlite3")) as db, db:
        for seq, json in ((1, "{}"), (2, "no json"), (3, '{"answers": [1]}'), (4, '{"answers": {"a": 3}}')):
            db.execute("UPDATE observations SET json = ? WHERE seq = ?", (json, seq))
    journal = await opened(data_dir)
    assert [found for _, found in await journal.find(Filter(answers=(("person", "yes"),)), None, 9)] == [made[4]]
    assert sum(count for _, count in await journal.days(Filter())) == 5
    await journal.close()
