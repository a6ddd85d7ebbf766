from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading

import pytest

from agent.clock import SystemClock
from agent.errors import Misconfigured
from agent.journal import Journal, schema
from agent.status import Counters
from tests.fakes.observations import JPEG, observation


async def opened(data_dir):
    return await Journal.open(data_dir, clock=SystemClock(), counters=Counters())


def rows(data_dir, query="SELECT seq, id FROM observations ORDER BY seq"):
    db = sqlite3.connect(f"file:{data_dir}/journal.sqlite3?mode=ro", uri=True)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


async def test_record_is_committed_before_it_returns(journal, data_dir):
    recorded = await journal.record(observation(), JPEG)
    assert rows(data_dir) == [(1, recorded.id)]  # seen by another connection


async def test_record_gives_back_what_was_written(journal, data_dir):
    asked = observation("door", "A red car.")
    recorded = await journal.record(asked, JPEG)
    assert recorded.picture.path == f"2026/11/22/{asked.id}.jpg"
    assert (data_dir / "pictures" / recorded.picture.path).read_bytes() == JPEG
    assert recorded == (await journal.recent(1))[0] == await journal.get(asked.id) == await journal.last_good("door")
    assert await journal.picture(recorded) == JPEG
    assert recorded.model_copy(update={"picture": asked.picture}) == asked


async def test_only_its_user_can_read_it(journal, data_dir):
    recorded = await journal.record(observation(), JPEG)
    picture = data_dir / "pictures" / recorded.picture.path
    for folder in (data_dir, data_dir / "pictures"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in data_dir.glob("journal.sqlite3*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert picture.exists()


async def test_recent_is_newest_first_and_by_camera(journal):
    made = [await journal.record(observation(camera, f"Look {n}."), JPEG) for n, camera in enumerate("abab")]
    assert await journal.recent(3) == made[:0:-1]
    assert await journal.recent(9, "a") == [made[2], made[0]]
    assert await journal.recent(9, "c") == []


async def test_last_good_passes_over_failed_looks(journal):
    good = await journal.record(observation("door"), JPEG)
    failed = await journal.record(observation("door", None), None)
    assert failed.picture is None
    assert await journal.last_good("door") == good
    assert await journal.last_good("yard") is None


async def test_search_finds_words_by_their_beginning(journal):
    for caption in ("A red car stands there.", "Two people walk.", 'A 100% red-ish person\'s "dog".'):
        await journal.record(observation(caption=caption), JPEG)
    for fts in (True, False):
        journal._store.searchable = fts
        assert [o.caption[:5] for o in await journal.search("red", 9)] == ["A 100", "A red"]
        assert [o.caption[:5] for o in await journal.search("peop wal", 9)] == ["Two p"]
        assert await journal.search("   ", 9) == []
        assert await journal.search("zebra", 9) == []
    for nasty in ('"', "a OR", "NEAR(", "%", "_", "*", "caption:x", "'; DROP TABLE observations"):
        await journal.search(nasty, 9)
    assert len(await journal.recent(9)) == 3


async def test_without_fts5_everything_else_works(data_dir):
    journal = await opened(data_dir)
    await journal.record(observation(caption="A red car."), JPEG)
    await journal.close()
    # As another SQLite would leave it: no triggers, and rows that the index does not know.
    db = sqlite3.connect(data_dir / "journal.sqlite3")
    db.executescript(
        "DROP TRIGGER caption_in; DROP TRIGGER caption_out; UPDATE observations SET caption = 'A blue van.';"
    )
    db.close()
    journal = await opened(data_dir)
    assert [o.caption for o in await journal.search("van", 9)] == ["A red car."]  # found by the column
    await journal.record(observation(caption="A blue bus."), JPEG)
    assert len(await journal.search("blue", 9)) == 2
    await journal.close()


async def test_records_at_once_are_all_written_in_one_order(journal, data_dir):
    made = await asyncio.gather(*(journal.record(observation(f"cam{n % 7}"), JPEG) for n in range(300)))
    written = rows(data_dir)
    assert [seq for seq, _ in written] == list(range(1, 301))
    assert {id_ for _, id_ in written} == {o.id for o in made}
    assert journal.latest_seq == 300


async def test_all_of_sqlite_happens_on_one_thread_of_its_own(journal):
    seen = {await journal._worker.run(threading.get_ident) for _ in range(3)}
    assert len(seen) == 1
    assert seen != {threading.get_ident()}


async def test_a_cancelled_record_is_told_if_it_was_written(journal):
    gate = threading.Event()
    blocker = asyncio.create_task(journal._worker.run(gate.wait))
    written = asyncio.create_task(journal.record(observation(), JPEG))
    await asyncio.sleep(0)
    written.cancel()
    with pytest.raises(asyncio.CancelledError):
        await written
    gate.set()
    await blocker
    await journal.recent(1)
    assert journal.latest_seq == len(await journal.recent(9))


async def test_a_number_is_never_given_twice(data_dir):
    journal = await opened(data_dir)
    for _ in range(3):
        await journal.record(observation(), JPEG)
    assert await journal.remove_oldest(10, down_to=0) == 3
    await journal.close()
    journal = await opened(data_dir)
    assert (journal.latest_seq, journal.bytes) == (3, 0)
    await journal.record(observation(), JPEG)
    assert journal.latest_seq == 4
    await journal.close()


async def test_what_it_takes_on_the_disk_is_known(journal, data_dir):
    picture = bytes(20_000)
    for _ in range(300):
        await journal.record(
            observation(caption="A person in a red jacket stands at the door.", prompt="x" * 80), picture
        )
    counted = journal.bytes
    await journal.close()
    on_disk = sum(path.stat().st_size for path in data_dir.rglob("*") if path.is_file())
    assert 0.85 < counted / on_disk < 1.15
    rows_alone = (counted - 300 * 20_000) / (data_dir / "journal.sqlite3").stat().st_size
    assert 0.5 < rows_alone < 1.5


async def test_a_closed_journal_says_so(data_dir):
    journal = await opened(data_dir)
    await journal.close()
    with pytest.raises(RuntimeError, match="closed"):
        await journal.record(observation(), None)


async def test_a_data_dir_that_is_a_file_is_said(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(Misconfigured, match=r"data can't be used .* folder"):
        await opened(tmp_path / "data")


async def test_a_journal_of_a_newer_camscribe_is_left_alone(data_dir):
    await (await opened(data_dir)).close()
    db = sqlite3.connect(data_dir / "journal.sqlite3")
    db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(Misconfigured, match="newer camscribe"):
        await opened(data_dir)
    with pytest.raises(Misconfigured, match="newer camscribe"):  # and the lock was let go
        await opened(data_dir)


async def test_a_row_that_cant_be_understood_is_left_out(journal, data_dir, caplog):
    await journal.record(observation(caption="First."), JPEG)
    await journal.record(observation(caption="Second."), JPEG)
    db = sqlite3.connect(data_dir / "journal.sqlite3")
    with db:
        db.execute("UPDATE observations SET json = '{}' WHERE seq = 1")
    db.close()
    assert [o.caption for o in await journal.recent(9)] == ["Second."]
    assert "seq 1" in caplog.text


async def test_a_picture_cut_short_counts_as_gone(journal, data_dir):
    recorded = await journal.record(observation(), JPEG)
    (data_dir / "pictures" / recorded.picture.path).write_bytes(JPEG[:100])
    assert await journal.picture(recorded) is None
    (data_dir / "pictures" / recorded.picture.path).unlink()
    assert await journal.picture(recorded) is None
