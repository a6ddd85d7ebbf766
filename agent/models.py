"""``camscribe model``: what models there are, what is on disk, and how it gets there and away."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent import logs
from agent.config import DEFAULT
from agent.download import bytes_text, shown
from agent.errors import CamscribeError, Misconfigured
from agent.shelf import Entry, Shelf

app = typer.Typer(help="Models: what there is, what is on disk; download and delete.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The config file, whose data_dir holds the models. Else as `run` finds it."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell what happens inside (DEBUG).")]


@app.command("list")
def list_(
    config: ConfigOption = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """What models there are, what each needs, and what is on disk.

    Works without a config and without a network.

    Example: camscribe model list
    """
    logs.configure("WARNING")
    shelf = _open(config)
    entries = _run(shelf.entries())
    if json_:
        print(json.dumps([entry.as_json() for entry in entries], indent=2, ensure_ascii=False))  # noqa: T201
    else:
        _show(entries, shelf, Console())


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name that `list` shows, or owner/repo:quantisation on Hugging Face.")],
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Download a model, or what is missing of it.

    A download that was broken off goes on where it stopped. HF_ENDPOINT names a mirror, HF_TOKEN holds your account's
    key, HTTPS_PROXY names a proxy. Exit 1 if it failed, 2 if there is no such model or no room for it.

    Example: camscribe model pull smolvlm-500m
    """
    logs.configure("DEBUG" if verbose else "WARNING")
    shelf = _open(config)
    console = Console()
    where = _run(_pull(shelf, name, console), stopped=f"Go on with: camscribe model pull {_again(name, config)}")
    _say(f"{name} is here: {where}", console)


async def _pull(shelf: Shelf, name: str, console: Console) -> Path:
    with shown(console) as progress:
        return await shelf.pull(name, progress)


@app.command()
def rm(
    name: Annotated[str, typer.Argument(help="A name that `list` shows as being here.")],
    config: ConfigOption = None,
) -> None:
    """Delete a downloaded model.

    Exit 2 if it is not here, or comes with camscribe.

    Example: camscribe model rm smolvlm-500m
    """
    logs.configure("WARNING")
    shelf = _open(config)
    users, runs, freed = _run(_remove(shelf, name))
    _say(f"{name} is deleted: {bytes_text(freed)} are free again.", Console())
    if users and shelf.config:
        used = f"{shelf.config.path} uses it ({_captioners(users)})"
        now = "the running service keeps it in memory until it ends, and " if runs else ""
        print(f"But {used}: {now}the next start downloads it again.", file=sys.stderr)  # noqa: T201


async def _remove(shelf: Shelf, name: str) -> tuple[tuple[str, ...], bool, int]:
    entry = await shelf.entry(name)
    freed = await shelf.remove(name)
    return (entry.used_by if entry else ()), await shelf.service_runs(), freed


def _show(entries: list[Entry], shelf: Shelf, console: Console) -> None:
    several = len({entry.plugin for entry in entries}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("MODEL", no_wrap=True)
    for title in ("DOWNLOAD", "MEMORY"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("HERE", no_wrap=True)
    table.add_column("GOOD FOR")
    for entry in entries:
        info = entry.info
        row = (info.name, bytes_text(info.download) if info.download else "-", bytes_text(info.memory), _here(entry))
        table.add_row(*map(Text, row), Text(_about(entry, several)), style="bold" if entry.used_by else "")
    console.print(table)
    whose = f"of {shelf.config.path}" if shelf.config else "without a config"
    _say(f"\nModels are kept in {shelf.data_dir / 'models'} ({whose}).", console)


def _here(entry: Entry) -> str:
    info = entry.info
    if info.complete:
        return "yes" if info.download else "built in"
    return f"{100 * info.on_disk // max(info.download, 1)} %" if info.on_disk else "no"


def _about(entry: Entry, several: bool) -> str:
    notes = [
        "the default" if entry.default else "",
        f"in use by {_captioners(entry.used_by)}" if entry.used_by else "",
        f"use: {entry.plugin}" if several else "",
    ]
    told = "; ".join(note for note in notes if note)
    return f"{entry.info.about} ({told})" if told else entry.info.about


def _captioners(names: tuple[str, ...]) -> str:
    """As the config has them."""
    return ", ".join("model:" if name == DEFAULT else f"captioner {name}" for name in names)


def _open(config: Path | None) -> Shelf:
    try:
        return Shelf.open(config)
    except Misconfigured as error:
        _stop(str(error), 2)


def _run(work: Coroutine[Any, Any, Any], stopped: str = "") -> Any:
    try:
        return asyncio.run(work)
    except CamscribeError as error:
        _stop(str(error), 2 if isinstance(error, Misconfigured) else 1)
    except KeyboardInterrupt:
        _stop(f"Stopped. What has arrived is kept. {stopped}" if stopped else "Stopped.", 1)


def _again(name: str, config: Path | None) -> str:
    return shlex.join([name, *(["--config", str(config)] if config else [])])


def _say(text: str, console: Console) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _stop(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)
