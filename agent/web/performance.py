"""The performance page: the figures of the last hour or day, drawn and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Annotated, Any

import numpy as np
from fastapi import Query, Request, Response

from agent.figures import View, WindowName
from agent.figures.steps import PARTS
from agent.web import charts, words
from agent.web.api.performance import cameras, engines, known_camera, outputs
from agent.web.charts import Tick, Values
from agent.web.columns import Columns
from agent.web.rendering import render, shelf
from agent.web.services import Given

USUAL = 0.97
"""Of the columns' p95: the drawing is as high as these, and marks what is beyond."""
COLUMNS = 180
"""Of a drawing."""
ROWS = 12
"""Of the table that says the same."""
PARTS_OF = {"hour": (3, 2), "day": (4, 2)}
"""While camscribe is young, no more of a window is drawn than is needed."""
YOUNG = 0.2
"""Of a window: while there is less, nothing is drawn but that."""
TICKS = [timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240)]
MOST_TICKS = 6
MOST_COLOURS = 6
WHAT = {
    "frames": "Frames never captioned",
    "observations": "Observations not delivered",
    "pictures": "Pictures not kept",
}
NONE = "\N{EN DASH}"
DROPPED = {
    ("frames", "overtaken"): "overtaken by a fresher one of the same camera",
    ("frames", "stale"): "too old when their turn came",
    ("frames", "paused"): "all cameras were paused",
    ("frames", "switched_off"): "the camera was switched off",
    ("frames", "removed"): "the camera was taken out of the config",
    ("frames", "stopped"): "camscribe was stopped",
    ("frames", "abandoned"): "whoever had asked was gone",
    ("observations", "expired"): "too old for an output",
    ("observations", "overtaken"): "overtaken by a newer one before the output was back",
    ("observations", "refused"): "the output's target refused them",
    ("observations", "bug"): "the output has a bug",
    ("observations", "retention"): "removed by “keep” before an output could take them",
    ("observations", "deleted"): "deleted before an output could take them",
    ("observations", "unreadable"): "they could not be read any more",
    ("observations", "journal"): "the journal could not take them",
    ("pictures", "journal"): "the journal could not take them",
}


@dataclass(frozen=True, slots=True)
class Band:
    """What one colour stands for."""

    key: str
    """The class that has the colour."""
    name: str
    values: Values
    unit: str
    """``ms``, ``bytes`` or ``count``."""
    said: str
    """What is told of it where no moment is picked."""
    path: str = ""
    """Empty: not drawn with the others."""


@dataclass(frozen=True, slots=True)
class Chart:
    key: str
    title: str
    said: str
    """For those who can't see it."""
    when: str
    """What is told where no moment is picked."""
    areas: Sequence[Band]
    """The first is the lowest layer of paint."""
    lines: Sequence[Band]
    told: Sequence[Band]
    """Every one, in the order of the key."""
    ticks: Sequence[Tick]
    beyond: Sequence[tuple[int, int]] = ()
    """First column and count of what is higher than the drawing."""

    @property
    def columns(self) -> Sequence[Mapping[str, Any]]:
        """For the script that tells the values of a moment."""
        return [
            {
                "key": band.key,
                "name": band.name,
                "unit": band.unit,
                "values": [None if value is None else round(value) for value in band.values],
            }
            for band in self.told
        ]


async def performance_page(
    request: Request,
    services: Given,
    window: Annotated[WindowName, Query()] = "hour",
    camera: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    view = services.figures.read(window, known_camera(services, camera))
    zone = shelf().zone
    drawn, count = _drawn(view, COLUMNS)
    columns = Columns(drawn, count)
    every = next(apart for apart in TICKS if (columns.end - columns.start) / apart <= MOST_TICKS)
    table = cameras(services, view)
    names = {each.camera: each.name for each in table}
    return render(
        request,
        "performance.html.j2",
        view=view,
        camera_name=names.get(view.camera, view.camera) if view.camera else None,
        cameras=table,
        shown=[each for each in table if view.camera in (None, each.camera)],
        scale=max((sum(each.means.values()) for each in table), default=0.0),
        columns=columns,
        gaps=charts.spans([not running for running in columns.running]),
        failed=charts.spans([bool(count) for count in columns.failed]),
        hours=charts.times(columns.start, columns.end, every, zone),
        latency=_latency(drawn, columns),
        queue=_queue(drawn, columns),
        memory=_memory(drawn, columns),
        rows=_rows(*_drawn(view, ROWS), zone),
        drops=_drops(view),
        engines=engines(services),
        outputs=outputs(services),
        started=view.since.astimezone(zone),
        size=size,
        none_=NONE,
        WHAT=WHAT,
        state=services.house.state,
    )


def _when(view: View) -> str:
    """What the key is of where no moment is picked."""
    return f"the whole {view.window}" if view.complete else "since the start"


def _drawn(view: View, most: int) -> tuple[View, int]:
    """What there is of it, and into how many columns it is cut."""
    count = len(view.running)
    known = count - max((view.since - view.start) // view.step, 0)
    if known >= YOUNG * count:
        count = next((count // part for part in PARTS_OF[view.window] if count // part > known), count)
        return view.latest(count), min(most, count)
    each = 1
    while (fewer := math.ceil((known + each - 1) / each)) > most:  # their edges may leave out all but one of the first
        each += 1
    return view.latest(fewer * each), fewer


def _latency(view: View, columns: Columns) -> Chart:
    whole = view.whole
    top = charts.top(max(charts.usual(columns.p95, USUAL), charts.highest(columns.means["total"])), 100)
    piled = charts.stacked([columns.means[part] for part in PARTS])
    parts = [
        Band(part, words.PARTS[part], columns.means[part], "ms", _ms(whole.means.get(part)), charts.area(level, top))
        for part, level in zip(PARTS, piled, strict=True)
    ]
    total = Band(
        "total", "Mean look", columns.means["total"], "ms", _ms(sum(whole.means.values()) if whole.means else None)
    )
    p95 = Band("p95", "95 of 100 took at most", columns.p95, "ms", _ms(whole.p95), charts.line(columns.p95, top))
    failed = Band("failed", "Failed looks", columns.failed, "count", f"{whole.failed:,}")
    said = "No look has come to a caption in this time."
    if whole.means:
        stages = ", ".join(f"{band.name.lower()} {band.said}" for band in parts)
        said = f"The mean look took {total.said}: {stages}. 95 of 100 looks took at most {p95.said}."
    return Chart(
        key="latency",
        title="Where the time of a look goes",
        said=said,
        when=_when(view),
        areas=parts[::-1],
        lines=[p95],
        told=[*parts, total, p95, failed],
        ticks=_ticks(top, lambda ms: f"{ms:g} ms" if top < 1000 else f"{ms / 1000:g} s"),
        beyond=charts.spans([value is not None and value > top for value in columns.p95]),
    )


def _queue(view: View, columns: Columns) -> Chart:
    waited = columns.most(view.queued)
    frames = [series for (what, _), series in view.drops.items() if what == "frames"]
    dropped = columns.sum(np.nansum(frames, axis=0) if frames else np.zeros_like(view.queued))
    top = charts.top(max(charts.highest(waited), charts.highest(dropped)), 4)
    most, count = int(charts.highest(waited)), int(sum(value or 0 for value in dropped))
    queued = Band("queued", "Waited, at most", waited, "count", f"{most:,}", charts.line(waited, top))
    lost = Band("dropped", "Dropped", dropped, "count", f"{count:,}", charts.area(dropped, top))
    return Chart(
        key="queue",
        title="Frames waiting and dropped",
        said=f"At most {_many(most)} waited at once. Dropped: {_many(count)}.",
        when=_when(view),
        areas=[lost],
        lines=[queued],
        told=[queued, lost],
        ticks=_ticks(top, lambda value: f"{value:g}"),
    )


def _memory(view: View, columns: Columns) -> Chart:
    series = {"camscribe": view.memory, **{f"Engine of {name}": each for name, each in view.engines.items()}}
    values = [columns.most(each) for each in series.values()]
    piled = charts.stacked(values)
    top = charts.top(charts.highest(*piled), 1e8)
    held = [_last(each) for each in values]
    bands = [
        Band(f"memory-{at % MOST_COLOURS}", name, each, "bytes", size(now), charts.area(level, top))
        for at, (name, each, level, now) in enumerate(zip(series, values, piled, held, strict=True))
    ]
    whole = sum(now for now in held if now is not None)
    parts = ", ".join(f"{band.name} {band.said}" for band in bands)
    return Chart(
        key="memory",
        title="Memory",
        said=f"Now {size(whole)} in all: {parts}." if whole else "Nothing has been measured in this time.",
        when="now",
        areas=bands[::-1],
        lines=[],
        told=bands,
        ticks=_ticks(top, lambda held: f"{held / 1e6:g} MB" if top < 1e9 else f"{held / 1e9:g} GB"),
    )


def _rows(view: View, count: int, zone: tzinfo) -> dict[str, tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """The tables that say what the drawings say: their heads, and their rows with the time first."""
    rows = Columns(view, count)
    begins = [(rows.start + rows.width * row).astimezone(zone) for row in range(count)]
    clock = "%H:%M:%S" if rows.width % timedelta(minutes=1) else "%H:%M"
    spans = [f"{begin:{clock}}{NONE}{begin + rows.width:{clock}}" for begin in begins]
    frames = {reason: rows.sum(series) for (what, reason), series in view.drops.items() if what == "frames"}
    memory = {"camscribe": view.memory, **{f"engine of {name}": each for name, each in view.engines.items()}}
    latency: list[Sequence[str]] = [
        spans,
        *([_count(value) for value in values] for values in (rows.looks, rows.failed)),
        *([_ms(value) for value in rows.means[part]] for part in (*PARTS, "total")),
        [_ms(value) for value in rows.p95],
    ]
    queue = [[_count(value) for value in values] for values in (rows.most(view.queued), *frames.values())]
    held = [[size(value) for value in rows.most(series)] for series in memory.values()]
    heads = ["Looks", "Failed", *(words.PARTS[part] for part in PARTS), "Mean look", "95 of 100 took at most"]
    return {
        "latency": (heads, _turned(latency)),
        "queue": (["Waited, at most", *(f"Dropped: {reason}" for reason in frames)], _turned([spans, *queue])),
        "memory": (list(memory), _turned([spans, *held])),
    }


def _turned(columns: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    return list(zip(*columns, strict=True))


def _drops(view: View) -> list[tuple[str, str, int]]:
    """What was dropped, why in words, and how many."""
    counted = [(what, reason, int(np.nansum(series))) for (what, reason), series in view.drops.items()]
    return sorted(
        (
            (what, DROPPED.get((what, reason), reason.replace("_", " ")), count)
            for what, reason, count in counted
            if count
        ),
        key=lambda drop: (list(WHAT).index(drop[0]), -drop[2]),
    )


def _ticks(top: float, said: Callable[[float], str]) -> list[Tick]:
    return [
        Tick(f"{100 - 100 * part / charts.TICKS:g}%", said(top * part / charts.TICKS))
        for part in range(charts.TICKS + 1)
    ]


def size(value: float | None) -> str:
    """``86 MB``, ``1.2 GB``."""
    if value is None:
        return NONE
    return f"{value / 1e9:.3g} GB" if value >= 999.5e6 else f"{value / 1e6:.0f} MB"


def _ms(value: float | None) -> str:
    return NONE if value is None else words.milliseconds(value)


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def _many(count: int) -> str:
    return f"{count:,} frame{'s' * (count != 1)}"


def _last(values: Values) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
