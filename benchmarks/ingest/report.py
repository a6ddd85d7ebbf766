"""The numbers as people read them: a table on the terminal, the same in docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.ingest.machine import sentence
from benchmarks.ingest.plan import Case
from benchmarks.ingest.promises import pair_of, verdicts
from benchmarks.ingest.results import Result

NUMBERS = (
    "CPU ms a\ncamera-\nsecond",
    "cores\nin all",
    "age s,\nmedian /\nmax",
    "wait s,\nmedian /\nmax",
    "MB a\ncamera\n(peak)",
    "looks",
)
MAIN = ("cameras", "how", *NUMBERS)
MORE = ("cameras", "stream", "how", *NUMBERS)


def named(case: Case) -> list[str]:
    """The cells that say which row it is."""
    label = [case.label or "the usual"] if case.table == "more" else []
    return [str(case.cameras), *label, case.name]


def row(one: Result) -> list[str]:
    """A cell for each column."""
    if one.missing:
        return [*named(one.case), one.missing, *("" for _ in NUMBERS[1:])]
    late = "*" if one.server_late else ""
    looks = str(len(one.ages))
    if one.missed:
        looks += f", {one.missed} missed"
    if one.damaged:
        looks += f", {one.damaged} damaged"
    return [
        *named(one.case),
        f"{one.cpu_ms:.1f}",
        f"{one.cores:.2f}",
        _seconds(one.ages) + late,
        _seconds(one.waits),
        f"{one.megabytes:.0f} ({one.megabytes_peak:.0f})",
        looks,
    ]


def _seconds(values: Sequence[float]) -> str:
    return f"{median(values):.2f}/{max(values):.2f}" if values else "none"


def rows(results: Sequence[Result], table: str) -> list[Result]:
    """Those of one table; the rounds of the pair as one row each."""
    if table == "pair":
        return [*(pair_of(results) or ())]
    return [one for one in results if one.case.table == table]


def remarks(results: Sequence[Result]) -> list[str]:
    """What a reader must know of single rows."""
    late = [one for one in results if not one.missing and one.server_late]
    told = [
        f"* {one.case.title}: {one.disturbed}, so ages here are the machine's as much as the method's" for one in late
    ]
    told += [
        f"{one.case.title}: falls behind, so that it is older by the second and its CPU time is that of the pictures "
        f"it managed; all of them would take {need:.1f} cores"
        for one in results
        if not one.missing and one.behind and (need := _cores_needed(one, results))
    ]
    told += [f"{one.case.title}: {one.missing} {one.reason}" for one in results if one.missing and one.reason]
    return told + [
        f"{one.case.title}: something else used {one.others_cores:.1f} cores meanwhile"
        for one in results
        if not one.missing and one.others_cores > 0.25
    ]


def _cores_needed(one: Result, results: Sequence[Result]) -> float:
    """By what it costs where it keeps up; 0 where that is not known."""
    fit = [it for it in results if it.case.way == one.case.way and it.case.stream == one.case.stream]
    costs = [it.cpu_ms for it in fit if not it.missing and not it.behind]
    return max(costs, default=0.0) * one.case.cameras / 1000


def on_terminal(results: Sequence[Result]) -> list[Table]:
    tables = []
    for name, title, columns in (
        ("main", "One after the other", MAIN),
        ("pair", "2 cameras, in turns", MAIN),
        ("more", "The unusual", MORE),
    ):
        shown = rows(results, name)
        if not shown:
            continue
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        labels = len(columns) - len(NUMBERS)
        for index, column in enumerate(columns):
            numeric = index == 0 or index >= labels
            table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric, vertical="top")
        for before, one in zip([None, *shown], shown, strict=False):
            if before and before.case.cameras != one.case.cameras:
                table.add_section()
            table.add_row(*row(one))
        tables.append(table)
    return tables


def markdown(results: Sequence[Result], told: dict[str, str | int]) -> dict[str, str]:
    """The parts of docs/performance.md by name: ``ingest``, and ``ingest-more`` where it was measured."""
    parts = {}
    usual = [one for one in results if one.case.table != "more"]
    if usual:
        lines = [_table(MAIN, rows(results, "main")), ""]
        if pair := rows(results, "pair"):
            lines += ["Two cameras, the two methods in turns:", "", _table(MAIN, pair), ""]
        lines += _list(remarks(usual))
        lines += ["The promises:", "", *_list([str(one) for one in verdicts(results)]), *_where(usual, told)]
        parts["ingest"] = "\n".join(lines)
    unusual = rows(results, "more")
    if unusual:
        lines = [_table(MORE, unusual), "", *_list(remarks(unusual)), *_where(unusual, told)]
        parts["ingest-more"] = "\n".join(lines)
    return parts


def _where(results: Sequence[Result], told: dict[str, str | int]) -> list[str]:
    stream = results[0].case.stream.title if results[0].case.table == "main" else "as the table says"
    return [f"Stream: {stream}.", f"Measured {sentence(told)}; `{told['command']}`."]


def _table(columns: Sequence[str], shown: Sequence[Result]) -> str:
    labels = len(columns) - len(NUMBERS)
    heads = [column.replace("-\n", "-").replace("\n", " ") for column in columns]
    rules = ["---" if 0 < index < labels else "---:" for index in range(len(columns))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rules, *map(row, shown)])


def _list(lines: Sequence[str]) -> list[str]:
    return [*(f"- {line.replace('*', '&ast;', 1) if line[0] == '*' else line}" for line in lines), *[""] * bool(lines)]


def between(page: str, name: str, target: str = "bench-ingest") -> tuple[str, str, str]:
    """The page before, in and behind the part that the benchmark (its make target) writes."""
    begin, end = f"<!-- {name}: written by make {target} -->\n", f"\n<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    part, closed, behind = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no part between '{begin.strip()}' and '{end.strip()}'")
    return before + begin, part, end + behind


def write(path: Path, parts: dict[str, str], target: str = "bench-ingest") -> None:
    page = path.read_text()
    for name, part in parts.items():
        before, _, behind = between(page, name, target)
        page = before + part + behind
    path.write_text(page)
