"""make bench-full: captions of a model of SmolVLM-500M's exact shape, by the plan's own command line, by camscribe's
managed engines and by Transformers, on the same frames in turns; and whether camscribe keeps what it promises.

Exit status: 0 the promises are kept, 1 one is broken, 2 wrong use, 3 one can't be judged on a machine this busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.bench.machine import this_machine
from benchmarks.captioning import measure, plan, random_weights, report
from benchmarks.captioning.promises import verdicts
from benchmarks.captioning.results import Results
from benchmarks.ingest.__main__ import status, without_json
from benchmarks.ingest.promises import Verdict
from benchmarks.ingest.report import write
from tests.fakes.engine.llama import llama_server

CONSOLES = (Console(), Console(stderr=True))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-full", description=__doc__)
    parser.add_argument("--pairs", type=int, default=plan.PAIRS, metavar="N", help="frames (10)")
    parser.add_argument("--no-transformers", action="store_true", help="leave out Transformers, which needs PyTorch")
    parser.add_argument("--torch", type=Path, default=plan.TORCH, metavar="PYTHON", help="the Python that has PyTorch")
    parser.add_argument("--llama-server", type=Path, default=llama_server(), help="the real one (make llama-server)")
    parser.add_argument(
        "--weights", type=Path, default=random_weights.WHERE, metavar="FOLDER", help="written if missing"
    )
    parser.add_argument(
        "--slack",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="a promise that is missed by less counts as not judged: for a few pairs on a machine that others use",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number into FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table into FILE (docs/performance.md)")
    args = parser.parse_args(words)
    if args.pairs < 2:
        parser.error("at least two pairs: an engine that is asked about the same picture again answers from its cache")
    if args.llama_server is None or not args.llama_server.is_file():
        parser.error("the plan's command line is a llama-server's, and there is none here: make llama-server")
    if not args.no_transformers and not args.torch.is_file():
        parser.error(f"there is no {args.torch}: make bench-full sets it up; or say --no-transformers")
    return args


async def run(args: argparse.Namespace, progress: Progress) -> Results:
    rivals = plan.rivals(args.weights, args.llama_server, None if args.no_transformers else args.torch)
    results = Results()
    engines = (args.llama_server, None)
    task = progress.add_task("random weights", total=measure.steps(args.pairs, rivals, len(engines)))

    def tick(what: str) -> None:
        progress.update(task, description=what, advance=1)

    await asyncio.to_thread(random_weights.make, args.weights)
    shown = await measure.frames(args.pairs + 1)
    for engine in engines:
        await measure.accuracy(engine, results, tick)
    await measure.tiny(results, tick, args.pairs)
    async with AsyncExitStack() as stack:
        race = measure.Race(rivals, results, tick)
        await race.start(stack, args.weights, args.llama_server, shown[-1])
        async with measure.quiet(results, "rivals"):
            await race.run(shown[:-1])
        # The warm-up's frame first: the race may have ended with any of the others.
        frames = cycle([shown[-1], *shown[:-1]])
        await measure.big_questions(race.made["fast"], frames, results, tick, args.pairs)
    return results


def bench(args: argparse.Namespace, command: str) -> int:
    logging.getLogger("camscribe").setLevel(logging.CRITICAL)  # what fails here is raised
    out, err = (one if one.is_terminal else Console(width=150, stderr=one.stderr) for one in CONSOLES)
    bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*bar, console=err, transient=True) as progress:
        results = asyncio.run(run(args, progress))
    machine, date = this_machine(), datetime.now(UTC).date().isoformat()
    out.print(f"{machine}\n", *report.on_terminal(results), highlight=False)
    for line in report.said(results):
        out.print(line, highlight=False, markup=False)
    told = verdicts(results)
    if args.json:
        whole = {"schema_version": 1, "tool": "make bench-full", "date": date, "command": command}
        whole |= {"machine": machine.model_dump(), "random_weights": True}
        whole |= results.as_json() | {"promises": [*map(str, told)]}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(whole, indent=1) + "\n")
    if args.markdown:
        text = report.markdown(results, str(machine), command, date)
        write(plan.ROOT / args.markdown, {report.PART: text}, report.TARGET)
    return status([verdict for verdict in told if not nearly(verdict, args.slack)])


def nearly(verdict: Verdict, slack: float) -> bool:
    """It is missed, but by less than ``slack`` per cent of its limit."""
    return verdict.kept is False and abs(verdict.value - verdict.limit) < verdict.limit * slack / 100


def main() -> None:
    words = sys.argv[1:]
    args = arguments(words)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start with & ignore it
    command = "make bench-full" + (f' ARGS="{shlex.join(without_json(words))}"' if words else "")
    try:
        sys.exit(bench(args, command))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
