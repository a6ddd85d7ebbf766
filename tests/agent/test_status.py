from __future__ import annotations

import logging
import threading

import pytest

from agent.status import Counters, Outage, duration
from tests.fakes.clock import FakeClock


def test_a_value_sums_what_carries_the_labels():
    counters = Counters()
    counters.add("dropped_total", reason="expired", output="mqtt")
    counters.add("dropped_total", 2, reason="expired", output="hook")
    counters.add("dropped_total", amount=4, output="hook", reason="bug")
    counters.add("delivered_total")
    assert counters.value("dropped_total", reason="expired") == 3
    assert counters.value("dropped_total", output="hook") == 6
    assert counters.value("dropped_total") == 7
    assert counters.value("dropped_total", reason="never") == 0
    assert counters.snapshot() == {
        "delivered_total": 1,
        'dropped_total{output="hook",reason="bug"}': 4,
        'dropped_total{output="hook",reason="expired"}': 2,
        'dropped_total{output="mqtt",reason="expired"}': 1,
    }
    assert ("delivered_total", {}, 1) in list(counters)


def test_a_label_may_be_called_name():
    counters = Counters()
    counters.add("looks_total", name="door")
    assert counters.value("looks_total", name="door") == 1


def test_no_count_is_lost_between_threads():
    counters = Counters()
    threads = [threading.Thread(target=lambda: [counters.add("n") for _ in range(20_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.value("n") == 80_000


async def test_an_outage_is_logged_once_each_way(caplog):
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    outage = Outage("Camera door", logging.getLogger("test"), clock, each="looks")
    outage.ends()
    for _ in range(120):
        outage.begins("nobody answers")
        await clock.advance(31)
    assert outage.reason == "nobody answers"
    outage.ends()
    outage.ends()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "Camera door: nobody answers"),
        ("INFO", "Camera door: works again after 1 h 2 min (120 looks failed)"),
    ]
    assert outage.reason is None
    outage.begins("again")
    assert outage.affected == 1


async def test_another_reason_is_said_but_not_forever(caplog):
    caplog.set_level(logging.INFO)
    outage = Outage("Camera door", logging.getLogger("test"), FakeClock())
    for number in range(50):
        outage.begins(f"port {number} is closed")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "INFO"]
    assert outage.reason == "port 49 is closed"


async def test_what_somebody_must_mend_is_an_error_once_even_in_an_outage_that_began_otherwise(caplog):
    caplog.set_level(logging.INFO)
    outage = Outage("Output mqtt", logging.getLogger("test"), FakeClock())
    outage.begins("gone")
    for _ in range(5):
        outage.begins("wrong password", logging.ERROR)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (185, "3 min 5 s"), (3720, "1 h 2 min"), (273_600, "3 d 4 h")],
)
def test_a_duration_reads_like_one(seconds, text):
    assert duration(seconds) == text
