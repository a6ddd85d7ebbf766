from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from agent.figures import Figures
from agent.status import Counters
from agent.web import charts
from agent.web.columns import Columns
from tests.fakes.clock import FakeClock
from tests.fakes.figured import lived_in, look


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 4), (3, 4), (4, 4), (4.1, 8), (9, 12), (13, 16), (17, 20), (990, 1200)]
)
def test_the_edge_is_where_every_tick_is_a_short_number(highest: float, top: float):
    assert charts.top(highest, 4) == top


def test_areas_and_lines_are_steps_that_stop_where_there_is_nothing():
    values = [50.0, 50.0, 100.0, None, 0.0]
    assert charts.area(values, 100) == "M0 100V50h2V0h1V100zM4 100V100h1V100z"
    assert charts.line(values, 100) == "M0 50V50h2V0h1M4 100V100h1"
    assert charts.area([300.0], 100) == "M0 100V0h1V100z"  # not beyond the edge
    assert charts.stacked([[1, None, None], [2, 3, None]]) == [[1, None, None], [3, 3, None]]
    assert charts.spans([True, True, False, True]) == [(0, 2), (3, 1)]


def test_hours_are_those_of_the_clock_on_the_wall_when_it_is_set_back():
    start = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
    ticks = charts.times(start, start + timedelta(hours=8), timedelta(hours=1), ZoneInfo("Europe/Berlin"))
    assert [tick.said for tick in ticks] == [
        "22:00",
        "23:00",
        "00:00",
        "01:00",
        "02:00",
        "02:00",
        "03:00",
        "04:00",
        "05:00",
    ]
    assert [tick.anchor for tick in (ticks[0], ticks[1], ticks[-1])] == ["start", "middle", "end"]
    assert ticks[4].at == "50.00%"


def test_columns_hold_every_look_once_and_weigh_their_means():
    figures = lived_in(minutes=120, asleep=range(0))(FakeClock(), Counters())
    view = figures.read("hour")
    fine, coarse = Columns(view, 180), Columns(view, 12)
    assert fine.start <= coarse.start
    looks = sum(count or 0 for count in coarse.looks)
    assert looks == view.counts[-round((view.start + view.step * 360 - coarse.start) / view.step) :, 0].sum()
    assert sum(coarse.means[part][3] for part in coarse.means if part != "total") == pytest.approx(
        coarse.means["total"][3], rel=0.01
    )
    assert charts.highest(fine.p95) == charts.highest(coarse.p95) == pytest.approx(np.nanmax(view.spread[:, -1, 2]))


async def test_columns_stay_where_they_are_while_time_goes_on():
    clock, counters = FakeClock(), Counters()
    figures = Figures(clock, counters)
    figures.looked(look(image=100))
    starts = set()
    for _ in range(6):
        starts.add(Columns(figures.read("hour"), 120).start)
        await clock.advance(10)
    assert len(starts) == 2
    assert max(starts) - min(starts) == timedelta(seconds=30)
