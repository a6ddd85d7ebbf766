"""A journal whose file is damaged: never a crash, and nothing readable is lost."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

import pytest

from agent.clock import SystemClock
from agent.journal import Filter, Journal
from agent.status import Counters
from agent.values import Answer
from tests.agent.journal.test_migration import first_version
from tests.fakes.observations import JPEG, observation

PAGE = 4096


async def opened(data_dir):
    return await Journal.open(data_dir, clock=SystemClock(), counters=Counters())


async def filled(data_dir, count=400):
    journal = await opened(data_dir)
    for number in range(count):
        await journal.record(observation(caption=f"Look {number}."), JPEG)
    await journal.save_cursor("mqtt", count - 5)
    await journal.close()


def spoil(data_dir, offset, length=PAGE):
    with (data_dir / "journal.sqlite3").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * length)


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_file_that_is_no_journal_is_set_aside(data_dir, caplog, content):
    data_dir.mkdir()
    (data_dir / "journal.sqlite3").write_bytes(content)
    journal = await opened(data_dir)
    await journal.record(observation(), JPEG)
    assert len(await journal.recent(9)) == 1
    await journal.close()
    (aside,) = data_dir.glob("journal.damaged-*.sqlite3")
    assert aside.read_bytes() == content
    assert aside.name in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]


async def test_an_empty_file_is_a_new_journal(data_dir, caplog):
    data_dir.mkdir()
    (data_dir / "journal.sqlite3").write_bytes(b"")
    await (await opened(data_dir)).close()
    assert not caplog.records


async def test_a_damaged_page_costs_only_what_is_on_it(data_dir, caplog):
    await filled(data_dir)
    spoil(data_dir, (data_dir / "journal.sqlite3").stat().st_size // 2 // PAGE * PAGE)
    journal = await opened(data_dir)
    found = [o.caption for o in reversed(await journal.recent(1000))]
    new = await journal.record(observation(caption="New."), JPEG)
    assert [new] == await journal.recent(1)
    assert journal.latest_seq == 401
    assert found[0] == "Look 0."
    assert found[-1] == "Look 399."
    assert found == sorted(found, key=lambda caption: int(caption[5:-1]))
    assert len(found) > 380
    assert journal.cursors == {"mqtt": 395}
    await journal.close()
    journal = await opened(data_dir)  # what was carried over is sound, the search index too
    assert await journal.search("look", 1000)
    assert journal._store.run(lambda _: None) is None
    await journal.close()


async def test_a_truncated_file_does_not_stop_it(data_dir):
    await filled(data_dir)
    file = data_dir / "journal.sqlite3"
    with file.open("r+b") as open_file:
        open_file.truncate(file.stat().st_size // 3)
    journal = await opened(data_dir)
    await journal.record(observation(caption="New."), JPEG)
    assert (await journal.recent(1))[0].caption == "New."
    await journal.close()
    await (await opened(data_dir)).close()


async def test_damage_met_while_running_is_mended_and_numbers_go_on(data_dir):
    journal = await opened(data_dir)
    for number in range(400):
        await journal.record(observation(caption=f"Look {number}."), JPEG)
    # Out of the log and out of the cache, so that it reads the disk.
    await journal._worker.run(
        lambda: journal._store.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    )
    await journal._worker.run(lambda: journal._store.run(lambda db: db.execute("PRAGMA shrink_memory").fetchall()))
    spoil(data_dir, 0, PAGE)
    await journal.record(observation(caption="New."), JPEG)
    assert journal.latest_seq == 401
    assert (await journal.recent(1))[0].caption == "New."
    await journal.close()


async def test_a_journal_moved_away_while_running_is_begun_anew(data_dir):
    journal = await opened(data_dir)
    for _ in range(3):
        await journal.record(observation(), JPEG)
    for file in data_dir.glob("journal.sqlite3*"):
        file.rename(data_dir.parent / file.name)
    recorded = 0
    for _ in range(3):
        try:
            await journal.record(observation(), JPEG)
        except OSError:
            continue
        recorded += 1
    assert recorded >= 2
    assert journal.latest_seq >= 5
    await journal.close()


async def test_answers_and_the_models_pictures_are_carried_over(data_dir):
    journal = await opened(data_dir)
    for number in range(400):
        await journal.record(observation(answers={"even": Answer(value=number % 2 == 0)}), JPEG, b"sent")
    each = journal.bytes // 400
    await journal.close()
    spoil(data_dir, (data_dir / "journal.sqlite3").stat().st_size // 2 // PAGE * PAGE, 6 * PAGE)
    journal = await opened(data_dir)
    left = await journal.recent(1000)
    assert list(data_dir.glob("journal.damaged-*"))
    even = [seen for _, seen in await journal.find(Filter(answers=(("even", "yes"),)), None, 1000)]
    assert even == [seen for seen in left if seen.answers["even"].value]
    assert len(even) > 150
    assert await journal.sent(left[0]) == await journal.sent(left[-1]) == b"sent"
    await journal.record(observation(answers={"even": Answer(value=False)}), JPEG, b"sent")
    assert journal.bytes == pytest.approx(each * (len(left) + 1), rel=0.01)
    assert await journal.remove_oldest(1000, down_to=0) == len(left) + 1
    assert journal.bytes == 0
    await journal.close()


async def test_a_file_of_version_1_that_is_damaged_is_carried_over_as_well(data_dir):
    made = first_version(data_dir, 2000)
    with closing(sqlite3.connect(data_dir / "journal.sqlite3")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    spoil(data_dir, (data_dir / "journal.sqlite3").stat().st_size // 2 // PAGE * PAGE)
    journal = await opened(data_dir)
    left = await journal.recent(5000)
    assert len(left) > 1900
    assert (left[0], left[-1]) == (made[-1], made[0])
    assert journal.latest_seq == 2000
    assert list(data_dir.glob("journal.damaged-*")), "the migration met it"
    even = [seen for _, seen in await journal.find(Filter(answers=(("person", "yes"),)), None, 5000)]
    assert even == [seen for seen in left if seen.answers["person"].value]
    await journal.close()
