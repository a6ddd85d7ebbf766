"""The picture the model got, kept beside the one people see: for debugging only, counted and removed with the other."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest

from agent.clock import SystemClock
from agent.journal import Journal
from agent.journal.pictures import Pictures
from agent.journal.reader import Reader
from agent.journal.retention import Retention
from agent.status import Counters
from tests.agent.journal.test_retention import Keep
from tests.fakes.observations import JPEG, observation

SENT = b"\xff\xd8 what the model got \xff\xd9" * 50


async def opened(data_dir):
    return await Journal.open(data_dir, clock=SystemClock(), counters=Counters())


def files(data_dir):
    return sorted(path.name for path in (data_dir / "pictures").rglob("*") if path.is_file())


async def test_it_lies_beside_the_other(journal, data_dir):
    recorded = await journal.record(observation(), JPEG, SENT)
    assert files(data_dir) == [f"{recorded.id}.jpg", f"{recorded.id}.sent.jpg"]
    assert await journal.sent(recorded) == SENT
    assert await journal.picture(recorded) == JPEG
    assert recorded.picture.path.endswith(f"{recorded.id}.jpg")
    assert ".sent" not in recorded.model_dump_json()


async def test_no_output_is_given_it(journal, counters):
    reader = Reader(
        journal,
        "mqtt",
        cameras=None,
        backlog="all",
        expire=float("inf"),
        clock=SystemClock(),
        counters=counters,
        log=logging.getLogger("test"),
    )
    await journal.record(observation(), JPEG, SENT)
    await journal.record(observation(), None, SENT)  # without the other there is none
    assert [(await reader.next()).picture, reader.settle(), (await reader.next()).picture] == [JPEG, None, None]


async def test_it_is_there_after_a_restart(data_dir):
    journal = await opened(data_dir)
    recorded = await journal.record(observation(), JPEG, SENT)
    await journal.close()
    journal = await opened(data_dir)
    assert await journal.sent(recorded) == SENT
    await journal.close()


async def test_what_was_cut_short_or_is_gone_counts_as_gone(journal, data_dir):
    recorded = await journal.record(observation(), JPEG, SENT)
    path = data_dir / "pictures" / recorded.picture.path.replace(".jpg", ".sent.jpg")
    path.write_bytes(SENT[:100])
    assert await journal.sent(recorded) is None
    path.unlink()
    assert await journal.sent(recorded) is None
    assert await journal.picture(recorded) == JPEG
    assert await journal.sent(observation()) is None


async def test_without_one_there_is_none(journal, data_dir):
    recorded = await journal.record(observation(), JPEG)
    assert await journal.sent(recorded) is None
    failed = await journal.record(observation(caption=None), None, SENT)
    assert await journal.sent(failed) is None
    assert files(data_dir) == [f"{recorded.id}.jpg"]


async def test_its_bytes_count(journal, counters, data_dir):
    await journal.record(observation(), JPEG)
    without = journal.bytes
    await journal.record(observation(), JPEG, bytes(100_000))
    assert journal.bytes - 2 * without == 100_000
    for _ in range(8):
        await journal.record(observation(), JPEG, bytes(100_000))
    retention = Retention(journal, Keep(size=500_000), SystemClock(), counters)
    assert await retention.sweep() >= 5
    left = len(await journal.recent(20))
    assert left == 4
    assert len(files(data_dir)) == 2 * left
    on_disk = sum(path.stat().st_size for path in (data_dir / "pictures").rglob("*.jpg"))
    assert on_disk < journal.bytes <= 500_000
    assert await journal.remove_oldest(99, down_to=0) == left
    assert (files(data_dir), journal.bytes) == ([], 0)
    await journal.close()
    journal = await opened(data_dir)
    assert journal.bytes == 0
    await journal.close()


async def test_orphans_of_it_go(journal, counters, data_dir):
    kept = await journal.record(observation(), JPEG, SENT)
    without = await journal.record(observation(), JPEG)
    day = data_dir / "pictures/2026/11/22"
    for name in ("019a0000-0000-7000-8000-000000000001.sent.jpg", f"{without.id}.sent.jpg", f"{kept.id}.sent.part"):
        (day / name).write_bytes(SENT)
    assert await Retention(journal, Keep(), SystemClock(), counters).sweep_orphans() == 3
    assert files(data_dir) == sorted([f"{kept.id}.jpg", f"{kept.id}.sent.jpg", f"{without.id}.jpg"])


async def test_where_there_is_no_room_for_it_only_it_is_left_out(journal, counters, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    write = Pictures.write_sent

    def no_room(self, shown, jpeg):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Pictures, "write_sent", no_room)
    for _ in range(2):
        recorded = await journal.record(observation(), JPEG, SENT)
        assert await journal.picture(recorded) == JPEG
        assert await journal.sent(recorded) is None
    assert counters.value("sent_pictures_dropped_total", reason="journal", camera="door") == 2
    assert counters.value("pictures_dropped_total") == counters.value("dropped_total") == 0
    assert "is full" in journal.outage.reason
    monkeypatch.setattr(Pictures, "write_sent", write)
    recorded = await journal.record(observation(), JPEG, SENT)
    assert await journal.sent(recorded) == SENT
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"], "said once when it began and ended"


async def test_a_row_that_cant_be_written_leaves_no_picture(journal, data_dir, monkeypatch):
    def refuse(new):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(journal._store, "insert", refuse)
    with pytest.raises(OSError, match="Input/output"):
        await journal.record(observation(), JPEG, SENT)
    assert await asyncio.to_thread(files, data_dir) == []
