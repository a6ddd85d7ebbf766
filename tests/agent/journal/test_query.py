"""Whatever is asked for: the SQL finds what a plain look at each observation finds."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.clock import SystemClock
from agent.journal import Filter, Journal, query
from agent.journal.answers import said
from agent.status import Counters
from agent.values import Answer
from tests.fakes.clock import START, FakeClock
from tests.fakes.observations import JPEG, observation

CAMERAS = ("door", "yard", "attic")
WORDS = ("red", "redder", "car", "cart", "dog", "a")
BEGINNINGS = ("r", "re", "red", "car", "c", "d", "a", "x")
VALUES = (True, False, None, 0, 3, 2.5, "yes", "on the step", "3", "Größe: 5")
TOLD = ("yes", "no", "0", "3", "2.5", "on the step", "Größe: 5", "None", "true")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def journal(data_dir, clock, counters):
    journal = await Journal.open(data_dir, clock=clock, counters=counters)
    yield journal
    await journal.close()


async def captions(journal, **wanted):
    return [found.caption for _, found in await journal.find(Filter(**wanted), None, 1000)]


def fits(wanted, recorded, seen):
    """What the SQL has to say as well."""
    words = (seen.caption or "").split()
    return (
        (not wanted.cameras or seen.camera in wanted.cameras)
        and (wanted.since is None or recorded >= wanted.since)
        and (wanted.until is None or recorded < wanted.until)
        and all(any(word.startswith(asked) for word in words) for asked in wanted.words)
        and all(
            said(seen.answers[name].value) == value if name in seen.answers else False for name, value in wanted.answers
        )
        and (wanted.outcome is None or (wanted.outcome == "error") == (seen.caption is None))
    )


moments = st.integers(0, 40).map(lambda hours: START + timedelta(hours=hours))
filters = st.builds(
    Filter,
    cameras=st.lists(st.sampled_from((*CAMERAS, "nowhere")), max_size=3, unique=True).map(tuple),
    since=st.none() | moments,
    until=st.none() | moments,
    text=st.lists(st.sampled_from(BEGINNINGS), max_size=3).map(" ".join),
    answers=st.lists(st.tuples(st.sampled_from(("person", "count")), st.sampled_from(TOLD)), max_size=2).map(tuple),
    outcome=st.sampled_from((None, None, "caption", "error")),
)
answers = st.dictionaries(st.sampled_from(("person", "count")), st.sampled_from(VALUES).map(lambda v: Answer(value=v)))
looks = st.lists(
    st.tuples(
        st.sampled_from(CAMERAS),
        st.none() | st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
        answers,
        st.integers(-3, 9),
    ),
    max_size=12,
)


async def check(looks, filters, limit, folder):
    clock = FakeClock()
    journal = await Journal.open(folder, clock=clock, counters=Counters())
    kept = []
    for camera, caption, given_, hours in looks:
        clock.jump(hours * 3600)  # back as well: the clock of a machine is set
        made = observation(camera, caption, answers=given_)
        kept.insert(0, (clock.now().wall, await journal.record(made, JPEG if caption else None)))
    for wanted in filters:
        right = [seen.id for recorded, seen in kept if fits(wanted, recorded, seen)]
        paged, before = [], None
        while page := await journal.find(wanted, before, limit):
            paged += [seen.id for _, seen in page]
            before = page[-1][0]
        assert paged == right, wanted
        assert sum(count for _, count in await journal.days(wanted, UTC)) == len(right), wanted
    for wanted in filters[:1]:
        left = [seen.id for recorded, seen in kept if not fits(wanted, recorded, seen)]
        assert await journal.delete_matching(wanted) == len(kept) - len(left)
        assert [seen.id for seen in await journal.recent(100)] == left
    await journal.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(looks=looks, asked=st.lists(filters, min_size=1, max_size=8), limit=st.integers(1, 5))
def test_a_filter_finds_what_a_plain_look_finds(looks, asked, limit):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(looks, asked, limit, Path(folder)))


async def test_from_is_within_and_to_is_not(journal, clock):
    for caption in ("First.", "Second.", "Third."):
        await journal.record(observation(caption=caption), JPEG)
        await clock.advance(60)
    second = START + timedelta(seconds=60)
    assert await captions(journal, since=second) == ["Third.", "Second."]
    assert await captions(journal, until=second) == ["First."]
    elsewhere = second.astimezone(timezone(timedelta(hours=-9)))
    assert await captions(journal, since=elsewhere, until=elsewhere) == []


@pytest.mark.parametrize("outcome", [None, "caption", "error"])
@pytest.mark.parametrize("fts", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        '"',
        "''",
        "a OR b",
        "red NOT car",
        "NEAR(red car, 2)",
        "%",
        "_",
        "!",
        "*",
        "^red",
        "caption:red",
        "captions",
        "- red",
        "red\0car",
        "{red}",
        "'; DROP TABLE observations; --",
        "(" * 200,
        "a " * 100,
        "\U0001f600 ́",
    ],
)
async def test_a_hostile_search_finds_only_what_it_says(journal, text, fts, outcome):
    for caption in ("A red car.", "A 100% red_car! (new)"):
        await journal.record(observation(caption=caption), JPEG)
    journal._store.searchable = fts
    found = await journal.find(Filter(text=text, outcome=outcome), None, 9)
    assert len(found) <= 2
    await journal.days(Filter(text=text, outcome=outcome))
    assert len(await journal.recent(9)) == 2


async def test_like_without_fts5_takes_wildcards_as_they_are(journal):
    for caption in ("A 100% car.", "A 100 car.", "A r_d car.", "A red car!"):
        await journal.record(observation(caption=caption), JPEG)
    journal._store.searchable = False
    assert await captions(journal, text="100%") == ["A 100% car."]
    assert await captions(journal, text="r_d") == ["A r_d car."]
    assert await captions(journal, text="car!") == ["A red car!"]


async def test_hostile_answers_and_cameras_are_only_values(journal):
    await journal.record(observation("door", answers={"person": Answer(value=True)}), JPEG)
    for nasty in ("' OR 1=1 --", '"', "%", "yes' --", ""):
        assert await captions(journal, answers=(("person", nasty),)) == []
        assert await captions(journal, answers=((nasty, "yes"),)) == []
        assert await captions(journal, cameras=(nasty,)) == []


async def test_a_page_is_filled_past_rows_that_cant_be_understood(journal):
    for number in range(9):
        await journal.record(observation(caption=f"Look {number}."), JPEG)
    await journal._worker.run(
        lambda: journal._store.run(lambda db: db.execute("UPDATE observations SET json = '{}' WHERE seq IN (7, 8, 5)"))
    )
    assert [seq for seq, _ in await journal.find(Filter(), None, 4)] == [9, 6, 4, 3]
    assert [seq for seq, _ in await journal.find(Filter(), 3, 4)] == [2, 1]


async def test_days_are_those_of_the_machine(journal, clock, monkeypatch):
    monkeypatch.setenv("TZ", "America/St_Johns")  # three and a half hours behind
    time.tzset()
    try:
        assert os.environ["TZ"]
        for _ in range(4):  # 18:00, 22:00, 02:00, 06:00 UTC
            await journal.record(observation(), JPEG)
            await clock.advance(4 * 3600)
        told = await journal.days(Filter())
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [(str(day), count) for day, count in told] == [("2026-11-23", 1), ("2026-11-22", 3)]
    zones = [(8, ["2026-11-23"]), (-12, ["2026-11-22"])]
    for hours, days in zones:
        told = await journal.days(Filter(until=clock.now().wall), timezone(timedelta(hours=hours)))
        assert [str(day) for day, _ in told] == days


async def test_a_day_that_the_clocks_change_on_is_whole(journal, data_dir):
    from zoneinfo import ZoneInfo

    berlin = ZoneInfo("Europe/Berlin")
    clock = FakeClock(datetime(2026, 10, 24, 22, 0, tzinfo=UTC))  # midnight there; 25 hours follow
    journal._clock = clock
    for _ in range(26):
        await journal.record(observation(), None)
        await clock.advance(3600)
    told = await journal.days(Filter(), berlin)
    assert [(str(day), count) for day, count in told] == [("2026-10-26", 1), ("2026-10-25", 25)]


async def test_the_names_of_answers_are_known(journal):
    for name, value in (("person", True), ("count", 3), ("person", False), ("never", None)):
        await journal.record(observation(answers={name: Answer(value=value)}), JPEG)
    assert await journal.answers() == ["count", "person"]


async def test_neighbours_are_those_of_the_same_camera(journal):
    made = [await journal.record(observation(camera), JPEG) for camera in ("door", "yard", "door", "door")]
    assert await journal.neighbours(made[2]) == (made[0].id, made[3].id)
    assert await journal.neighbours(made[1]) == (None, None)
    assert await journal.neighbours(observation()) == (None, None)


PLANS = {
    "all": Filter(),
    "cameras": Filter(cameras=("a", "b")),
    "one camera": Filter(cameras=("a",)),
    "a day": Filter(since=START, until=START + timedelta(days=1)),
    "words": Filter(text="red car"),
    "words of a camera": Filter(text="red", cameras=("a",), since=START),
    "answers": Filter(answers=(("person", "yes"), ("count", "3"))),
    "errors": Filter(outcome="error"),
    "captions": Filter(outcome="caption", cameras=("a",)),
    "everything": Filter(("a",), START, START, "red", (("person", "yes"),), "caption"),
}


@pytest.mark.parametrize("name", PLANS)
async def test_no_search_reads_whole_rows_or_sorts(journal, name):
    asked = query.seqs(PLANS[name], 9, 9, searchable=True)
    plan = await journal._worker.run(
        lambda: journal._store.run(lambda db: db.execute("EXPLAIN QUERY PLAN " + asked.sql, asked.values).fetchall())
    )
    steps = [step for *_, step in plan]
    assert not [step for step in steps if "TEMP B-TREE" in step]
    for step in steps:
        if step.split()[1] == "o":
            assert "COVERING INDEX" in step or "INDEX failed" in step, steps  # few rows fail
        assert not step.startswith("SCAN answers"), steps


async def test_a_rare_answer_is_looked_for_first(tmp_path):
    """Whichever is asked first; a bound for the work, not for the machine."""
    journal = await Journal.open(tmp_path, clock=SystemClock(), counters=Counters())
    for number in range(3000):
        rare = {"animal": Answer(value="unicorn")} if number % 1000 == 0 else {}
        await journal.record(observation(answers={"person": Answer(value=False), **rare}), None)
    steps = {}
    for pair in ((("person", "no"), ("animal", "unicorn")), (("animal", "unicorn"), ("person", "no"))):
        count = 0

        def tick():
            nonlocal count
            count += 1

        def job(pair=pair):
            journal._store._db.set_progress_handler(tick, 10)
            try:
                return journal._store.seqs(Filter(answers=pair), None, 50)
            finally:
                journal._store._db.set_progress_handler(None, 0)

        assert await journal._worker.run(job) == [2001, 1001, 1]
        steps[pair] = count
    first, second = steps.values()
    assert first == pytest.approx(second, rel=0.1)
    assert first < 2500
    await journal.close()
