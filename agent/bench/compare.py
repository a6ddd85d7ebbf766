"""Two runs side by side: how many times as long, which is faster, and what else is not the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.bench import figures
from agent.bench.results import Row, Run, p50, p95

ALIKE = 0.03
"""Ratios closer to 1 say nothing."""
_CALLED = {"geometry": "picture's geometry", "size": "picture's size"}


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both."""

    what: str
    a: str
    b: str
    ratio: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A captioner that both runs have."""

    name: str
    lines: Sequence[Line]
    sentence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``differences``: sentences about what makes the two runs unlike."""

    a: Run
    b: Run
    pairs: Sequence[Pair]
    differences: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Figure:
    what: str
    of: Callable[[Row], float | None]
    shown: Callable[[float | None], str]
    better: str = "faster"
    most_wins: bool = False


_FIGURES = (
    _Figure("p50", lambda row: p50(row.agent), figures.ms),
    _Figure("p95", lambda row: p95(row.agent), figures.ms),
    _Figure("bare engine p50", lambda row: p50(row.bare), figures.ms),
    _Figure("camscribe adds", lambda row: row.overhead_ms, figures.ms, better="less"),
    _Figure("tokens a second", lambda row: row.tokens_per_second, figures.number, most_wins=True),
    _Figure(
        "memory of the engine",
        lambda row: row.memory.engine if row.memory else None,
        lambda value: figures.size(None if value is None else int(value)),
        better="less",
    ),
    _Figure("failures", lambda row: float(sum(row.failures.values())), lambda value: f"{value:.0f}", better="fewer"),
)


def compared(a: Run, b: Run) -> Comparison:
    """By the captioners' names; where each run has one only, those two."""
    theirs = {row.name: row for row in b.captioners}
    both = [(row, theirs[row.name]) for row in a.captioners if row.name in theirs]
    if not both and len(a.captioners) == len(b.captioners) == 1:
        both = [(a.captioners[0], b.captioners[0])]
    return Comparison(a, b, [_pair(ours, other) for ours, other in both], [*_differences(a, b, both)])


def _pair(a: Row, b: Row) -> Pair:
    name = a.name if a.name == b.name else f"{a.name} and {b.name}"
    return Pair(name, [_line(figure, a, b) for figure in _FIGURES], _sentence(a, b))


def _line(figure: _Figure, a: Row, b: Row) -> Line:
    one, other = figure.of(a), figure.of(b)
    shown = figure.what, figure.shown(one), figure.shown(other)
    if one is None or other is None:
        return Line(*shown, figures.NONE, "")
    verdict = ""
    if abs(other - one) > ALIKE * max(abs(one), abs(other)):
        verdict = f"{'B' if (other > one) == figure.most_wins else 'A'} is {figure.better}"
    return Line(*shown, f"{other / one:.2f}x" if one > 0 and other > 0 else figures.NONE, verdict)


def _sentence(a: Row, b: Row) -> str:
    one, other = p50(a.agent), p50(b.agent)
    if one is None or other is None:
        missing = " and ".join(side for side, value in (("A", one), ("B", other)) if value is None)
        return f"{missing} has no caption to compare."
    quick, slow, side = (other, one, "B") if other < one else (one, other, "A")
    if slow / quick < 1 + ALIKE:
        return "Equally fast, within 3 %."
    return f"{side} is {slow / quick:.2f}x as fast."


def _differences(a: Run, b: Run, both: Sequence[tuple[Row, Row]]) -> list[str]:
    told = [f"{what}: {one} and {other}" for what, one, other in _of_runs(a, b) if one != other]
    for one, other in both:
        for what in ("model", "plugin", "geometry", "size", "engine"):
            ours, theirs = getattr(one, what), getattr(other, what)
            if ours != theirs:
                ours, theirs = (figures.engine(one), figures.engine(other)) if what == "engine" else (ours, theirs)
                told.append(
                    f"the {'picture ' * (what in ('geometry', 'size'))}{what} of {one.name}: {ours} and {theirs}"
                )
    told += [_alone("A", row) for row in a.captioners if row not in [one for one, _ in both]]
    return told + [_alone("B", row) for row in b.captioners if row not in [other for _, other in both]]


def _alone(side: str, row: Row) -> str:
    return f"only {side} has the captioner {row.name}"


def _of_runs(a: Run, b: Run) -> list[tuple[str, object, object]]:
    return [
        ("the machine", _hardware(a), _hardware(b)),
        ("camscribe", _version(a), _version(b)),
        ("the pictures", a.pictures, b.pictures),
        ("looks", a.count, b.count),
        ("the prompt", a.prompt, b.prompt),
        ("the most tokens", a.max_tokens, b.max_tokens),
    ]


def _hardware(run: Run) -> str:
    machine = run.machine
    return f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB, {machine.system}"


def _version(run: Run) -> str:
    return f"{run.machine.camscribe}{f' at {run.machine.commit}' if run.machine.commit else ''}"
