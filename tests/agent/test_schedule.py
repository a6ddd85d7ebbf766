import asyncio
import logging
import random
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import apscheduler.schedulers.base as apscheduler_base
import pytest

from agent.schedule import Schedule, Timing, local_zone
from agent.values import Moment

BERLIN = ZoneInfo("Europe/Berlin")


class ShiftedClock:
    """Real time with a wall clock that jumps when told, for camscribe and APScheduler alike."""

    def __init__(self):
        self.shift = timedelta()
        self.ticks = 0

    def now(self):
        return Moment(time.monotonic(), datetime.now(UTC) + self.shift)

    async def sleep(self, seconds):
        self.ticks += 1
        await asyncio.sleep(0.01)


@pytest.fixture
def clock(monkeypatch):
    clock = ShiftedClock()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + clock.shift

    monkeypatch.setattr(apscheduler_base, "datetime", Shifted)
    return clock


@pytest.fixture
async def schedules():
    made = []

    def make(timings, due=lambda _camera: None, **options):
        made.append(Schedule(timings, due, rng=random.Random(1), zone=BERLIN, **options))
        return made[-1]

    yield make
    for schedule in made:
        schedule.stop()


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (APScheduler has no event to wait for)
            await asyncio.sleep(0.01)


def seconds_to(schedule, camera, clock=None):
    now = clock.now().wall if clock else datetime.now(UTC)
    return (schedule.next_look(camera) - now).total_seconds()


async def test_a_camera_looks_again_and_again_on_the_event_loops_own_thread(schedules):
    looks, loop = [], asyncio.get_running_loop()

    def due(_camera):
        assert asyncio.get_running_loop() is loop
        looks.append(time.monotonic())

    schedule = schedules({"door": Timing(every=0.4)}, due)
    schedule.start()
    await until(lambda: len(looks) >= 5)
    assert looks[4] - looks[0] > 1.2


async def test_first_looks_come_within_ten_seconds_and_spread_evenly(schedules):
    schedule = schedules({f"camera_{n}": Timing(every=3600) for n in range(5)})
    schedule.start()
    assert [round(seconds_to(schedule, f"camera_{n}")) for n in range(5)] == [0, 2, 4, 6, 8]


async def test_short_intervals_spread_over_their_own_length(schedules):
    schedule = schedules({f"camera_{n}": Timing(every=4) for n in range(4)})
    schedule.start()
    assert [round(seconds_to(schedule, f"camera_{n}")) for n in range(4)] == [0, 1, 2, 3]


async def test_cameras_stay_apart_for_days(schedules):
    """Thirty cameras that look once a minute must not crowd into the ten seconds in which they began."""
    schedule = schedules({f"camera_{n}": Timing(every=60) for n in range(30)})
    schedule.start()
    a_day_on = datetime.now(UTC) + timedelta(days=1)
    busy = defaultdict(int)
    for n in range(30):
        job = schedule._scheduler.get_job(f"camera_{n}")
        at, looks = job.next_run_time, 0
        while at < a_day_on:
            at, before = job.trigger.get_next_fire_time(at, at), at
            assert 14 < (at - before).total_seconds() < 81
            looks += 1
        assert 1438 <= looks <= 1442
        for _ in range(10):
            at = job.trigger.get_next_fire_time(at, at)
            busy[int(at.timestamp()) // 10] += 1
    assert max(busy.values()) <= 8


async def test_a_camera_without_times_never_looks(schedules):
    schedule = schedules({"door": Timing(), "desk": None})
    schedule.start()
    assert schedule.next_look("door") is None
    assert schedule.next_look("desk") is None


async def test_cron_counts_weekdays_from_sunday_in_local_time(schedules):
    schedule = schedules({"door": Timing(cron="30 8 * * 1")})
    schedule.start()
    at = schedule.next_look("door").astimezone(BERLIN)
    assert (at.strftime("%A"), at.hour, at.minute) == ("Monday", 8, 30)


async def test_timings_change_while_it_runs(schedules):
    looks = []
    schedule = schedules({"door": Timing(every=3600), "desk": Timing(every=3600)}, looks.append)
    schedule.start()
    schedule.change("door", Timing(every=0.2))
    schedule.change("desk", None)
    looks.clear()
    await until(lambda: looks.count("door") >= 3)
    assert "desk" not in looks
    schedule.change("desk", Timing(every=600))
    assert 0 < seconds_to(schedule, "desk") <= 10


async def test_a_change_before_the_start_counts(schedules):
    schedule = schedules({"door": None})
    schedule.change("door", Timing(every=60))
    schedule.start()
    assert schedule.next_look("door") is not None


async def test_nothing_is_due_after_stop(schedules):
    looks = []
    schedule = schedules({"door": Timing(every=0.05)}, looks.append)
    schedule.start()
    await until(lambda: looks)
    schedule.stop()
    schedule.stop()
    so_far = len(looks)
    await asyncio.sleep(0.3)
    assert len(looks) == so_far


async def test_a_bug_in_due_does_not_end_the_schedule(schedules, caplog):
    looks = []

    def due(camera):
        looks.append(camera)
        raise ZeroDivisionError

    schedules({"door": Timing(every=0.1)}, due).start()
    await until(lambda: len(looks) >= 3)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_jump_of_the_clock_sets_the_looks_anew(schedules, clock, hours, caplog):
    caplog.set_level(logging.INFO)
    looks = []
    schedule = schedules({"door": Timing(every=0.3), "gate": Timing(cron="0 * * * *")}, looks.append, clock=clock)
    schedule.start()
    watching = asyncio.create_task(schedule.watch())
    await until(lambda: looks)
    clock.shift = timedelta(hours=hours)
    ticks, looks[:] = clock.ticks, []
    await until(lambda: clock.ticks > ticks + 2)
    assert 0 < seconds_to(schedule, "gate", clock) <= 3600
    await until(lambda: looks.count("door") >= 3)
    assert caplog.text.count("The system clock jumped") == 1
    watching.cancel()


async def test_a_slow_drift_is_no_jump(schedules, clock):
    schedule = schedules({"door": Timing(cron="0 * * * *")}, clock=clock)
    schedule.start()
    job = schedule._scheduler.get_job("door")
    watching = asyncio.create_task(schedule.watch())
    for _ in range(5):
        clock.shift += timedelta(seconds=2)
        ticks = clock.ticks
        await until(lambda ticks=ticks: clock.ticks > ticks + 1)
    assert schedule._scheduler.get_job("door") is job
    watching.cancel()


@pytest.mark.parametrize("timing", [Timing(every=1), Timing(cron="* * * * *")])
async def test_a_clock_that_began_in_1970_costs_one_look_and_no_time(schedules, clock, timing):
    """A small board without a battery clock starts in 1970 until the network tells it the time."""
    looks = []
    clock.shift = timedelta(days=-20000)
    schedule = schedules({"door": timing}, looks.append, clock=clock)
    schedule.start()
    clock.shift = timedelta()
    schedule._scheduler.get_job("door").modify(next_run_time=datetime(1970, 6, 1, tzinfo=UTC))
    began = time.monotonic()
    await until(lambda: looks)
    assert time.monotonic() - began < 5
    assert looks == ["door"]


async def test_ten_quiet_minutes_say_nothing(schedules, caplog):
    caplog.set_level(logging.INFO)
    looks = []
    schedules({"door": Timing(every=0.1)}, looks.append).start()
    await until(lambda: len(looks) >= 3)
    assert not caplog.records


def test_the_machines_own_time_zone_is_found():
    assert datetime.now(local_zone()).utcoffset() == datetime.now().astimezone().utcoffset()
