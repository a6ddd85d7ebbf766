"""The figures of the last hour and day, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from asyncio.subprocess import PIPE
from datetime import timedelta

import numpy as np
import pytest

from agent.figures import STAGES, Engine, Figures, Outlet, make_sampler
from agent.figures.figures import MOST_CAMERAS
from agent.figures.steps import MAX, MEAN, MOST_EXACT, P50, P95, TOTAL
from agent.status import Counters
from tests.fakes.clock import FakeClock
from tests.fakes.figured import failure, look, sample
from tests.fakes.looking import NoConfig, ScriptedCaptioner, desk


class Rig:
    def __init__(self) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.figures = Figures(self.clock, self.counters)

    def sampled(self, **facts) -> None:
        self.figures._take(sample(**facts))

    def read(self, window="hour", camera=None):
        return self.figures.read(window, camera)

    async def runs(self, seconds: float) -> None:
        """With nothing to see."""
        for _ in range(round(seconds / 10)):
            await self.clock.advance(10)
            self.sampled()


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_looks_stand_in_the_step_in_which_they_ended(rig: Rig):
    rig.figures.looked(look(image=100))
    rig.figures.looked(look(image=300))
    await rig.clock.advance(20)
    rig.figures.looked(look("yard", image=50, capture=7))
    view = rig.read()
    assert view.counts[-3:, 0].tolist() == [2, 0, 1]
    assert view.spread[-3, TOTAL].tolist() == [200, 100, 300, 300]  # the mean, p50, p95 and the longest
    assert np.isnan(view.spread[-2]).all()
    assert view.spread[-1, STAGES.index("capture"), MEAN] == 7
    assert view.start + view.step * 360 == rig.clock.now().wall + timedelta(seconds=10)
    assert rig.read(camera="yard").counts[:, 0].sum() == 1
    assert rig.read(camera="nobody").counts.sum() == 0


async def test_failed_looks_are_counted_and_their_time_is_no_captions(rig: Rig):
    rig.figures.looked(look(image=100))
    rig.figures.looked(failure(capture=20_000))
    view = rig.read()
    assert view.counts[-1].tolist() == [2, 1]
    assert (view.whole.looks, view.whole.failed, view.whole.longest) == (2, 1, 100)
    rig.figures.looked(failure("yard"))
    assert rig.read().cameras["yard"].p50 is None
    assert rig.read().cameras["yard"].slowest is None


@pytest.mark.parametrize(("window", "seconds"), [("hour", 3600), ("day", 86_400)])
async def test_what_is_older_than_the_window_is_gone(rig: Rig, window, seconds):
    rig.figures.looked(look(image=100))
    await rig.clock.advance(seconds - 60)
    assert rig.read(window).whole.looks == 1
    assert not rig.read(window).complete
    await rig.clock.advance(61)
    assert rig.read(window).complete
    assert rig.read(window).whole.looks == 0
    assert not rig.read(window).running[:-1].any()


async def test_the_latest_steps_are_a_view_of_their_own(rig: Rig):
    rig.sampled(queued=3)
    rig.figures.looked(look(image=100))
    await rig.runs(100)
    whole, part = rig.read(), rig.read().latest(12)
    assert part.counts.tolist() == whole.counts[-12:].tolist()
    assert (len(part.running), len(part.queued), part.queued[1]) == (12, 12, 3)
    assert part.start + part.step * 12 == whole.start + whole.step * 360
    assert part.first - whole.first == 348


async def test_a_machine_that_slept_leaves_a_gap_and_no_zeros(rig: Rig):
    await rig.runs(60)
    rig.clock.jump(600)  # the clock to measure with stood still meanwhile, as it does on Linux and macOS
    await rig.runs(60)
    view = rig.read()
    assert view.running[-6:].all()
    assert not view.running[-66:-7].any()
    assert view.running[-72:-67].all()
    assert np.isnan(view.queued[-60])
    assert view.start + view.step * 360 == rig.clock.now().wall + timedelta(seconds=10)


async def test_a_clock_that_is_set_back_loses_nothing(rig: Rig):
    rig.figures.looked(look(image=100))
    await rig.runs(60)
    rig.clock.jump(-7200)
    await rig.runs(60)
    view = rig.read()
    assert view.running[-13:].all()
    assert view.counts[-13, 0] == 1
    assert view.start + view.step * 360 == rig.clock.now().wall + timedelta(seconds=10)


async def test_a_clock_that_is_years_off_at_first_does_no_harm(rig: Rig):
    rig.figures.looked(look(image=100))
    rig.clock.jump(20 * 365 * 86_400)
    rig.figures.looked(look(image=100))
    assert rig.read().whole.looks == 1
    assert rig.read("day").whole.looks == 1


async def test_the_percentiles_of_a_window_are_those_of_its_looks(rig: Rig):
    rng = random.Random(2)
    spent = []
    for _ in range(300):
        for _ in range(rng.randrange(40)):
            spent.append(round(rng.lognormvariate(6, 0.8)))
            rig.figures.looked(look(rng.choice(["door", "yard"]), image=spent[-1]))
        await rig.clock.advance(10)
    for window in ("hour", "day"):
        whole = rig.read(window).whole
        assert whole.looks == len(spent)
        assert whole.p50 == pytest.approx(np.percentile(spent, 50), rel=0.02)
        assert whole.p95 == pytest.approx(np.percentile(spent, 95), rel=0.05)
        assert whole.means["image"] == pytest.approx(np.mean(spent), rel=0.002)
        assert whole.longest == pytest.approx(max(spent), rel=0.001)


async def test_of_very_many_looks_in_a_step_some_stand_for_all(rig: Rig):
    for number in range(10 * MOST_EXACT):
        rig.figures.looked(look(image=number))
    at = rig.read().spread[-1, TOTAL]
    assert rig.read().whole.looks == 10 * MOST_EXACT
    assert at[P50] == pytest.approx(5 * MOST_EXACT, rel=0.2)
    assert at[P95] == pytest.approx(9.5 * MOST_EXACT, rel=0.2)
    assert at[MAX] >= at[P95] >= at[P50]


async def test_a_day_of_thirty_busy_cameras_takes_five_megabytes(rig: Rig):
    looks = [look(f"camera_{number}", image=number) for number in range(30)]
    for each in looks:
        rig.figures.looked(each)
    rig.sampled()
    early = rig.figures.nbytes
    for _ in range(100):
        await rig.clock.advance(1000)
        for each in looks:
            rig.figures.looked(each)
        rig.sampled()
    assert rig.figures.nbytes == early < 5_000_000


async def test_a_look_takes_no_longer_after_many(rig: Rig):
    each = look(image=100)

    def cost() -> float:
        began = time.thread_time()
        for _ in range(2000):
            rig.figures.looked(each)
        return time.thread_time() - began

    first = min(cost() for _ in range(3))
    for _ in range(20):
        cost()
    assert min(cost() for _ in range(3)) < 3 * first


async def test_cameras_that_come_and_go_are_forgotten(rig: Rig):
    for number in range(MOST_CAMERAS + 10):
        rig.figures.looked(look(f"camera_{number}", image=10))
        await rig.clock.advance(1)
    assert len(rig.figures.cameras) == MOST_CAMERAS
    assert "camera_0" not in rig.figures.cameras
    assert rig.read().whole.looks == MOST_CAMERAS + 10


async def test_drops_are_told_by_reason_in_the_step_of_their_sample(rig: Rig):
    rig.sampled()
    rig.counters.add("frames_dropped_total", 2, reason="overtaken", camera="door")
    rig.counters.add("frames_dropped_total", reason="overtaken", camera="yard")
    rig.counters.add("dropped_total", reason="expired", output="mqtt")
    rig.counters.add("frames_total", 5, camera="door")
    await rig.runs(10)
    rig.counters.add("frames_dropped_total", reason="overtaken", camera="door")
    await rig.runs(10)
    drops = rig.read().drops
    assert drops.keys() == {("frames", "overtaken"), ("observations", "expired")}
    assert np.nan_to_num(drops["frames", "overtaken"][-3:]).tolist() == [0, 3, 1]
    assert np.nansum(rig.read("day").drops["frames", "overtaken"]) == 4


async def test_a_minute_keeps_the_most_of_what_was_sampled(rig: Rig):
    for queued in (1, 5, 2, 0, 0, 1):
        rig.sampled(
            queued=queued, engines={"default": Engine("ready", "m", (7,), 10**9)}, outputs={"log": Outlet(3, None)}
        )
        await rig.clock.advance(10)
    hour, day = rig.read(), rig.read("day")
    assert hour.queued[-7:-1].tolist() == [1, 5, 2, 0, 0, 1]
    assert day.queued[-2] == 5
    assert day.engines["default"][-2] == pytest.approx(10**9)
    assert day.outputs["log"][-2] == 3


async def test_an_engine_with_another_process_was_restarted_and_one_that_slept_was_not(rig: Rig):
    def seen(state, *processes) -> int:
        rig.sampled(engines={"default": Engine(state, "m", processes, None)})
        return rig.counters.value("engine_restarts_total", captioner="default")

    assert seen("starting") == 0
    assert seen("ready", 10, 11) == 0
    assert seen("ready", 10, 11) == 0
    assert seen("failed: it ended") == 0
    assert seen("ready", 20, 21) == 1
    assert seen("ready: asleep") == 1
    assert seen("ready", 30, 31) == 1
    rig.sampled()  # it is in the config no more
    assert seen("ready", 40) == 1


async def test_it_is_sampled_every_ten_seconds(rig: Rig):
    taken = []

    async def take():
        taken.append(rig.clock.now())
        return sample()

    task = asyncio.create_task(rig.figures.watch(take))
    await rig.clock.advance(35)
    task.cancel()
    assert len(taken) == 4
    assert rig.figures.latest == sample()


class WithProcess(ScriptedCaptioner):
    pids: tuple[int, ...] = ()

    @property
    def processes(self):
        return self.pids


class Outlets:
    def __init__(self) -> None:
        self.problems = {"mqtt": "It can't be reached", "log": None}
        self.waiting = {"mqtt": 3}


async def test_a_sample_tells_the_memory_of_each_process(tmp_path):
    async with desk(tmp_path) as house:
        captioner = WithProcess(NoConfig(), house.context)
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input('up')", stdin=PIPE, stdout=PIPE)
        try:
            assert await asyncio.wait_for(child.stdout.readexactly(2), 20) == b"up"
            captioner.pids = (child.pid,)
            take = make_sampler(lambda: 2, {"default": captioner, "far": house.captioner}.items(), Outlets())
            taken = await take()
            assert taken.queued == 2
            assert taken.memory > 10_000_000
            assert 1_000_000 < taken.engines["default"].memory < 10**9
            assert taken.engines["far"].memory is None
            assert taken.outputs == {"mqtt": Outlet(3, "It can't be reached"), "log": Outlet(0, None)}
        finally:
            child.kill()
            await child.communicate()
        assert (await take()).engines["default"].memory == 0  # it has just gone
