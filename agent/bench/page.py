"""A run as one HTML page: no other file, light and dark, every text of a model or an engine escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.bench import figures
from agent.bench.results import Look, Row, Run, p50, quantile
from agent.bench.terminal import NOISE

MOST_DOTS = 200
"""Looks drawn one by one; of more, evenly many."""
MOST_CAPTIONS = 12
LONGEST_CAPTION = 300
WIDTH = 1000.0
"""Units of the drawings."""


@dataclass(frozen=True, slots=True)
class Box:
    """The spread of the looks one way, in drawing units: the middle half, and to the 95th percentile."""

    way: str
    low: float
    quarter: float
    middle: float
    three_quarters: float
    p95: float
    dots: Sequence[float]
    said: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar that shows where the time goes."""

    name: str
    said: str
    share: float
    at: float
    width: float


def html(run: Run) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scale = max((look.ms for looks in _all(run) for look in looks), default=1.0)
    return environment.get_template("page.html.j2").render(
        run=run,
        noise=NOISE,
        machine=str(run.machine),
        ticks=[(_at(scale * part / 4, scale), figures.ms(scale * part / 4)) for part in range(5)],
        rows=[
            {
                "row": row,
                "engine": figures.engine(row),
                "p50": figures.ms(p50(row.agent)),
                "lines": figures.lines(row),
                "boxes": [_box(way, looks, scale) for way, looks in _ways(row) if looks],
                "parts": _parts(row),
                "captions": _captions(row),
            }
            for row in run.captioners
        ],
    )


def _all(run: Run) -> list[list[Look]]:
    return [looks for row in run.captioners for _, looks in _ways(row)]


def _ways(row: Row) -> list[tuple[str, list[Look]]]:
    return [("through camscribe", row.agent), ("straight to the engine", row.bare)]


def _at(ms: float, scale: float) -> float:
    return round(WIDTH * ms / scale, 1)


def _box(way: str, looks: Sequence[Look], scale: float) -> Box:
    times = sorted(look.ms for look in looks)
    quarter, middle, three, last = (quantile(looks, part) for part in (0.25, 0.5, 0.75, 0.95))
    dots = times[:: -(-len(times) // MOST_DOTS)]
    return Box(
        way,
        low=_at(times[0], scale),
        quarter=_at(quarter, scale),
        middle=_at(middle, scale),
        three_quarters=_at(three, scale),
        p95=_at(last, scale),
        dots=[_at(value, scale) for value in dots],
        said=f"{way}: p50 {figures.ms(middle)}, p95 {figures.ms(last)}, {len(times)} looks",
    )


def _parts(row: Row) -> list[Part]:
    whole = sum(row.breakdown.values())
    parts, at = [], 0.0
    for name, value in row.breakdown.items():
        width = WIDTH * value / whole if whole else 0.0
        said = f"{figures.LABELS[name]}: {figures.ms(value)}"
        parts.append(Part(name, said, round(value / whole, 3) if whole else 0.0, round(at, 1), round(width, 1)))
        at += width
    return parts


def _captions(row: Row) -> list[tuple[int, str]]:
    looks = sorted(row.agent, key=lambda look: look.number)[:MOST_CAPTIONS]
    return [(look.number + 1, (look.caption or "")[:LONGEST_CAPTION]) for look in looks]
