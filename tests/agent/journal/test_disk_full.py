"""A full disk: said, counted, survived. In a process of its own, whose files may not grow beyond a limit."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys

from agent.errors import JournalUnavailable
from tests.fakes.observations import JPEG, observation

SCRIPT = """
import asyncio, json, logging, resource, sys
from pathlib import Path
from agent.clock import SystemClock
from agent.errors import JournalUnavailable
from agent.journal import Journal
from agent.status import Counters
from tests.fakes.observations import observation

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def main():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    counters = Counters()
    data_dir = Path(sys.argv[1])
    journal = await Journal.open(data_dir, clock=SystemClock(), counters=counters)
    kept = []

    async def record(picture, count=1):
        for _ in range(count):
            try:
                kept.append(await journal.record(observation(prompt="x" * 500), picture))
            except JournalUnavailable as error:
                assert isinstance(error, OSError)
                failed.append(str(error))

    failed = []
    await record(bytes(1_000_000), 3)
    limit(500_000)                       # pictures no longer fit, then rows neither
    await record(bytes(1_000_000))
    first = journal.outage.reason
    without_picture = kept[-1].picture.path if len(kept) == 4 else None
    await record(bytes(10), 300)
    failures = list(failed)
    recent = len(await journal.recent(5000))
    limit(resource.RLIM_INFINITY)
    failed.clear()
    kept_before = len(kept)
    await record(bytes(1_000_000), 20)
    print(json.dumps({
        "first": first, "failures": len(failures), "sentence": failures[0], "again": failed,
        "without_picture": without_picture, "recent_while_full": [recent, kept_before],
        "rows": [o.id for o in reversed(await journal.recent(5000))], "kept": [o.id for o in kept],
        "with_picture": (await journal.recent(1))[0].picture.path, "outage": journal.outage.reason,
        "dropped": counters.value("dropped_total", reason="journal"),
        "pictures": counters.value("pictures_dropped_total", reason="journal"),
    }))
    await journal.close()

asyncio.run(main())
"""


async def test_a_full_disk_is_said_once_and_survived(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        str(tmp_path / "data"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told = json.loads(out)
    assert f"The disk that holds {tmp_path / 'data'} is full" in told["first"]
    assert str(tmp_path / "data") in told["sentence"]
    assert told["without_picture"] is None
    assert told["recent_while_full"][0] == told["recent_while_full"][1] > 3  # it can still be read
    assert told["pictures"] >= 1
    assert told["failures"] == told["dropped"] > 100
    assert told["again"] == []
    assert told["outage"] is None
    assert told["with_picture"]
    assert told["rows"] == told["kept"]  # what record() returned is there, and nothing else
    lines = err.decode().splitlines()
    assert [line.split()[0] for line in lines if "another reason" not in line] == ["ERROR", "INFO"] * 2, lines
    assert "works again" in lines[-1]


async def test_when_sqlite_finds_the_disk_full_the_next_that_fits_is_recorded(journal, counters):
    first = await journal.record(observation(), JPEG)

    async def limit(pages):
        def job():
            return journal._store.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())

        await journal._worker.run(job)

    await limit(1)  # not a page more than there are
    refused = ""
    while not refused:
        try:
            await journal.record(observation(prompt="x" * 2000), JPEG)
        except JournalUnavailable as error:
            refused = str(error)
    assert "is full" in refused
    assert counters.value("dropped_total", reason="journal") == 1
    before = await journal.recent(99)
    pictures = await asyncio.to_thread(lambda: list(journal._pictures.walk()))
    assert len(pictures) == len(before)  # no picture of a row that there is not
    await limit(1_000_000)
    last = await journal.record(observation(), JPEG)
    assert await journal.recent(99) == [last, *before]
    assert before[-1] == first


async def test_retention_makes_room_on_a_disk_too_full_to_delete_a_row(journal, monkeypatch):
    kept = [await journal.record(observation(), JPEG) for _ in range(3)]
    paths = [journal.data_dir / "pictures" / o.picture.path for o in kept]
    delete = journal._store.delete

    def delete_where_there_is_room(rows):
        if paths[0].exists():
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        delete(rows)

    monkeypatch.setattr(journal._store, "delete", delete_where_there_is_room)
    assert await journal.remove_oldest(2, down_to=0) == 2
    assert await journal.recent(9) == [kept[2]]
    assert await asyncio.to_thread(lambda: [path.exists() for path in paths]) == [False, False, True]
