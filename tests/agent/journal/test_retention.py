from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

import pytest

from agent.clock import SystemClock
from agent.journal import Journal
from agent.journal.reader import Reader
from agent.journal.retention import DAY, HOUR, Retention
from tests.fakes.clock import START, FakeClock
from tests.fakes.observations import JPEG, observation
from tests.fakes.waiting import eventually


@dataclass(frozen=True)
class Keep:
    days: float | None = None
    size: int | None = None


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def journal(data_dir, clock, counters):
    journal = await Journal.open(data_dir, clock=clock, counters=counters)
    yield journal
    await journal.close()


async def record(journal, count, camera="door", jpeg=JPEG):
    return [await journal.record(observation(camera, f"Look {n}."), jpeg) for n in range(count)]


async def captions(journal):
    return [o.caption for o in reversed(await journal.recent(10_000))]


def pictures(data_dir):
    return {path.stem for path in (data_dir / "pictures").rglob("*.jpg")}


def reader(journal, clock, counters, name="mqtt", cameras=None):
    return Reader(
        journal,
        name,
        cameras=cameras,
        backlog="all",
        expire=float("inf"),
        clock=clock,
        counters=counters,
        log=logging.getLogger("test"),
    )


async def test_old_ones_go_with_their_pictures(journal, clock, counters, data_dir):
    await record(journal, 120)
    await clock.advance(10 * DAY)
    young = await record(journal, 2)
    await clock.advance(5 * DAY)
    assert await Retention(journal, Keep(days=14), clock, counters).sweep() == 120
    assert await captions(journal) == ["Look 0.", "Look 1."]
    assert pictures(data_dir) == {o.id for o in young}
    assert counters.value("removed_total", reason="age") == 120


async def test_a_day_s_folder_goes_with_its_last_picture(journal, clock, counters, data_dir):
    await journal.record(observation(taken_at=START), JPEG)
    await journal.record(observation(taken_at=START + timedelta(days=1)), JPEG)
    await Retention(journal, Keep(size=int(journal.bytes * 0.9)), clock, counters).sweep()
    assert [str(p.relative_to(data_dir)) for p in (data_dir / "pictures").glob("*/*/*")] == ["pictures/2026/11/23"]


async def test_the_oldest_go_until_it_is_small_enough(journal, clock, counters, data_dir):
    await record(journal, 200)
    each = journal.bytes // 200
    removed = await Retention(journal, Keep(size=each * 100), clock, counters).sweep()
    assert removed == pytest.approx(102, abs=2)
    assert (await captions(journal))[0] == f"Look {removed}."
    assert len(pictures(data_dir)) == 200 - removed
    assert journal.bytes <= each * 100
    assert await Retention(journal, Keep(size=each * 100), clock, counters).sweep() == 0


async def test_it_sweeps_by_itself_when_it_outgrows_its_size(journal, clock, counters):
    await record(journal, 50)
    limit = journal.bytes
    running = asyncio.create_task(Retention(journal, Keep(size=limit), clock, counters).run())
    for _ in range(5):
        await record(journal, 30)
        await eventually(lambda: journal.bytes <= limit)
    running.cancel()
    assert await captions(journal)


async def test_it_sweeps_by_age_every_hour(journal, clock, counters):
    running = asyncio.create_task(Retention(journal, Keep(days=1), clock, counters).run())
    await record(journal, 3)
    await eventually(lambda: clock.sleepers == 2)
    for _ in range(26):
        await clock.advance(HOUR)
        await eventually(lambda: clock.sleepers == 2)
    assert await captions(journal) == []
    running.cancel()


async def test_it_waits_for_no_output_and_counts_what_each_loses(journal, clock, counters, caplog):
    slow = reader(journal, clock, counters, "slow")
    yard_only = reader(journal, clock, counters, "yard", ["yard"])
    done = reader(journal, clock, counters, "done")
    for camera in ("door", "yard", "door", "door"):
        await record(journal, 1, camera)
    for _ in range(4):
        await done.next()
        done.settle()
    await clock.advance(2 * DAY)
    await Retention(journal, Keep(days=1), clock, counters).sweep()
    assert counters.value("dropped_total", reason="retention", output="slow") == 4
    assert counters.value("dropped_total", reason="retention", output="yard") == 1
    assert counters.value("dropped_total", reason="retention", output="done") == 0
    assert "4 observations" in caplog.text
    await record(journal, 1)
    for each in (slow, yard_only):
        assert [row.seq for row in await journal.read(each.fetched, 9)] == [5]


async def test_pictures_without_a_row_and_unfinished_files_go(data_dir, counters):
    journal = await Journal.open(data_dir, clock=SystemClock(), counters=counters)
    kept = await record(journal, 450)
    day = data_dir / "pictures/2026/11/22"
    (day / "019a0000-0000-7000-8000-000000000001.jpg").write_bytes(JPEG)
    (day / f"{kept[0].id}.part").write_bytes(JPEG[:9])
    empty = data_dir / "pictures/2025/01/02"
    empty.mkdir(parents=True)
    retention = Retention(journal, Keep(), SystemClock(), counters)
    assert await retention.sweep_orphans() == 2
    assert pictures(data_dir) == {o.id for o in kept}
    assert not list(day.glob("*.part"))
    assert not (data_dir / "pictures/2025").exists()
    assert await retention.sweep_orphans() == 0
    await journal.close()


async def test_orphans_are_swept_at_the_start(journal, clock, counters, data_dir):
    orphan = data_dir / "pictures/2026/11/22/gone.jpg"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(JPEG)
    running = asyncio.create_task(Retention(journal, Keep(), clock, counters).run())
    await eventually(lambda: not orphan.exists())
    running.cancel()


async def test_a_wall_clock_that_jumps_ahead_is_not_believed_at_once(journal, clock, counters):
    retention = Retention(journal, Keep(days=14), clock, counters)
    await record(journal, 3)
    clock.jump(400 * DAY)
    for _ in range(20):
        assert await retention.sweep() == 0
        await clock.advance(HOUR)
    clock.jump(-400 * DAY)
    await clock.advance(2 * DAY)
    assert await retention.sweep() == 0


async def test_a_wall_clock_that_stays_ahead_is_believed_after_a_day(journal, clock, counters):
    retention = Retention(journal, Keep(days=14), clock, counters)
    await record(journal, 3)
    clock.jump(400 * DAY)
    for _ in range(26):
        await retention.sweep()
        await clock.advance(HOUR)
    assert await captions(journal) == []


async def test_a_record_waits_for_one_batch_of_a_sweep_at_most(journal, clock, counters):
    await record(journal, 1000)
    await clock.advance(2 * DAY)
    sweep = asyncio.create_task(Retention(journal, Keep(days=1), clock, counters).sweep())
    during = 0
    while not sweep.done():
        await journal.record(observation(caption="New."), JPEG)
        during += not sweep.done()
    assert await sweep == 1000
    assert during >= 15  # one between any two of the twenty batches


async def test_the_file_gives_space_back(data_dir, clock, counters):
    journal = await Journal.open(data_dir, clock=clock, counters=counters)
    for _ in range(3000):
        await journal.record(observation(prompt="x" * 2000), None)
    size = (await asyncio.to_thread((data_dir / "journal.sqlite3").stat)).st_size
    await Retention(journal, Keep(size=journal.bytes // 10), clock, counters).sweep()
    assert len(await journal.search("red", 5000)) == len(await journal.recent(5000)) < 400
    await journal.close()
    assert (data_dir / "journal.sqlite3").stat().st_size < size / 2
