from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.cron import trigger_fields

WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


@pytest.mark.parametrize(
    ("weekday", "names"),
    [
        ("*", "*"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("mon-FRI", "mon,tue,wed,thu,fri"),
        ("5-7", "sun,fri,sat"),
        ("fri-mon", "sun,mon,fri,sat"),
        ("0-7", "*"),
        ("*/2", "sun,tue,thu,sat"),
        ("1-5/2", "mon,wed,fri"),
        ("sat,0,3", "sun,wed,sat"),
    ],
)
def test_weekdays_are_counted_as_cron_counts_them(weekday: str, names: str) -> None:
    assert trigger_fields(f"*/15 8-18/5 * jan,6 {weekday}") == {
        "minute": "0,15,30,45",
        "hour": "8,13,18",
        "day": "*",
        "month": "1,6",
        "day_of_week": names,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs five fields .* has 0"),
        ("* * * *", "needs five fields .* has 4"),
        ("0 0 12 * * mon", "needs five fields .* has 6"),
        ("61 * * * *", "minute '61' is not within 0 to 59"),
        ("-1 * * * *", "minute '-1' is not a number"),
        ("x * * * *", "minute 'x' is not a number"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'"),
        ("* * * foo *", "month 'foo' is not within 1 to 12, or jan to dec,"),
        ("* * * * 8", "weekday '8' is not within 0 to 7, or sun to sat"),
        ("* * * * someday", "weekday 'someday'"),
        ("* * * * */0", "step"),
        ("* * * * 1/", "weekday '1/'"),
        ("* 22-6 * * *", "ends before it begins"),
        ("0 8 1 * mon", "leave one of them"),
        ("0 0 30 2 *", "no such day"),
        ("0 0 31 4,6,9,11 *", "no such day"),
    ],
)
def test_what_can_not_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        trigger_fields(text)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    ranges = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    item = st.one_of(st.just("*"), number.map(str), ranges)
    stepped = st.tuples(item, st.integers(1, 90)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(st.one_of(item, stepped), min_size=1, max_size=3).map(",".join)


@settings(max_examples=150, deadline=None)
@given(st.tuples(_field(0, 59), _field(0, 23), st.just("*"), _field(1, 12), _field(0, 7)).map(" ".join))
def test_apscheduler_takes_whatever_is_allowed_and_fires_when_cron_would(text: str) -> None:
    trigger = CronTrigger(timezone=UTC, **trigger_fields(text))
    at = datetime(2026, 11, 22, 18, 4, tzinfo=UTC)
    for _ in range(3):
        at = trigger.get_next_fire_time(None, at)
        assert _cron_fires(text, at)
        at += timedelta(minutes=1)


def _cron_fires(text: str, at: datetime) -> bool:
    minute, hour, _, month, weekday = text.split()
    days = _plain(weekday, 0, 7)
    return (
        at.minute in _plain(minute, 0, 59)
        and at.hour in _plain(hour, 0, 23)
        and at.month in _plain(month, 1, 12)
        and (at.isoweekday() in days or at.isoweekday() % 7 in days)
    )


def _plain(field: str, low: int, high: int) -> set[int]:
    """Cron's own reading, written down a second time."""
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        found |= {number for number in range(begin, end + 1) if (number - begin) % int(step or 1) == 0}
    return found
