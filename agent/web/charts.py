"""Values over time as SVG paths: a unit for each column, 100 units high; the browser stretches them to their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

Values = Sequence[float | None]
"""One a column; None: there is none, and nothing is drawn."""
HEIGHT = 100.0
TICKS = 4
STEPS = (1, 2, 3, 4, 5, 6, 8, 10)
"""From one tick to the next it is one of these, times a power of ten."""


@dataclass(frozen=True, slots=True)
class Tick:
    at: str
    """Where, in percent of the width or the height."""
    said: str
    anchor: str = "start"


def top(highest: float, least: float) -> float:
    """The value at the upper edge, with short numbers at every tick; at least ``least``."""
    apart = max(highest, least) / TICKS
    power = 10.0 ** math.floor(math.log10(apart))
    return next(TICKS * step * power for step in STEPS if step * power >= apart * (1 - 1e-9))


def highest(*series: Values) -> float:
    return max((value for values in series for value in values if value is not None), default=0.0)


def usual(values: Values, part: float) -> float:
    """What so many of them do not exceed: one outlier is not to make everything else small."""
    there = sorted(value for value in values if value is not None)
    return there[math.ceil(part * len(there)) - 1] if there else 0.0


def area(values: Values, top: float) -> str:
    """Filled from the ground, in steps."""
    drawn = []
    for begin, levels in _runs(values, top):
        drawn.append(f"M{begin} {_short(HEIGHT)}{_steps(levels)}V{_short(HEIGHT)}z")
    return "".join(drawn)


def line(values: Values, top: float) -> str:
    drawn = []
    for begin, levels in _runs(values, top):
        drawn.append(f"M{begin} {_short(levels[0])}{_steps(levels)}")
    return "".join(drawn)


def spans(there: Sequence[bool]) -> list[tuple[int, int]]:
    """Where something is, as first column and number of columns."""
    found: list[tuple[int, int]] = []
    for at, is_ in enumerate(there):
        if is_ and found and sum(found[-1]) == at:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        elif is_:
            found.append((at, 1))
    return found


def stacked(parts: Sequence[Values]) -> list[Values]:
    """Each on top of those before it."""
    reached: list[Values] = []
    for values in parts:
        below = reached[-1] if reached else [None] * len(values)
        reached.append(
            [None if a is None and b is None else (a or 0.0) + (b or 0.0) for a, b in zip(below, values, strict=True)]
        )
    return reached


def times(start: datetime, end: datetime, every: timedelta, zone: tzinfo) -> list[Tick]:
    """Where the clock shows a whole number of ``every``, of at most a day."""
    found = []
    at = start.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    midnight = at.replace(hour=0)
    whole = (end - start).total_seconds()
    # On the clock on the wall: where summer time begins or ends, an hour of it is missing or there twice.
    while (moment := at.astimezone(start.tzinfo)) <= end:
        if moment >= start and (at.replace(tzinfo=None) - midnight.replace(tzinfo=None)) % every == timedelta():
            part = (moment - start).total_seconds() / whole
            anchor = "start" if part < 0.04 else "end" if part > 0.96 else "middle"
            found.append(Tick(f"{100 * part:.2f}%", f"{at:%H:%M}", anchor))
        at = (moment + min(every, timedelta(minutes=15))).astimezone(zone)
    return found


def _runs(values: Values, top: float) -> Iterator[tuple[int, list[float]]]:
    """Neighbouring columns that have a value: where they begin, and how far down each reaches."""
    levels: list[float] = []
    for at, value in enumerate([*values, None]):
        if value is not None:
            levels.append(round(HEIGHT - HEIGHT * min(value / top, 1.0), 1))
        elif levels:
            yield at - len(levels), levels
            levels = []


def _steps(levels: Sequence[float]) -> str:
    drawn, width = [], 0
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        width += 1
        if level != following:
            drawn.append(f"V{_short(level)}h{width}")
            width = 0
    return "".join(drawn)


def _short(number: float) -> str:
    return f"{number:g}"
