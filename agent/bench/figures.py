"""How figures are written."""

from __future__ import annotations

from statistics import median

from agent.bench.results import Row, p50, p95

NONE = "-"
LABELS = {
    "capture": "capture",
    "queue": "queue",
    "encode": "prepare the pictures",
    "image": "picture and prompt",
    "generate": "words",
    "other": "other",
}
"""What people read for the parts of a look."""


def plain(text: str) -> str:
    """What somebody else says, for a terminal: it must not move the cursor there, or worse."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def ms(value: float | None) -> str:
    if value is None:
        return NONE
    if abs(value) >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if abs(value) >= 100 else f"{value:.1f} ms"


def share(value: float | None) -> str:
    return NONE if value is None else f"{value:+.1%}"


def size(value: int | None) -> str:
    return NONE if value is None else f"{value / 1e6:.0f} MB"


def number(value: float | None, digits: int = 1) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def overhead(row: Row) -> str:
    if row.overhead_ms is None:
        return f"{NONE} (no bare engine to ask)" if row.agent and not row.bare else NONE
    return f"{ms(row.overhead_ms)} ({share(row.overhead)})"


def failures(row: Row) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in row.failures.items()) or "none"


def engine(row: Row) -> str:
    """What it says of itself, and what else is known."""
    about, build, threads = row.engine.about, row.engine.build, row.engine.threads
    more = [f"build {build}"] if build and build not in about else []
    if threads and "thread" not in about:
        more.append(f"{threads} thread{'s' * (threads > 1)}")
    return "; ".join([about, *more])


def lines(row: Row) -> list[tuple[str, str]]:
    """Every figure of a captioner, with its name."""
    view = f"{row.size} px {row.geometry.value}" if row.geometry and row.size else NONE
    told = [
        ("model", row.model),
        ("picture", view),
        ("looks", f"{len(row.agent)} and {len(row.bare)} bare"),
        ("p50", ms(p50(row.agent))),
        ("p95", ms(p95(row.agent))),
        ("bare engine p50", ms(p50(row.bare))),
        ("bare engine p95", ms(p95(row.bare))),
        ("camscribe adds (p50)", overhead(row)),
        ("tokens (median)", number(median(look.tokens for look in row.agent), 0) if row.agent else NONE),
        ("tokens a second", number(row.tokens_per_second)),
    ]
    told += [(f"  {LABELS[part]} (mean)", ms(value)) for part, value in row.breakdown.items()]
    memory = row.memory
    return [
        *told,
        ("memory of the engine", size(memory.engine) if memory else NONE),
        ("memory of camscribe", size(memory.agent) if memory else NONE),
        ("until ready", NONE if row.started_s is None else f"{row.started_s:.1f} s"),
        ("failures", failures(row)),
    ]
