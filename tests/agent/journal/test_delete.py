"""Deleted by hand: with its pictures, in small portions, and whoever has not read it yet is told."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import pytest

from agent.clock import SystemClock
from agent.journal import DELETED, Filter
from agent.journal.reader import Reader
from agent.values import Answer
from tests.fakes.observations import JPEG, observation


@pytest.fixture
def reader(journal, counters):
    def made(name="mqtt", cameras=None, backlog="all"):
        return Reader(
            journal,
            name,
            cameras=cameras,
            backlog=backlog,
            expire=float("inf"),
            clock=SystemClock(),
            counters=counters,
            log=logging.getLogger("test"),
        )

    return made


def tables(journal):
    def job(db):
        names = ("observations", "answers", "captions", "captions_docsize")
        return [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names]

    return journal._worker.run(lambda: journal._store.run(job))


def files(data_dir):
    return sorted(path.name for path in (data_dir / "pictures").rglob("*") if path.is_file())


async def test_one_goes_with_all_that_belongs_to_it(journal, counters, data_dir):
    gone = await journal.record(observation(answers={"person": Answer(value=True)}), JPEG, JPEG)
    size = journal.bytes
    kept = await journal.record(observation(answers={"person": Answer(value=True)}), JPEG, JPEG)
    assert await journal.delete(gone.id)
    assert not await journal.delete(gone.id)
    assert await journal.get(gone.id) is None
    assert await journal.picture(gone) is None
    assert await journal.sent(gone) is None
    assert [seen for _, seen in await journal.find(Filter(text="red", answers=(("person", "yes"),)), None, 9)] == [kept]
    assert files(data_dir) == [f"{kept.id}.jpg", f"{kept.id}.sent.jpg"]
    assert await tables(journal) == [1, 1, 1, 1]
    assert journal.bytes == size
    assert counters.value("removed_total", reason="by hand") == 1


async def test_those_that_match_go_and_what_comes_meanwhile_stays(journal, monkeypatch):
    monkeypatch.setattr("agent.journal.SEQS", 120)
    for number in range(300):
        await journal.record(observation(caption=f"A red car {number % 3}."), None)
    deleting = asyncio.create_task(journal.delete_matching(Filter(text="red 1")))
    late = []
    while not deleting.done():
        late.append(await journal.record(observation(caption="A red car 1."), None))
    assert await deleting == 100
    left = [seen for _, seen in await journal.find(Filter(text="red 1"), None, 1000)]
    assert left == late[::-1]
    assert len(await journal.recent(1000)) == 200 + len(late)
    assert await journal.delete_matching(Filter(cameras=("nobody",))) == 0


async def test_a_record_waits_for_one_portion_at_most(journal):
    for _ in range(1000):
        await journal.record(observation(), JPEG)
    deleting = asyncio.create_task(journal.delete_matching(Filter(cameras=("door",))))
    during = 0
    while not deleting.done():
        await journal.record(observation("yard"), None)
        during += not deleting.done()
    assert await deleting == 1000
    assert during >= 15  # one between any two of the twenty portions


async def test_cancelled_it_stops_and_what_is_gone_is_counted(journal, counters):
    for _ in range(500):
        await journal.record(observation(), None)
    deleting = asyncio.create_task(journal.delete_matching(Filter(cameras=("door",))))
    while len(await journal.recent(1000)) == 500:
        pass
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    left = len(await journal.recent(1000))
    assert 0 < left < 500
    counted = counters.value("removed_total", reason="by hand")
    assert 500 - left - DELETED <= counted <= 500 - left


async def test_outputs_that_are_behind_are_told(journal, counters, reader, caplog):
    behind, yard_only, done = reader("behind"), reader("yard", ["yard"]), reader("done")
    for camera in ("door", "yard", "door", "door"):
        await journal.record(observation(camera), JPEG)
    for _ in range(4):
        await done.next()
        done.settle()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert await journal.delete_matching(Filter(cameras=("door",))) == 3
    assert counters.value("dropped_total", reason="deleted", output="behind") == 3
    assert counters.value("dropped_total", output="yard") == counters.value("dropped_total", output="done") == 0
    assert counters.value("dropped_total", reason="retention") == 0
    assert [record.levelname for record in caplog.records] == ["INFO"], "it was asked for"
    assert (await behind.next()).seq == (await yard_only.next()).seq == 2
    last = await journal.record(observation("door"), JPEG)
    behind.settle()
    assert (await behind.next()).observation == last


async def test_what_an_output_has_in_hand_is_delivered_without_its_picture(journal, reader):
    behind = reader()
    made = [await journal.record(observation(), JPEG) for _ in range(3)]
    assert (await behind.next()).picture == JPEG
    await journal.delete(made[1].id)
    behind.settle()
    second = await behind.next()
    assert (second.observation, second.picture) == (made[1], None)
    behind.settle()
    assert (await behind.next()).picture == JPEG


async def test_the_newest_that_is_left_is_the_newest(journal, reader):
    latest = reader(backlog="latest")
    made = [await journal.record(observation(caption=f"Look {n}."), JPEG) for n in range(4)]
    await journal.delete(made[3].id)
    assert journal.newest("door", good=True) == journal.newest("door", good=False) == 3
    latest.catch_up()
    delivery = await latest.next()
    assert (delivery.seq, delivery.newest) == (3, True)
    assert await journal.last_good("door") == made[2]
    assert await journal.delete_matching(Filter(cameras=("door",))) == 3
    assert journal.newest("door", good=False) == 0
    assert await journal.last_good("door") is None
    assert journal.latest_seq == 4
    again = await journal.record(observation(), JPEG)
    assert (journal.newest("door", good=True), await journal.last_good("door")) == (5, again)


async def test_on_a_full_disk_the_pictures_make_the_room(journal, monkeypatch):
    made = await journal.record(observation(), JPEG, JPEG)
    path = journal.data_dir / "pictures" / made.picture.path
    delete = journal._store.delete

    def where_there_is_room(kept):
        if path.exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        delete(kept)

    monkeypatch.setattr(journal._store, "delete", where_there_is_room)
    assert await journal.delete(made.id)
    assert files(journal.data_dir) == []
