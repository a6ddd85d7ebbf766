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
QUESTION_COLUMNS = ("caption and questions", "with one,\nms, median", "with five,\nms, median", "times", "rounds")


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


def on_terminal(results: Results) -> list[Table]:
    return [_table(columns, labels, rows) for columns, labels, rows in _tables(results)]


def _tables(results: Results) -> list[tuple[Sequence[str], int, list[list[str]]]]:
    """The columns, how many of them hold words, and the rows."""
    return [
        (COLUMNS, LABELS, [row(results, name) for name in results.rivals]),
        (QUESTION_COLUMNS, 1, questions_rows(results)),
    ]


def _table(columns: Sequence[str], labels: int, rows: list[list[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= labels else "left")
    for cells in rows:
        table.add_row(*cells)
    return table


def questions_rows(results: Results) -> list[list[str]]:
    """A cell for each column: what a caption with questions takes."""
    return [
        [
            f"{name}, answers of {one.tokens} tokens",
            f"{median(one.one_ms):.0f}",
            f"{median(one.five_ms):.0f}",
            f"{one.ratio:.2f}",
            str(len(one.one_ms)),
        ]
        for kind in (results.questions, results.long_questions)
        for name, one in kind.items()
    ]


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
    return f"{times.title}: camscribe adds {added:.0f} ms at p50 over the bare engine, {len(both)} looks both ways"


def _span(tokens: Sequence[int]) -> str:
    return str(tokens[0]) if len(tokens) == 1 else f"{tokens[0]} to {tokens[-1]}"


def said(results: Results) -> list[str]:
    """All sentences below the table: facts, remarks, promises."""
    return [*facts(results), *remarks(results), *_noise(results), *map(str, verdicts(results))]


def _noise(results: Results) -> list[str]:
    noisy = {part: why for part in results.others_cores if (why := results.disturbed(part))}
    return [f"{part}: {why} meanwhile" for part, why in noisy.items()]


def markdown(results: Results, machine: str, command: str, date: str) -> str:
    tables = [_in_markdown(*one) for one in _tables(results)]
    engines = "; ".join(dict.fromkeys(times.engine for times in results.rivals.values() if times.engine))
    notes = [*facts(results), *remarks(results), *_noise(results)]
    lines = ["\n\n".join(tables), "", *(f"- {line}" for line in notes), "", "The promises:", ""]
    lines += [f"- {verdict}" for verdict in verdicts(results)]
    return "\n".join([*lines, "", f"Engines: {engines}.", f"Measured {date}, {machine}; `{command}`."])


def _in_markdown(columns: Sequence[str], labels: int, rows: list[list[str]]) -> str:
    heads = [column.replace("\n", " ") for column in columns]
    rules = ["---" if number < labels else "---:" for number in range(len(columns))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rules, *rows))
