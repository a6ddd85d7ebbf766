"""The command: thin, calls in."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent import logs
from agent.bench import figures, page, pictures, terminal
from agent.bench.compare import compared
from agent.bench.machine import this_machine
from agent.bench.measure import measure
from agent.bench.pipeline import Asked
from agent.bench.results import Row, Run, read
from agent.config import DEFAULT, Config, find, load, parse
from agent.errors import CamscribeError, Misconfigured
from agent.values import Pixels


def bench(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Measure the captioners of this config file. Else as `run` finds it."),
    ] = None,
    captioner: Annotated[
        list[str] | None, typer.Option("--captioner", help="Only this captioner. May be given again.")
    ] = None,
    pictures_: Annotated[
        str, typer.Option("--pictures", metavar="FOLDER|demo", help="A folder of pictures, or drawn scenes.")
    ] = pictures.DRAWN,
    count: Annotated[int, typer.Option("--count", min=2, max=10_000, help="How many looks.")] = 20,
    prompt: Annotated[str, typer.Option("--prompt", help="What is asked about each picture.")] = Asked().prompt,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, max=4096)] = Asked().max_tokens,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every number into FILE.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts.")] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="A.json B.json", help="Measure nothing: hold two reports side by side."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell what happens inside (DEBUG).")] = False,
) -> None:
    """How fast captions are: the same pictures through each captioner.

    Each picture goes through camscribe as a camera's would, and straight to the engine, in turns: the difference is
    what camscribe adds. Without a config it measures the tiny model that comes with camscribe. Exit 1 where a captioner
    gave no caption.

    Example: camscribe bench --count 50 --json today.json --html today.html
    """
    try:
        if compare is not None:
            if json_ or html:
                raise Misconfigured("--compare prints its table and writes no file: leave --json and --html out.")
            told = compared(read(compare[0]), read(compare[1]))
            terminal.compare(told, _console())
            raise typer.Exit(0 if told.pairs else 1)
        for path in (json_, html):
            _writable(path)
        settings = _settings(config)
        logs.configure("DEBUG" if verbose else "CRITICAL", secrets=settings.secrets)
        names = _wanted(settings, captioner)
        run = asyncio.run(_run(settings, names, pictures_, count, Asked(prompt, max_tokens)))
        terminal.show(run, _console())
        _write(json_, run.as_json())
        _write(html, page.html(run) if html else "")
    except CamscribeError as error:
        _stop(str(error), 2 if isinstance(error, Misconfigured) else 1)
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
    raise typer.Exit(0 if all(row.agent for row in run.captioners) else 1)


def _settings(path: Path | None) -> Config:
    """The file's, or, where none is named and none is found, the tiny model."""
    try:
        found = find(path, os.environ)
    except Misconfigured:
        if path is not None or os.environ.get("CAMSCRIBE_CONFIG"):
            raise
        return parse(
            {
                "model": {"preset": "tiny"},
                "cameras": {"doorstep": {"source": pictures.DRAWN}},
                "data_dir": tempfile.gettempdir(),
            }
        )
    return load(found, os.environ)


def _wanted(settings: Config, names: Sequence[str] | None) -> list[str]:
    """Those named, else those that a camera uses."""
    if names:
        if unknown := [name for name in names if name not in settings.captioners]:
            raise Misconfigured(f"There is no captioner '{unknown[0]}'. There is: {', '.join(settings.captioners)}.")
        return list(dict.fromkeys(names))
    used = {name for camera in settings.cameras.values() for name in camera.captioner} | {DEFAULT}
    return [name for name in settings.captioners if name in used] or list(settings.captioners)


async def _run(settings: Config, names: Sequence[str], source: str, count: int, asked: Asked) -> Run:
    shown, told = await _pictures(settings, source, count)
    row = pictures.line_up(count, len(shown))
    at = datetime.now(UTC)
    rows: list[Row] = []
    bar = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*bar, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=2 * count * len(names))
        for place, name in enumerate(names):

            def tick(what: str, done: int, before: int = 2 * count * place) -> None:
                progress.update(task, description=figures.plain(what), completed=before + done)

            rows.append(await measure(settings, name, shown, row, asked, tick))
    return Run(
        at=at,
        command=shlex.join(["camscribe", *sys.argv[1:]]),
        machine=await asyncio.to_thread(this_machine),
        pictures=told,
        count=count,
        prompt=asked.prompt,
        max_tokens=asked.max_tokens,
        captioners=tuple(rows),
    )


async def _pictures(settings: Config, source: str, count: int) -> tuple[list[Pixels], str]:
    if source == pictures.DRAWN:
        there = await pictures.drawn(max(count, pictures.FEWEST), settings.registry)
        return there, "drawn scenes of 640x480"
    there = await asyncio.to_thread(pictures.of_folder, Path(source), max(count, pictures.FEWEST))
    return there, f"{len(there)} pictures of the folder {Path(source).name}"


def _writable(path: Path | None) -> None:
    """Before minutes of measuring are for nothing."""
    if path is not None and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
        raise Misconfigured(f"{path} can't be written: is its folder there, and yours?")


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise Misconfigured(f"{path} can't be written: {error.strerror}.") from None


def _console() -> Console:
    """Tables need room; where nobody looks at a terminal there is as much as they want."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=120, highlight=False)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
