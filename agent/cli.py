"""The command line: thin, calls in. Exit 0 done, 1 failed, 2 wrong use or config."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Coroutine
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from agent import control, logs, models
from agent import doctor as doctor_
from agent.app import ASKED_WITHIN, App, first_of
from agent.bench.command import bench
from agent.config import Config, find, json_schema, load
from agent.demo import Demo
from agent.errors import CamscribeError, CommandRefused, DataDirBusy, Misconfigured
from agent.registry import Registry
from agent.runtime import control_socket
from agent.service import LOCK_PATIENCE, LOCK_PAUSE, serve, wait_under_launchd, watch
from agent.units import parse_duration
from agent.values import Observation
from agent.web import command as web
from agent.web.access.rule import examine

app = typer.Typer(
    name="camscribe",
    help="Watches your cameras with a vision-language model on your own machine, and tells your home what it sees.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app, name="model")
app.add_typer(web.app, name="web")
app.command(name="bench")(bench)
log = logging.getLogger("camscribe")


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The config file. Else $CAMSCRIBE_CONFIG, ./config.yaml, your config folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tell what happens inside (DEBUG).")]


def main() -> None:
    """The console script."""
    os.umask(0o027)  # what the cameras see is for its owner, and those the owner puts into the group
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"camscribe {version('camscribe')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help="Stop after this long, e.g. 60s. Else Ctrl-C.")] = None,
    json_: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The whole pipeline on a drawn doorstep: no camera needed.

    Nothing is downloaded: a tiny model that knows only such drawings comes with camscribe.

    Example: camscribe demo --for 60s
    """
    show = Demo(_duration(for_), as_json=json_, verbose=verbose)
    raise typer.Exit(serve(show.config, show.run, level="DEBUG" if verbose else show.level, as_json=json_))


@app.command()
def run(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """The service, in the foreground. Ctrl-C stops it.

    Example: camscribe run --config /etc/camscribe/config.yaml
    """
    try:
        settings = _load(config)
    except typer.Exit:
        wait_under_launchd(config)
        raise

    level = os.environ.get("CAMSCRIBE_LOG_LEVEL", "INFO").upper()
    raise typer.Exit(serve(settings, partial(watch, settings), level="DEBUG" if verbose else level))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Validate the config without starting anything.

    Exit 2, and a line for each fault.

    Example: camscribe check --config config.yaml
    """
    settings = _load(config)
    if settings.web and (fault := examine(settings.web, settings.data_dir)):
        _stop(f"{settings.path}: {fault}")
    cameras, outputs = len(settings.cameras), len(settings.outputs)
    print(f"{settings.path}: good. {_count(cameras, 'camera')}, {_count(outputs, 'output')}.")


@app.command()
def look(
    camera: Annotated[str, typer.Argument(help="The camera's id in config.yaml.")],
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="Ask this instead of the camera's prompt.")
    ] = None,
    config: ConfigOption = None,
    json_: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """One observation now, printed.

    Asks the running service, or looks by itself where none runs. Exit 1 if the look failed.

    Example: camscribe look front_door --prompt "Is there a package on the step?"
    """
    settings = _load(config)
    if camera not in settings.cameras:
        _stop(f"There is no camera '{camera}' in {settings.path}. There is: {', '.join(settings.cameras)}.")
    logs.configure("DEBUG" if verbose else "CRITICAL", secrets=settings.secrets)  # what failed is printed below
    observation = _run(_look(settings, camera, prompt, quiet=json_))
    if json_:
        print(observation.model_dump_json())
    elif observation.error is None:
        print(observation.caption)
        for name, answer in observation.answers.items():
            print(f"{name}: {answer}")
    else:
        print(f"No caption ({observation.error.kind.value}): {observation.error.message}", file=sys.stderr)
    raise typer.Exit(1 if observation.error else 0)


async def _look(settings: Config, camera: str, prompt: str | None, *, quiet: bool) -> Observation:
    """The running service's, or our own; where both are just starting or stopping, once that is over."""
    request = {"do": "look", "camera": camera, "prompt": prompt}
    give_up = asyncio.get_running_loop().time() + LOCK_PATIENCE
    while True:
        try:
            reply = await control.ask(control_socket(settings.data_dir), request, ASKED_WITHIN + 10)
        except control.NotRunning:
            console = Console(stderr=True, quiet=quiet)
            try:
                with console.status("No service runs here: starting the engine for one look …"):
                    return await App(settings).look(camera, prompt)
            except DataDirBusy:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(LOCK_PAUSE)
                continue
        if "error" in reply:
            raise CommandRefused(str(reply["error"]))
        return Observation.model_validate(reply["observation"])


@app.command()
def reload(config: ConfigOption = None) -> None:
    """Have the running service take its changed config over.

    It does so by itself, a moment after the file was written, unless the config says 'reload: manual'. No waiting frame
    is lost. Exit 2 and a line for each fault where the file has any; then nothing changes.

    Example: camscribe reload
    """
    settings = _load(config)
    reply = _run(control.ask(control_socket(settings.data_dir), {"do": "reload"}, ASKED_WITHIN))
    if "error" in reply:
        _stop(str(reply["error"]))
    print(reply["told"])


@app.command()
def schema(config: ConfigOption = None) -> None:
    """Print the config's JSON schema.

    With the options of every installed plugin, for editors that complete YAML.

    Example: camscribe schema > camscribe.schema.json
    """
    registry = _load(config).registry if config else Registry.discover(None)
    print(json.dumps(json_schema(registry), indent=2, ensure_ascii=False))


@app.command()
def doctor(
    config: ConfigOption = None,
    json_: JsonOption = False,
    engine_log: Annotated[
        bool, typer.Option("--engine-log", help="Show the last lines that the running service's engines printed.")
    ] = False,
) -> None:
    """What is there, what answers, and what to do about it.

    Asks the running service, or tries every camera and output itself where none runs. Exit 1 where something is wrong.

    Example: camscribe doctor
    """
    logs.configure("CRITICAL")
    findings = _run(doctor_.examine(config, engine_log=engine_log))
    if json_:
        print(json.dumps([finding.as_json() for finding in findings], indent=2, ensure_ascii=False))
    else:
        doctor_.show(findings, Console())
    raise typer.Exit(0 if all(finding.good for finding in findings) else 1)


def _load(path: Path | None) -> Config:
    try:
        return load(find(path, os.environ), os.environ)
    except Misconfigured as error:
        _stop(str(error))


def _stop(message: str, code: int = 2) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.run(work)
    except (CamscribeError, ExceptionGroup) as error:
        known = first_of(error, CamscribeError)
        if known is None:
            raise
        _stop(str(known), 2 if isinstance(known, Misconfigured) else 1)
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


def _duration(text: str | None) -> float | None:
    try:
        return parse_duration(text) if text else None
    except ValueError:
        _stop(f"--for '{text}': write a duration such as 60s or 5m.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
