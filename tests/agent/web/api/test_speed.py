"""Ten thousand observations, over real HTTP: a page, a search, a day come at once."""

from __future__ import annotations

import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.journal.store import New, Store
from agent.values import Answer, Observation
from tests.fakes.observations import observation
from tests.fakes.website import website

COUNT = 10_000
MOST = 50.0
"""Milliseconds that 19 of 20 requests take at most."""
EACH = 12
ABOUT = "/api/v1/observations"
WORDS = (
    "a red car person stands at the door package delivery cat dog rain night man woman walks past blue van bicycle "
    "porch light parcel people playing park"
)
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)

ASKED: list[dict[str, Any]] = [
    {},
    {"limit": 200},
    {"camera": "cam3"},
    {"camera": ["cam1", "cam5", "rare"]},
    {"camera": "rare"},
    {"from": BEGAN.isoformat(), "to": (BEGAN + timedelta(days=1)).isoformat()},
    {"q": "car"},
    {"q": "p"},
    {"q": "a d b"},
    {"q": "zebra"},
    {"q": "p", "camera": "rare", "outcome": "caption"},
    {"answer": "person:yes"},
    {"answer": ["person:no", "animal:unicorn"]},
    {"answer": "animal:unicorn", "q": "a"},
    {"outcome": "error"},
    {"before": "s500", "outcome": "error", "q": "car"},
    {"before": f"s{COUNT // 2}"},
]


def fill(file: Path) -> None:
    """Straight into the file: as the journal would write them, without its picture files."""
    store, rng = Store(file), random.Random(1)
    store.run(lambda db: db.execute("PRAGMA synchronous = OFF"))
    for number in range(COUNT):
        made = seen(rng, "rare" if number % 977 == 0 else f"cam{number % 8}")
        recorded = (BEGAN + timedelta(days=14) * number / COUNT).timestamp()
        good = made.caption is not None
        json = made.model_dump_json()
        store.insert(New(made.id, made.camera, good, recorded, 0.0, made.caption, None, 0, 0, json))
    store.close()


def seen(rng: random.Random, camera: str) -> Observation:
    if rng.random() < 0.02:
        return observation(camera, None)
    caption = " ".join([*rng.choices(WORDS.split(), k=14), *(["zebra"] if rng.random() < 0.001 else [])])
    answers = {
        "person": Answer(value=rng.random() < 0.1, confidence=0.93, steady=True),
        "people": Answer(value=rng.randrange(5)),
        "animal": Answer(value="unicorn" if rng.random() < 0.001 else rng.choice(["cat", "dog", "none"])),
    }
    return observation(camera, caption, answers=answers, prompt="Describe who or what is there in one sentence.")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "data").mkdir()
    fill(folder / "data" / "journal.sqlite3")
    return folder


async def test_ten_thousand_are_paged_and_searched_at_once(data: Path) -> None:
    async with website(data) as site:
        await assert_quick([(ABOUT, asked) for asked in ASKED], site.client)


async def test_their_days_are_counted_at_once(data: Path) -> None:
    async with website(data) as site:
        await assert_quick(
            [("/api/v1/days", asked) for asked in ASKED if not asked.keys() & {"before", "limit"}], site.client
        )


async def assert_quick(requests: list[tuple[str, dict[str, Any]]], client: httpx.AsyncClient) -> None:
    """By the clock; on a machine that had something else to do, by the processor time that client and server took."""
    took: dict[str, list[float]] = {}
    worked: list[float] = []
    for path, asked in requests * EACH:
        began, work = time.perf_counter(), time.process_time()
        answer = await client.get(path, params=asked)
        took.setdefault(str(asked), []).append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - work) * 1000)
        assert answer.status_code == 200, answer.text
    every, busy = p95([each for some in took.values() for each in some]), p95(worked)
    lines = [f"{statistics.median(some):6.1f} {max(some):6.1f} ms  {asked}" for asked, some in took.items()]
    told = "\n".join([f"p95 {every:.1f} ms, of work {busy:.1f} ms; median and longest of each:", *lines])
    print(told)
    assert min(every, busy) < MOST, told


def p95(took: list[float]) -> float:
    return statistics.quantiles(took, n=20)[-1]
