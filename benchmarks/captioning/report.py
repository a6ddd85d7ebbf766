"""The numbers as people read them: a table on the terminal, the same in docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.captioning.plan import PLAN, TOKENS
from benchmarks.captioning.promises import remarks, verdicts
from benchmarks.captioning.results import Results, Times

PART = "captioning"
TARGET = "bench-full"
COLUMNS = (
    "how",
    "picture",
    "s a\ncaption,\nmedian",
    "min / max",
    "picture\nand\nprompt s",
    "words\ns",
    "times as\nfast as\nthe plan",
    "MB",
)
LABELS = 2


def row(results: Results, name: str) -> list[str]:
    """A cell for each column."""
    times = results.rivals[name]
    faster = results.faster(name)
    return [
        times.title,
        times.picture,
        f"{times.p50 / 1000:.2f}",
        f"{min(times.ms.values()) / 1000:.2f} / {max(times.ms.values()) / 1000:.2f}",
        f"{median(times.image_ms) / 1000:.2f}",
        f"{median(times.generate_ms) / 1000:.2f}",
        "1" if name == PLAN else f"{faster:.1f}" if faster else "",
        f"{times.megabytes:.0f}" if times.megabytes else "",
    ]


def on_terminal(results: Results) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number >= LABELS else "left")
    for name in results.rivals:
        table.add_row(*row(results, name))
    return table


def facts(results: Results) -> list[str]:
    """What is no column of the table."""
    first = next(iter(results.rivals.values()), None)
    told = []
    if first is not None:
        tokens = sorted({count for times in results.rivals.values() for count in times.tokens})
        told.append(
            f"{len(first.ms)} frames of 1920x1080, each through every row in turns; {_span(tokens)} tokens a caption "
            f"(asked for: {TOKENS}); random weights in the shape of SmolVLM-500M-Instruct, Q8_0"
        )
    told += [_overhead(times) for times in results.rivals.values() if times.bare_ms]
    for name, questions in results.questions.items():
        told.append(
            f"questions, {name}: one takes {median(questions.one_ms):.0f} ms with the caption, five take "
            f"{median(questions.five_ms):.0f} ms ({len(questions.one_ms)} rounds)"
        )
    if results.tiny_p50_ms is not None:
        told.append(f"the tiny model: a look takes {results.tiny_p50_ms:.0f} ms at p50, {results.tiny_looks} looks")
    told += [
        f"eyes, {one.engine}: {one.slow:.1f} % of {one.scenes} unseen scenes exact without a budget, the picture as it "
        f"is; {one.fast:.1f} % by the fast path"
        for one in results.accuracy
    ]
    return told


def _overhead(times: Times) -> str:
    both = [(ms, times.bare_ms[number]) for number, ms in times.ms.items() if number in times.bare_ms]
    added = median(ms - bare for ms, bare in both)
    return f"{times.title}: camscribe adds {added:.0f} ms at p50 over the bare engine, {len(both)} frames both ways"


def _span(tokens: Sequence[int]) -> str:
    return str(tokens[0]) if len(tokens) == 1 else f"{tokens[0]} to {tokens[-1]}"


def said(results: Results) -> list[str]:
    """All sentences below the table: facts, remarks, promises."""
    return [*facts(results), *remarks(results), *_noise(results), *map(str, verdicts(results))]


def _noise(results: Results) -> list[str]:
    noisy = {part: why for part in results.others_cores if (why := results.disturbed(part))}
    return [f"{part}: {why} meanwhile" for part, why in noisy.items()]


def markdown(results: Results, machine: str, command: str, date: str) -> str:
    heads = [column.replace("\n", " ") for column in COLUMNS]
    rules = ["---" if number < LABELS else "---:" for number in range(len(COLUMNS))]
    cells = [heads, rules, *(row(results, name) for name in results.rivals)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in cells)
    engines = "; ".join(dict.fromkeys(times.engine for times in results.rivals.values() if times.engine))
    notes = [*facts(results), *remarks(results), *_noise(results)]
    lines = [table, "", *(f"- {line}" for line in notes), "", "The promises:", ""]
    lines += [f"- {verdict}" for verdict in verdicts(results)]
    return "\n".join([*lines, "", f"Engines: {engines}.", f"Measured {date}, {machine}; `{command}`."])
