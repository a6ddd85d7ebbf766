"""make bench-ingest: what cameras cost and how fresh their pictures are, beside the usual ways of getting them.

Exit status: 0 the promises are kept, 1 one is broken, 2 wrong use, 3 one can't be judged on a machine this busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.ingest import machine, plan, report, streams
from benchmarks.ingest.measure import SETTLE, measure
from benchmarks.ingest.plan import Case
from benchmarks.ingest.promises import Verdict, of_row, verdicts
from benchmarks.ingest.results import Result
from benchmarks.ingest.server import ROOT, Cameras, cameras
from benchmarks.ingest.streams import Stream

CONSOLES = (Console(), Console(stderr=True))
STARTING = 8.0
"""About what a row takes besides its measuring."""


class Run:
    """The rows of one run, and the bar that shows how far it is."""

    def __init__(self, cases: Sequence[Case], progress: Progress) -> None:
        self.cases = cases
        self.results: list[Result] = []
        self._progress = progress
        self._task: TaskID = progress.add_task("starting", total=sum(self._seconds(case) for case in cases))
        self._done = 0.0

    @staticmethod
    def _seconds(case: Case) -> float:
        return case.seconds + SETTLE + STARTING

    async def all(self) -> None:
        """Rows with the same stream have the same server."""
        for stream in dict.fromkeys(case.stream for case in self.cases):
            cases = [case for case in self.cases if case.stream == stream]
            if not stream.path.exists():
                self._progress.update(self._task, description=f"encoding {stream.title} (once)")
            async with AsyncExitStack() as stack:
                clip = await streams.made_ready(stream)
                server = await stack.enter_async_context(cameras(stream, max(case.cameras for case in cases), clip))
                for case in cases:
                    await self._one(case, server)
        self.results.sort(key=lambda one: self.cases.index(one.case))

    async def _one(self, case: Case, server: Cameras) -> None:
        result = await self._measured(case, server)
        if case.table == "main" and case.way == "camscribe" and _unclear(result):
            self._progress.console.print(f"{case.title}: once more, as {result.disturbed}", style="dim")
            result = await self._measured(case, server)
        self._done += self._seconds(case)
        self._progress.update(self._task, completed=self._done)
        said = result.missing or f"{result.cpu_ms:.1f} ms CPU a camera-second"
        self._progress.console.print(f"{case.title}: {said}", highlight=False)
        self.results.append(result)

    async def _measured(self, case: Case, server: Cameras) -> Result:
        self._progress.update(self._task, description=case.title)
        most = self._seconds(case)
        return await measure(
            case, server, lambda over: self._progress.update(self._task, completed=self._done + min(over, most))
        )


def _unclear(result: Result) -> bool:
    return not result.missing and any(one.kept is None for one in of_row(result))


def status(told: Sequence[Verdict]) -> int:
    judged = [one.kept for one in told]
    return 1 if False in judged else 3 if None in judged else 0


def cases_of(args: argparse.Namespace) -> list[Case]:
    if args.quick:
        return plan.quick()
    cases = plan.main_cases(args.cameras, args.methods)
    if {"camscribe", "opencv"} <= {*args.methods} and not args.no_pair:
        cases += plan.pair()
    cases += plan.more() if args.more else []
    return [replace(case, seconds=case.seconds * args.seconds / plan.SECONDS) for case in cases]


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-ingest", description=__doc__)
    parser.add_argument("--cameras", type=int, nargs="+", default=[*plan.CAMERAS], metavar="N", help="1 8 16")
    parser.add_argument("--methods", nargs="+", choices=[*plan.WAYS], default=[*plan.COMPARED])
    parser.add_argument("--seconds", type=float, default=plan.SECONDS, help="a row of the table (45); others alike")
    parser.add_argument("--no-pair", action="store_true", help="leave out the two methods in turns at 2 cameras")
    parser.add_argument("--more", action="store_true", help="long groups, small streams, H.265, UDP, few looks as well")
    parser.add_argument("--quick", action="store_true", help="what the promises need, in about two minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number into FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into FILE (docs/performance.md)")
    args = parser.parse_args(words)
    if args.quick and args.markdown:
        parser.error("--quick measures too little for --markdown")
    if min(args.cameras) < 1 or args.seconds < 5:
        parser.error("at least one camera and five seconds")
    return args


def bench(args: argparse.Namespace, command: str) -> int:
    out, err = (one if one.is_terminal else Console(width=130, stderr=one.stderr) for one in CONSOLES)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err, transient=True)
    with bar as progress:
        run = Run(cases_of(args), progress)
        asyncio.run(run.all())
    told = verdicts(run.results)
    facts = machine.facts(command)
    out.print(f"Stream: {Stream().title}; a look each 5 s\n{machine.sentence(facts)}\n", highlight=False)
    for table in report.on_terminal(run.results):
        out.print(table, "")
    for line in [*report.remarks(run.results), *map(str, told)]:
        out.print(line, highlight=False, markup=False)
    if args.json:
        results = [one.as_json() for one in run.results]
        args.json.write_text(json.dumps({**facts, "results": results, "promises": [*map(str, told)]}, indent=2) + "\n")
    if args.markdown:
        report.write(ROOT / args.markdown, report.markdown(run.results, facts))
    return status(told)


def without_json(words: Sequence[str]) -> list[str]:
    """Where the numbers went is nobody's business who reads the page."""
    at = words.index("--json") if "--json" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def main() -> None:
    words = sys.argv[1:]
    args = arguments(words)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start with & ignore it
    command = "make bench-ingest" + (f' ARGS="{shlex.join(without_json(words))}"' if words else "")
    try:
        sys.exit(bench(args, command))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
