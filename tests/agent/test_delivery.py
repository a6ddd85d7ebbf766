from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re

import pytest
from blockbuster import blockbuster_ctx

from agent.clock import SystemClock
from agent.delivery import Courier
from agent.errors import ObservationRefused, OutputUnavailable
from agent.journal import Journal
from agent.status import Counters
from tests.fakes.clock import FakeClock
from tests.fakes.observations import JPEG, observation
from tests.fakes.waiting import eventually


@pytest.fixture(autouse=True)
def nothing_blocks():
    with blockbuster_ctx("agent"):
        yield


class Target:
    """An output's other end, and the output: what it got, and what it does with each delivery, as the test says."""

    unavailable = (KeyError,)

    def __init__(self):
        self.got = []
        self.seen = []
        """Confirmed or not."""
        self.connects = 0
        self.goodbyes = 0
        self.at_once = 0
        self.on_connect = lambda: None
        self.on_delivery = lambda _delivery: None

    async def deliver(self, deliveries):
        self.at_once += 1
        assert self.at_once == 1, "called concurrently with itself"
        try:
            self.connects += 1
            await self._maybe(self.on_connect())
            async for delivery in deliveries:
                self.seen.append(delivery)
                await self._maybe(self.on_delivery(delivery))
                self.got.append(delivery)
            self.goodbyes += 1
        finally:
            self.at_once -= 1

    async def _maybe(self, result):
        if result is not None:
            await result

    @property
    def captions(self):
        return [delivery.observation.caption for delivery in self.got]


def failing(error):
    """Raises it, always at the same place."""

    def fail(*_):
        raise error

    return fail


class House:
    """A journal on disk, couriers on it, and a clock that the test moves."""

    def __init__(self, data_dir, clock):
        self.data_dir, self.clock, self.counters = data_dir, clock, Counters()
        self.tasks = {}

    async def open(self):
        self.journal = await Journal.open(self.data_dir, clock=self.clock, counters=self.counters)

    async def record(self, *captions, camera="door"):
        return [await self.journal.record(observation(camera, c), JPEG if c else None) for c in captions]

    def courier(self, output, name="hook", **options):
        given = {"backlog": "all", "expire": None, "timeout": 30.0, "cameras": None, **options}
        log = logging.getLogger(f"test.{name}")
        return Courier(output, name, self.journal, clock=self.clock, counters=self.counters, log=log, **given)

    def start(self, output, name="hook", **options):
        courier = self.courier(output, name, **options)
        self.tasks[courier] = asyncio.create_task(courier.run())
        return courier

    async def stop(self, courier):
        courier.stop()
        async with asyncio.timeout(20):
            await self.tasks.pop(courier)

    async def close(self):
        for task in self.tasks.values():
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks.values())
        await self.journal.close()

    async def reopen(self):
        await self.close()
        self.tasks = {}
        await self.open()

    async def wait_out(self, condition):
        """Let pauses pass until the condition holds."""

        def step():
            return condition() or (self.clock.sleepers and "step")

        while await eventually(step) == "step":
            await self.clock.advance(1)
            await asyncio.sleep(0.002)


@pytest.fixture
async def house(tmp_path):
    house = House(tmp_path / "data", FakeClock())
    await house.open()
    yield house
    await house.close()


# In order, once each, from now on


async def test_it_delivers_in_order_with_the_picture(house):
    target = Target()
    house.start(target)
    made = await house.record(*(f"Look {n}." for n in range(200)))
    await eventually(lambda: len(target.got) == 200)
    assert [delivery.observation for delivery in target.got] == made
    assert [delivery.seq for delivery in target.got] == list(range(1, 201))
    assert {delivery.picture for delivery in target.got} == {JPEG}
    assert house.counters.value("delivered_total", output="hook") == 200
    assert target.connects == 1


async def test_a_delivery_says_how_old_it_is_also_after_a_restart(house):
    courier = house.start(Target())
    await house.stop(courier)
    await house.record("Before.")
    await house.clock.advance(50)
    await house.reopen()
    await house.record("After.")
    await house.clock.advance(30)
    target = Target()
    house.start(target)
    await eventually(lambda: len(target.got) == 2)
    assert [round(delivery.age) for delivery in target.got] == [80, 30]


async def test_a_new_output_starts_at_now_even_after_a_restart(house):
    await house.record("Before.")
    courier = house.start(Target())
    await house.stop(courier)
    await house.record("While it was away.")
    await house.reopen()
    target = Target()
    house.start(target)
    await house.record("After.")
    await eventually(lambda: target.captions == ["While it was away.", "After."])


async def test_a_restart_goes_on_where_it_stopped(house):
    target = Target()
    courier = house.start(target)
    await house.record("1", "2", "3")
    await eventually(lambda: len(target.got) == 3)
    await house.stop(courier)
    assert target.goodbyes == 1
    await house.record("4")
    await house.reopen()
    target = Target()
    house.start(target)
    await eventually(lambda: target.captions == ["4"])


async def test_asking_for_the_next_confirms_the_last(house):
    target, gate = Target(), asyncio.Event()
    target.on_delivery = lambda _delivery: gate.wait()
    courier = house.start(target)
    await house.record("1", "2")
    await eventually(lambda: target.seen)
    assert house.counters.value("delivered_total") == 0
    assert courier.waiting == 2
    gate.set()
    await eventually(lambda: courier.waiting == 0)


async def test_the_cursor_is_saved_at_most_once_a_second(house):
    saves, save = [], house.journal.save_cursor

    async def counted(output, seq):
        saves.append(seq)
        await save(output, seq)

    house.journal.save_cursor = counted
    target = Target()
    courier = house.start(target)
    await eventually(lambda: saves == [0])
    await house.record(*"123456789")
    await eventually(lambda: len(target.got) == 9 and courier.waiting == 0)
    assert saves == [0]
    await house.clock.advance(1)
    await eventually(lambda: saves == [0, 9] and house.clock.sleepers == 1)
    await house.clock.advance(100)
    await house.stop(courier)
    assert saves == [0, 9]


async def test_only_its_cameras(house):
    target = Target()
    courier = house.start(target, cameras=["yard", "desk"])
    for camera in ("door", "yard", "door", "desk", "door"):
        await house.record(camera, camera=camera)
    await eventually(lambda: target.captions == ["yard", "desk"])
    await eventually(lambda: courier.waiting == 0)  # the last one of another camera is read over
    await house.record(*"x" * 200)
    await eventually(lambda: courier.waiting == 0)
    assert house.counters.value("dropped_total") == 0


async def test_newest_means_that_nothing_later_of_the_camera_waits(house):
    target = Target()
    courier = house.courier(target)
    await house.record("door 1")
    await house.record("yard 1", None, camera="yard")
    await house.record("door 2", None)
    await house.record("yard 2", camera="yard")
    house.tasks[courier] = asyncio.create_task(courier.run())
    await eventually(lambda: len(target.got) == 6)
    assert [(d.observation.camera, d.observation.caption, d.newest) for d in target.got] == [
        ("door", "door 1", False),
        ("yard", "yard 1", False),
        ("yard", None, False),  # a good one came later
        ("door", "door 2", True),  # only a failed one came later
        ("door", None, True),
        ("yard", "yard 2", True),
    ]


async def test_a_picture_that_is_gone_is_none(house):
    target = Target()
    courier = house.courier(target)
    (recorded,) = await house.record("1")
    await asyncio.to_thread((house.data_dir / "pictures" / recorded.picture.path).unlink)
    house.tasks[courier] = asyncio.create_task(courier.run())
    await eventually(lambda: target.got)
    assert target.got[0].picture is None


async def test_an_output_that_stops_asking_in_the_middle_loses_nothing(house):
    class Impatient(Target):
        async def deliver(self, deliveries):
            for ticks in itertools.cycle(range(0, 200, 7)):
                asking = asyncio.ensure_future(anext(deliveries))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    self.got.append(await asking)

    read = house.journal.read

    async def slowly(*arguments):
        rows = await read(*arguments)
        for _ in range(50):  # read, and not yet handed over
            await asyncio.sleep(0)
        return rows

    house.journal.read = slowly
    target = Impatient()
    courier = house.courier(target)
    await house.record(*map(str, range(300)))
    house.tasks[courier] = asyncio.create_task(courier.run())
    await eventually(lambda: len(target.got) >= 300)
    assert target.captions == [str(n) for n in range(300)]


async def test_a_backlog_of_any_size_takes_little_memory(house):
    target = Target()
    courier = house.courier(target)
    await house.record(*"x" * 1000)
    most = 0

    def look(_delivery):
        nonlocal most
        most = max(most, len(courier._reader._rows))

    target.on_delivery = look
    house.tasks[courier] = asyncio.create_task(courier.run())
    await eventually(lambda: len(target.got) == 1000)
    assert most == 64


async def test_idle_it_sleeps(house):
    target = Target()
    courier = house.start(target)
    await house.record("1")
    await eventually(lambda: target.captions == ["1"])
    await house.wait_out(lambda: courier._reader._saved == 1 and not house.clock.sleepers)
    reads, read = [], house.journal.read

    async def counted(*arguments):
        reads.append(arguments)
        return await read(*arguments)

    house.journal.read = counted
    await house.clock.advance(3600)
    assert (reads, house.clock.sleepers) == ([], 0)
    await house.record("2")
    await eventually(lambda: target.captions == ["1", "2"])


# The target is away


async def test_an_hour_s_outage_loses_nothing_and_is_logged_once_each_way(house, caplog):
    caplog.set_level(logging.INFO)
    target, healthy = Target(), Target()
    house.start(target)
    house.start(healthy, "other")
    await house.record("before")
    await eventually(lambda: target.got and healthy.got)
    target.on_delivery = target.on_connect = failing(OutputUnavailable("The broker does not answer"))
    for minute in range(60):
        await house.record(f"minute {minute}")
        for _ in range(12):
            await house.clock.advance(5)
    await eventually(lambda: len(healthy.got) == 61)  # a dead output holds up no other
    assert len(target.got) == 1
    assert 30 < target.connects < 90  # about one a minute
    target.on_delivery = target.on_connect = lambda *_: None
    await house.wait_out(lambda: len(target.got) == 61)
    assert target.captions == healthy.captions == ["before", *(f"minute {n}" for n in range(60))]
    assert [d.newest for d in target.got[1:]] == [False] * 59 + [True]
    said = [(r.levelname, r.message) for r in caplog.records if "hook" in r.message]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert "The broker does not answer" in said[0][1]
    assert re.search(r"works again after (5[89] min|1 h)", said[1][1])
    assert house.counters.value("output_failures_total", output="hook") == target.connects - 1


async def test_a_connect_does_not_end_an_outage(house, caplog):
    caplog.set_level(logging.INFO)
    target = Target()
    courier = house.start(target)
    target.on_delivery = failing(OutputUnavailable("no"))
    await house.record("1")
    for connects in range(1, 6):
        await house.wait_out(lambda wanted=connects: target.connects > wanted)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert courier.problem == "no"
    target.on_delivery = lambda _: None
    await house.wait_out(lambda: len(caplog.records) == 2)
    assert courier.problem is None


@pytest.mark.parametrize(
    "error",
    [
        KeyError("its class is in 'unavailable'"),
        ConnectionRefusedError("nobody there"),
        TimeoutError(),
        OutputUnavailable("away"),
        ExceptionGroup("of a TaskGroup", [ExceptionGroup("inside", [KeyError("x")]), OutputUnavailable("y")]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_these_mean_that_it_is_away(house, error, caplog):
    target = Target()
    house.start(target)
    target.on_delivery = failing(error)
    await house.record("1")
    await house.wait_out(lambda: target.connects == 3)
    target.on_delivery = lambda _: None
    await house.wait_out(lambda: target.captions == ["1"])
    assert house.counters.value("bugs_total") == 0
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_pauses_grow_to_a_minute_and_start_over_after_a_delivery(house):
    target, times = Target(), []
    target.on_connect = lambda: times.append(house.clock.now().monotonic)
    target.on_delivery = failing(OutputUnavailable("away"))
    house.start(target)
    await house.record("1")
    await house.wait_out(lambda: len(times) == 10)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    for pause, nominal in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert nominal * 0.8 - 0.01 <= pause <= nominal + 3  # the test's clock goes on while a busy machine reads
    target.on_delivery = lambda _: None
    await house.wait_out(lambda: target.got)
    target.on_delivery = failing(OutputUnavailable("away"))
    await house.record("2")
    await eventually(lambda: len(target.seen) == len(times) + 1)
    before = house.clock.now().monotonic
    await house.wait_out(lambda: len(times) == 12)
    assert times[11] - before < 30  # not the minute it had grown to


@pytest.mark.parametrize(("asked", "least", "most"), [(600, 600, 600), (0.1, 0.8, 1), (1e9, 3600, 3600)])
async def test_it_waits_as_long_as_the_target_asks_for_up_to_an_hour(house, asked, least, most):
    pauses, sleep = [], house.clock.sleep

    async def noted(seconds):
        if asyncio.current_task().get_name() != "cursor of hook":
            pauses.append(seconds)
        await sleep(seconds)

    house.clock.sleep = noted
    target = Target()
    target.on_delivery = failing(OutputUnavailable("later", retry_after=asked))
    house.start(target)
    await house.record("1")
    await eventually(lambda: pauses)
    assert least <= pauses[0] <= most
    target.on_delivery = lambda _: None
    await house.clock.advance(most)
    await eventually(lambda: target.got)


async def test_an_output_that_ends_by_itself_is_started_again_without_haste(house):
    class Ends(Target):
        async def deliver(self, deliveries):
            self.connects += 1
            self.seen.append(await anext(deliveries))

    target = Ends()
    house.start(target)
    await house.record("1")
    await house.wait_out(lambda: target.connects == 4)
    assert house.clock.now().monotonic >= 1000 + 0.8 + 1.6 + 3.2
    assert [d.observation.caption for d in target.seen[:3]] == ["1", "1", "1"]  # never confirmed


async def test_latest_skips_to_the_newest_of_each_camera_after_an_outage(house):
    target = Target()
    courier = house.start(target, backlog="latest")
    await house.record("first")
    await eventually(lambda: target.captions == ["first"])
    target.on_delivery = target.on_connect = failing(OutputUnavailable("away"))
    await house.record("door 1")
    await eventually(lambda: courier.problem)
    await house.record("yard 1", "yard 2", camera="yard")
    await house.record("door 2", "door 3", None)
    target.on_delivery = target.on_connect = lambda *_: None
    await house.wait_out(lambda: len(target.got) == 4)
    assert target.captions == ["first", "yard 2", "door 3", None]
    assert house.counters.value("dropped_total", reason="overtaken", output="hook") == 3
    await house.record("door 4", "door 5")
    await eventually(lambda: target.captions[4:] == ["door 4", "door 5"])  # connected, it gets them all


async def test_what_is_too_old_is_skipped_and_counted(house):
    target = Target()
    target.on_connect = failing(OutputUnavailable("away"))
    house.start(target, expire=3600)
    await house.record("old", "older")
    await house.clock.advance(3000)
    await house.record("younger")
    await house.clock.advance(700)
    target.on_connect = lambda: None
    await house.wait_out(lambda: target.got)
    assert target.captions == ["younger"]
    assert house.counters.value("dropped_total", reason="expired", output="hook") == 2


async def test_of_an_earlier_run_the_wall_clock_tells_the_age(house):
    house.courier(Target())
    await house.stop(house.start(Target()))
    await house.record("old")
    await house.clock.advance(7000)
    await house.record("young")
    await house.reopen()
    target = Target()
    house.start(target, expire=3600)
    await eventually(lambda: target.captions == ["young"])


@pytest.mark.parametrize("jump", [-400 * 86400, 400 * 86400])
async def test_a_wall_clock_that_jumps_expires_nothing_new(house, jump):
    target = Target()
    target.on_connect = failing(OutputUnavailable("away"))
    house.start(target, expire=3600)
    await house.record("before the jump")
    house.clock.jump(jump)
    await house.record("after the jump")
    target.on_connect = lambda: None
    await house.wait_out(lambda: target.captions == ["before the jump", "after the jump"])


# The target says no


async def test_a_refused_observation_is_said_and_the_next_one_follows(house, caplog):
    target = Target()
    target.on_delivery = _refusing(lambda caption: caption == "2")
    house.start(target)
    made = await house.record("1", "2", "3")
    await eventually(lambda: target.captions == ["1", "3"])
    (said,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert made[1].id in said.message
    assert "422: no such field" in said.message
    assert house.counters.value("dropped_total", reason="refused", output="hook") == 1
    assert house.clock.now().monotonic == 1000  # nothing had to wait


def _refusing(which):
    def refuse(delivery):
        if which(delivery.observation.caption):
            raise ObservationRefused("422: no such field")

    return refuse


async def test_a_target_that_refuses_everything_does_not_fill_the_log(house, caplog):
    caplog.set_level(logging.INFO)
    target = Target()
    target.on_delivery = _refusing(lambda caption: caption != "good")
    house.start(target)
    await house.record(*"x" * 100, "good")
    await eventually(lambda: target.captions == ["good"])
    await house.record("good")
    await eventually(lambda: len(target.got) == 2)
    assert len(caplog.records) == 5 + 2
    assert "it refused 100" in caplog.records[-1].message
    assert house.counters.value("dropped_total", reason="refused") == 100


# It has a bug


async def test_the_same_bug_five_times_puts_the_observation_aside(house, caplog):
    target = Target()

    def divide(delivery):
        return 1 / 0 if delivery.observation.caption == "2" else None

    target.on_delivery = divide
    house.start(target)
    made = await house.record("1", "2", "3")
    await house.wait_out(lambda: target.captions == ["1", "3"])
    assert [d.observation.caption for d in target.seen] == ["1", "2", "2", "2", "2", "2", "3"]
    first, last = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert first.exc_info[0] is ZeroDivisionError
    assert made[1].id in first.message
    assert "put aside" in last.message
    assert made[1].id in last.message
    assert house.counters.value("dropped_total", reason="bug", output="hook") == 1
    assert house.counters.value("bugs_total") == 5


async def test_a_bug_before_any_delivery_costs_no_observation(house, caplog):
    target = Target()
    target.on_connect = failing(AttributeError("oh"))
    house.start(target)
    await house.record("1")
    await house.wait_out(lambda: target.connects == 8)
    assert len(caplog.records) == 1  # not a traceback a minute
    target.on_connect, target.on_delivery = lambda: None, target.on_connect
    await house.wait_out(lambda: len(target.seen) == 4)  # nor does it count against one
    target.on_delivery = lambda _: None
    await house.wait_out(lambda: target.captions == ["1"])


async def test_a_refusal_of_nothing_is_a_bug(house):
    target = Target()
    target.on_connect = failing(ObservationRefused("of what?"))
    house.start(target)
    await house.record("1")
    await house.wait_out(lambda: target.connects == 3)
    assert house.counters.value("bugs_total") >= 2
    assert house.counters.value("dropped_total") == 0


async def test_a_bug_hides_behind_no_outage(house):
    target = Target()
    target.on_delivery = failing(ExceptionGroup("both", [OutputUnavailable("away"), ValueError("bug")]))
    house.start(target)
    await house.record("1")
    await house.wait_out(lambda: target.connects == 2)
    assert house.counters.value("bugs_total", part="output hook") >= 1


# It hangs


async def _forever():
    await asyncio.Event().wait()


async def test_a_send_that_hangs_is_cancelled_and_offered_again(house, caplog):
    target = Target()
    target.on_delivery = lambda _: _forever()
    house.start(target, timeout=0.05)
    await house.record("1")
    await eventually(lambda: "no answer within 0.05 s" in caplog.text)
    target.on_delivery = lambda _: None
    await house.wait_out(lambda: target.captions == ["1"])


async def test_a_connect_that_hangs_is_cancelled(house, caplog):
    target = Target()
    target.on_connect = _forever
    house.start(target, timeout=0.05)
    await eventually(lambda: "no answer within 0.05 s" in caplog.text)
    await house.record("1")
    target.on_connect = lambda: None
    await house.wait_out(lambda: target.captions == ["1"])


async def test_waiting_for_something_new_has_no_deadline(house):
    target = Target()
    house.start(target, timeout=0.05)
    await house.record("1")
    await eventually(lambda: target.captions == ["1"])
    await asyncio.sleep(0.2)  # four deadlines, in which nothing may happen
    await house.record("2")
    await eventually(lambda: target.captions == ["1", "2"])
    assert target.connects == 1


class Stubborn(Target):
    """Swallows cancellation, as a loop with a bare ``except`` does."""

    def __init__(self):
        super().__init__()
        self.let_go = asyncio.Event()

    async def deliver(self, deliveries):
        self.connects += 1
        with contextlib.suppress(StopAsyncIteration):
            self.seen.append(await anext(deliveries))
        while not self.let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.let_go.wait()


async def test_an_output_that_swallows_cancellation_hangs_nobody_else(house, caplog, monkeypatch):
    monkeypatch.setattr("agent.delivery.GRACE", 0.05)
    stubborn, healthy = Stubborn(), Target()
    courier = house.start(stubborn, "stubborn", timeout=0.05)
    house.start(healthy)
    await house.record("1", "2")
    await eventually(lambda: "although it was cancelled" in caplog.text)
    assert healthy.captions == ["1", "2"]
    assert stubborn.connects == 1  # never twice at once
    task = house.tasks.pop(courier)
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
    stubborn.let_go.set()
    await asyncio.sleep(0)


async def test_a_stubborn_output_goes_on_once_it_ends(house, caplog, monkeypatch):
    monkeypatch.setattr("agent.delivery.GRACE", 0.05)
    stubborn = Stubborn()
    house.start(stubborn, timeout=0.05)
    await house.record("1")
    await eventually(lambda: "although it was cancelled" in caplog.text)
    stubborn.let_go.set()
    await house.wait_out(lambda: stubborn.connects >= 2)
    assert {d.observation.caption for d in stubborn.seen} == {"1"}


async def test_deliveries_of_a_call_that_is_over_are_over(house):
    kept = []

    class Keeps(Target):
        async def deliver(self, deliveries):
            kept.append(deliveries)
            await super().deliver(deliveries)

    target = Keeps()
    target.on_delivery = failing(OutputUnavailable("away"))
    house.start(target)
    await house.record("1")
    await house.wait_out(lambda: target.connects == 2)
    with pytest.raises(RuntimeError, match="has ended"):
        await anext(kept[0])


# Stopping


async def test_stop_lets_it_say_goodbye(house):
    target = Target()
    courier = house.start(target)
    await house.record("1")
    await eventually(lambda: target.got)
    await house.stop(courier)
    assert target.goodbyes == 1


async def test_stop_in_the_middle_of_a_send_confirms_it_and_no_more(house):
    target, gate = Target(), asyncio.Event()
    target.on_delivery = lambda _: gate.wait()
    courier = house.start(target)
    await house.record("1", "2")
    await eventually(lambda: target.seen)
    courier.stop()
    gate.set()
    await house.stop(courier)
    assert (target.captions, target.goodbyes) == (["1"], 1)
    await house.reopen()
    target = Target()
    house.start(target)
    await eventually(lambda: target.captions == ["2"])


async def test_stop_during_a_pause_is_at_once(house):
    target = Target()
    target.on_connect = failing(OutputUnavailable("away", retry_after=3600))
    courier = house.start(target)
    await eventually(lambda: courier.problem)
    await house.stop(courier)
    assert target.connects == 1


async def test_a_goodbye_that_hangs_is_cut_short(house):
    class Hangs(Target):
        async def deliver(self, deliveries):
            await super().deliver(deliveries)
            await _forever()

    courier = house.start(Hangs(), timeout=0.05)
    await house.record("1")
    await eventually(lambda: courier.waiting == 0)
    await house.stop(courier)


async def test_cancelled_in_the_middle_of_a_send_it_offers_it_again(house):
    target = Target()
    target.on_delivery = lambda d: _forever() if d.observation.caption == "2" else None
    courier = house.start(target)
    await house.record("1", "2")
    await eventually(lambda: len(target.seen) == 2)
    task = house.tasks.pop(courier)
    task.cancel()
    await asyncio.wait({task})
    await house.reopen()
    target = Target()
    house.start(target)
    await eventually(lambda: target.captions == ["2"])


async def test_a_journal_in_trouble_is_no_fault_of_the_output(tmp_path):
    house = House(tmp_path / "data", SystemClock())
    await house.open()
    target = Target()
    courier = house.courier(target)
    await house.record("1")
    read, times = house.journal.read, []

    async def broken(*arguments):
        times.append(1)
        if len(times) == 1:
            await house.journal._do(failing(OSError(5, "Input/output error")))
        return await read(*arguments)

    house.journal.read = broken
    house.tasks[courier] = asyncio.create_task(courier.run())
    await eventually(lambda: target.captions == ["1"])
    assert house.counters.value("bugs_total") == 0
    await house.close()
