"""The command line: thin, calls in. Exit 0 done, 1 failed, 2 wrong use or config."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from agent import control, logs
from agent import doctor as doctor_
from agent.app import ASKED_WITHIN, App, CamerasStuck, first_of
from agent.config import Config, find, json_schema, load
from agent.demo import Demo
from agent.errors import CamscribeError, CommandRefused, DataDirBusy, JournalUnavailable, Misconfigured
from agent.registry import Registry
from agent.runtime import control_socket
from agent.units import parse_duration
from agent.values import Observation

app = typer.Typer(
    name="camscribe",
    help="Watches your cameras with a vision-language model on your own machine, and tells your home what it sees.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
log = logging.getLogger("camscribe")

LAUNCHD_PREFIX = "org.camscribe."
LAUNCHD_PAUSE = 2.0
LOCK_PATIENCE = 15.0
LOCK_PAUSE = 0.5
END_WITHIN = 9.5
"""Seconds from SIGTERM to the end, whatever happens: ten are promised."""

Service = Callable[[asyncio.Event, Callable[[], None]], Awaitable[None]]
"""Runs until the event is set; calls the other when its end begins."""

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
    raise typer.Exit(_serve(show.config, show.run, level="DEBUG" if verbose else show.level, as_json=json_))


@app.command()
def run(config: ConfigOption = None, verbose: VerboseOption = False) -> None:
    """The service, in the foreground. Ctrl-C stops it.

    Example: camscribe run --config /etc/camscribe/config.yaml
    """
    try:
        settings = _load(config)
    except typer.Exit:
        _wait_under_launchd(config)
        raise

    async def service(stop: asyncio.Event, stopping: Callable[[], None]) -> None:
        give_up = asyncio.get_running_loop().time() + LOCK_PATIENCE
        while True:
            try:
                return await App(settings, stopping=stopping).run(stop)
            except DataDirBusy as error:  # perhaps a look by itself, which ends soon
                if stop.is_set() or asyncio.get_running_loop().time() > give_up:
                    raise
                log.debug("%s", error)
                await asyncio.sleep(LOCK_PAUSE)

    level = os.environ.get("CAMSCRIBE_LOG_LEVEL", "INFO").upper()
    raise typer.Exit(_serve(settings, service, level="DEBUG" if verbose else level))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Validate the config without starting anything.

    Exit 2, and a line for each fault.

    Example: camscribe check --config config.yaml
    """
    settings = _load(config)
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
def schema(config: ConfigOption = None) -> None:
    """Print the config's JSON schema.

    With the options of every installed plugin, for editors that complete YAML.

    Example: camscribe schema > camscribe.schema.json
    """
    registry = _load(config).registry if config else Registry.discover(None)
    print(json.dumps(json_schema(registry), indent=2, ensure_ascii=False))


@app.command()
def doctor(config: ConfigOption = None, json_: JsonOption = False) -> None:
    """What is there, what answers, and what to do about it.

    Asks the running service, or tries every camera and output itself where none runs. Exit 1 where something is wrong.

    Example: camscribe doctor
    """
    logs.configure("CRITICAL")
    findings = _run(doctor_.examine(config))
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


def _wait_under_launchd(path: Path | None) -> None:
    """launchd can't be told not to start us again after exit 2: so stay until the file has changed."""
    if not os.environ.get("XPC_SERVICE_NAME", "").startswith(LAUNCHD_PREFIX):
        return
    try:
        file = find(path, os.environ)
        before = file.stat().st_mtime_ns
        while file.stat().st_mtime_ns == before:
            time.sleep(LAUNCHD_PAUSE)
    except (Misconfigured, OSError):  # there is no file: launchd's own pause between starts has to do
        return


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


def _serve(settings: Config, service: Service, *, level: str, as_json: bool = False) -> int:
    """Run a service until a signal; the exit status tells the truth: 0 asked to stop, 1 crash, 2 config."""
    logs.configure(level, as_json=as_json, secrets=settings.secrets)

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end_for_certain() -> None:
            """A part that won't end (a plugin that swallows its cancelling) must not keep the process from its end."""
            timer = threading.Timer(END_WITHIN, _leave, [0 if stop.is_set() else 1])
            timer.daemon = True
            timer.start()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await service(stop, end_for_certain)

    try:
        asyncio.run(serve())
    except Exception as error:  # noqa: BLE001 (whatever ends the service, the exit status and the log say it)
        return _ended(error)
    return 0


def _leave(status: int) -> None:
    log.critical("a part of camscribe did not end within %g s of being told to; leaving without it", END_WITHIN)
    logging.shutdown()
    os._exit(status)


def _ended(error: Exception) -> int:
    """Say why the service ended by itself; its exit status."""
    for kind, status in ((Misconfigured, 2), (JournalUnavailable, 1), (DataDirBusy, 1), (CamerasStuck, 1)):
        if found := first_of(error, kind):
            log.error("%s", found)
            return status
    log.critical("camscribe crashed: a bug", exc_info=error)
    return 1


def _duration(text: str | None) -> float | None:
    try:
        return parse_duration(text) if text else None
    except ValueError:
        _stop(f"--for '{text}': write a duration such as 60s or 5m.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
