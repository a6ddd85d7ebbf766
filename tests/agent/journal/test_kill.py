"""kill -9 in the middle: nothing that was recorded is lost, and every output gets all of it, in order."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import defaultdict

ROUNDS = 20

# Imports once and forks a camscribe in miniature each round, which the parent kills while it records and delivers.
SCRIPT = """
import asyncio, logging, os, random, signal, sys, time
from pathlib import Path
from agent.clock import SystemClock
from agent.delivery import Courier
from agent.journal import Journal
from agent.status import Counters
from tests.fakes.observations import observation

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])

def told(name, *words):
    with open(folder / name, "a") as file:      # one write: whole, or not at all
        file.write(" ".join(map(str, words)) + "\\n")

class Notes:
    unavailable = ()
    def __init__(self, name, round_):
        self.name, self.round = name, round_
    async def deliver(self, deliveries):
        async for delivery in deliveries:
            assert delivery.picture == PICTURE
            told(self.name, self.round, delivery.seq, delivery.observation.id)

PICTURE = os.urandom(30_000)
picture_file = folder / "picture"
picture_file.write_bytes(PICTURE)

async def live(round_):
    clock, counters = SystemClock(), Counters()
    journal = await Journal.open(folder / "data", clock=clock, counters=counters)
    couriers = [
        Courier(Notes(name, round_), name, journal, backlog="all", expire=None, timeout=30, cameras=None,
                clock=clock, counters=counters, log=logging.getLogger(name))
        for name in ("mqtt", "hook")
    ]
    async with asyncio.TaskGroup() as group:
        for courier in couriers:
            group.create_task(courier.run())
        for _ in range(10_000 if round_ < rounds else 5):
            told("recorded", (await journal.record(observation(), PICTURE)).id)
        while any(courier.waiting for courier in couriers):
            await asyncio.sleep(0.01)
        for courier in couriers:
            courier.stop()
    await journal.close()

def lines():
    path = folder / "mqtt"
    return path.read_bytes().count(b"\\n") if path.exists() else 0

for round_ in range(rounds + 1):
    wanted = lines() + random.randrange(5, 60)
    child = os.fork()
    if child == 0:
        asyncio.run(live(round_))
        os._exit(0)
    if round_ < rounds:
        deadline = time.monotonic() + 30
        while lines() < wanted:
            assert time.monotonic() < deadline, "nothing is delivered"
            time.sleep(random.random() / 200)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status == (signal.SIGKILL if round_ < rounds else 0), status
"""


async def test_nothing_recorded_is_lost_or_out_of_order(tmp_path):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, str(tmp_path), str(ROUNDS))
    async with asyncio.timeout(110):
        assert await process.wait() == 0

    db = sqlite3.connect(tmp_path / "data" / "journal.sqlite3")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = db.execute("SELECT seq, id, picture FROM observations ORDER BY seq").fetchall()
    cursors = dict(db.execute("SELECT output, seq FROM cursors"))
    db.close()
    ids = [id_ for _, id_, _ in rows]
    recorded = (tmp_path / "recorded").read_text().split()
    assert len(recorded) > ROUNDS * 5
    assert [id_ for id_ in ids if id_ in set(recorded)] == recorded
    assert len(ids) - len(recorded) <= ROUNDS  # committed, and killed before record() could return
    for _, _, picture in rows:
        assert (tmp_path / "data" / "pictures" / picture).stat().st_size == 30_000
    for name in ("mqtt", "hook"):
        told = [line.split() for line in (tmp_path / name).read_text().splitlines()]
        assert list(dict.fromkeys(id_ for _, _, id_ in told)) == ids  # all of it; each first told in the record's order
        rounds = defaultdict(list)
        for round_, seq, _ in told:
            rounds[round_].append(int(seq))
        for seqs in rounds.values():
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert cursors[name] == rows[-1][0]
