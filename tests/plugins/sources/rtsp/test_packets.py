"""How coded pictures are kept and judged."""

from __future__ import annotations

import av
import pytest

from agent.plugin import Moment
from plugins.sources.rtsp.codec import Codec
from plugins.sources.rtsp.packets import MOST_BYTES, MOST_PICTURES, Coded, Group, KeyInterval, LagMeter


def coded(size: int = 10) -> Coded:
    return Coded(av.Packet(size), Moment.now(), 0.0, 0.0)


def group(size: int = 10) -> Group:
    return Group(coded(size), Codec("h264", None))


def test_group_gives_its_pictures_in_order_and_keeps_its_key_frame() -> None:
    pictures, following = group(), coded()
    pictures.add(following)
    assert pictures.whole
    assert [pictures.next(), pictures.next(), pictures.next()] == [pictures.key, following, None]


@pytest.mark.parametrize(("count", "size"), [(MOST_PICTURES, 10), (25, MOST_BYTES // 25)])
def test_group_is_full_until_pictures_are_taken_out_of_it(count: int, size: int) -> None:
    pictures = group(size)
    for _ in range(count - 1):
        pictures.add(coded(size))
    assert not pictures.full
    pictures.add(coded(size))
    assert pictures.full
    assert pictures.next() is pictures.key
    assert not pictures.full
    assert pictures.whole


def test_spoiled_group_keeps_nothing() -> None:
    pictures = group()
    pictures.add(coded())
    pictures.spoil()
    pictures.add(coded())
    assert not pictures.whole
    assert pictures.next() is None


def test_key_interval_is_the_longest_of_the_last_three() -> None:
    keys = KeyInterval()
    assert keys.due_in(0) is None
    for arrived in (0, 9, 11, 13, 14):
        keys.key_at(arrived)
    assert keys.seconds == 2
    assert keys.due_in(15) == 1


def measured(arrivals: list[tuple[float, float | None]]) -> list[float]:
    meter = LagMeter()
    return [round(meter.measure(arrived, clock), 1) for arrived, clock in arrivals]


def test_steady_stream_does_not_lag() -> None:
    assert set(measured([(100 + n / 25, n / 25) for n in range(1000)])) == {0}


def test_backlog_is_lag() -> None:
    standstill = [(112 + n / 1000, 1 + n / 25) for n in range(300)]
    lags = measured([(100 + n / 25, n / 25) for n in range(25)] + standstill)
    assert lags[25] == 11
    assert lags[-1] < 0.5


def test_slow_camera_clock_is_no_lag() -> None:
    day = [(n * 1.0002, float(n)) for n in range(0, 86_400, 5)]
    assert max(measured(day)) == 0


def test_stream_at_half_speed_lags() -> None:
    assert measured([(n * 2.0, float(n)) for n in range(11)])[-1] == 10


@pytest.mark.parametrize("leap", [3600, -3600])
def test_leaping_camera_clock_is_no_lag(leap: int) -> None:
    before = [(n / 25, n / 25) for n in range(50)]
    after = [(n / 25, n / 25 + leap) for n in range(50, 100)]
    assert set(measured(before + after)) == {0}


def test_lag_is_not_forgotten_when_the_clock_leaps() -> None:
    arrivals = [(0.0, 0.0), (3.0, 1.0), (3.04, -500.0), (3.08, -499.96)]
    assert measured(arrivals)[-1] == 2


def test_first_picture_that_took_long_is_not_fresh() -> None:
    meter = LagMeter()
    assert [meter.measure(5.0, 0.0, 4.9), meter.measure(5.1, 0.1, 0.1)] == [4.9, 0.0]


def test_picture_without_a_timestamp_lags_as_the_last() -> None:
    assert measured([(0.0, 0.0), (3.0, 1.0), (3.1, None)]) == [0, 2, 2]
