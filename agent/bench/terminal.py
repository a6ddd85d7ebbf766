"""A run, and two runs side by side, as tables on a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.bench import figures
from agent.bench.compare import Comparison
from agent.bench.results import Look, Row, Run

NOISE = "random weights: the captions mean nothing, the speed is a real model's"


def show(run: Run, console: Console) -> None:
    console.print(
        Text(f"{run.count} looks at {figures.plain(run.pictures)}, each through camscribe and the bare engine.")
    )
    console.print(Text(f"Asked: {figures.plain(run.prompt)} (at most {run.max_tokens} tokens)"))
    console.print(Text(figures.plain(str(run.machine))), "")
    measured = [row for row in run.captioners if row.problem is None]
    if measured:
        console.print(_table(measured))
        for row in measured:
            console.print(Text(f"{figures.plain(row.name)}: {figures.plain(figures.engine(row))}"))
    for row in run.captioners:
        if row.problem is not None:
            console.print(Text(f"{figures.plain(row.name)} was not measured: {figures.plain(row.problem)}", "bold red"))
        elif row.failures:
            console.print(Text(f"{figures.plain(row.name)}: {_first_failure(row)}", "red"))
        if row.random_weights:
            console.print(Text(f"{figures.plain(row.name)}: {NOISE}", "yellow"))
        elif row.agent:
            console.print(
                Text(
                    f"{figures.plain(row.name)} said of the first picture: {figures.plain(_first(row).caption or '')}",
                    "dim",
                )
            )


def _table(rows: list[Row]) -> Table:
    """A column each: names of models are long, and there are few captioners."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for row in rows:
        table.add_column(Text(figures.plain(row.name)), justify="right", overflow="fold")
    columns = [dict(figures.lines(row)) for row in rows]
    for label in dict.fromkeys(label for column in columns for label in column):
        style = "bold" if label == "p50" else "dim" if label.startswith("  ") else None
        table.add_row(
            Text(label), *(Text(figures.plain(column.get(label, figures.NONE))) for column in columns), style=style
        )
    return table


def _first(row: Row) -> Look:
    return min(row.agent, key=lambda look: look.number)


def _first_failure(row: Row) -> str:
    failed = next(look for look in row.looks if look.failure is not None)
    return f"{figures.failures(row)} failed; the first: {figures.plain(failed.message or '')}"


def compare(told: Comparison, console: Console) -> None:
    for side, run in (("A", told.a), ("B", told.b)):
        console.print(Text(f"{side}: {run.at:%Y-%m-%d %H:%M} UTC, {figures.plain(str(run.machine))}"))
    console.print()
    for pair in told.pairs:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=Text(figures.plain(pair.name)), title_justify="left")
        table.add_column("")
        for heading in ("A", "B", "B / A", ""):
            table.add_column(heading, justify="left" if not heading else "right", overflow="fold")
        for line in pair.lines:
            table.add_row(line.what, line.a, line.b, line.ratio, line.verdict)
        console.print(table)
        console.print(Text(pair.sentence, "bold"), "")
    for difference in told.differences:
        console.print(Text(f"Not alike: {figures.plain(difference)}", "yellow"))
