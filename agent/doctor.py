"""``camscribe doctor``: looks at everything the service needs, one finding each, with what to do about each fault."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent import control
from agent.camera import too_old
from agent.config import CameraSettings, CaptionerSettings, Config, OutputSettings, find, load
from agent.errors import CamscribeError, Failure, FrameUnavailable, Misconfigured, OutputUnavailable
from agent.plugin import Context, Output, Source
from agent.redact import Redactor
from agent.registry import Registry
from agent.runtime import control_socket
from agent.values import CameraState
from agent.web.access.rule import examine as examine_web

LAST_WORDS = 10
"""Lines of a failed engine's output that are shown without being asked for."""
LITTLE_SPACE = 1_000_000_000
CAMERA_WITHIN = 15.0
"""Longer than a source waits for a camera that does not answer: then it says so itself, and better."""
OUTPUT_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    part: str
    good: bool
    text: str
    said: tuple[str, ...] = ()
    """An engine's own last lines, oldest first."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def examine(path: Path | None, *, engine_log: bool = False) -> list[Finding]:
    """Every finding, in the order a person would ask. ``engine_log``: with all that the engines said last."""
    findings = [
        Finding("camscribe", True, f"{version('camscribe')} on Python {platform.python_version()}, {_system()}")
    ]
    try:
        config = load(find(path, os.environ), os.environ)
    except Misconfigured as error:
        return [*findings, Finding("config", False, str(error)), *await _plugged_in(Registry.discover(None), [])]
    findings.append(Finding("config", True, f"{config.path} is good"))
    findings += [
        Finding(f"plugin {name}", False, f"The {kind} plugin '{name}' could not be loaded: {reason}")
        for (kind, name), reason in config.registry.failures.items()
    ]
    findings.append(_data_dir(config))
    if config.web and (fault := await asyncio.to_thread(examine_web, config.web, config.data_dir)):
        findings.append(Finding("web", False, fault))
    findings += await _plugged_in(config.registry, config.cameras.values())
    status = await _status(config)
    if status is None:
        findings.append(Finding("service", True, "not running; everything is tried from here"))
        if engine_log:
            findings.append(Finding("engine log", True, "there is none: only a running service has an engine"))
        findings += await _tried(config)
    else:
        findings += _told_by_service(status, engine_log=engine_log)
    redact = Redactor(config.secrets).redact
    return [
        replace(finding, text=redact(finding.text), said=tuple(redact(line) for line in finding.said))
        for finding in findings
    ]


def _system() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _data_dir(config: Config) -> Finding:
    folder = config.data_dir
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding("data_dir", False, f"{folder} can't be written by this user: chown it, or set data_dir.")
    free = shutil.disk_usage(folder).free
    text = f"{config.data_dir}, {free / 1e9:.0f} GB free"
    return Finding(
        "data_dir", free > LITTLE_SPACE, text if free > LITTLE_SPACE else f"{text}: make room or lower keep.size"
    )


async def _status(config: Config) -> dict[str, Any] | None:
    try:
        return await control.ask(control_socket(config.data_dir), {"do": "status"}, 5.0)
    except (control.NotRunning, control.Unanswered):
        return None


def _told_by_service(status: dict[str, Any], *, engine_log: bool = False) -> list[Finding]:
    return [
        Finding("service", True, f"camscribe {status['version']} is running"),
        *(_engine(name, about, engine_log=engine_log) for name, about in status["captioners"].items()),
        *(
            Finding(f"camera {id_}", camera["online"] and not camera["problem"], _camera_says(camera))
            for id_, camera in status["cameras"].items()
        ),
        *(
            Finding(f"output {name}", problem is None, problem or "delivers, or has nothing to deliver")
            for name, problem in status["outputs"].items()
        ),
        *(
            Finding("web", page["problem"] is None, page["problem"] or f"{page['what']} at {page['url']}")
            for page in status.get("web", ())  # none from an older one that still runs
        ),
    ]


def _engine(name: str, about: dict[str, Any], *, engine_log: bool) -> Finding:
    good = not str(about["state"]).startswith(("failed", "unknown"))
    said = about["said"] if engine_log else [] if good else about["said"][-LAST_WORDS:]
    return Finding(f"captioner {name}", good, f"{about['model']}: {about['state']}", tuple(said))


async def _plugged_in(registry: Registry, cameras: Iterable[CameraSettings]) -> list[Finding]:
    """What is plugged into this machine, what to write for it, and which camera it is already."""
    log = logging.getLogger("camscribe.doctor")

    def told(source: type[Source[Any]]) -> list[str]:
        attached = source.attached()
        wanted = [camera for camera in cameras if camera.source.type is source]
        users: dict[str | None, list[str]] = {}
        for camera in wanted:
            context = Context(name=camera.id, log=log, data_dir=Path(), runtime_dir=Path())
            users.setdefault(source(camera.source.options, context).attached_as(), []).append(camera.id)
        if wanted and not attached and source.attached_as is not Source.attached_as:
            return ["none is plugged in"]
        return [
            f"{name}: source: {text} ({', '.join(users[text]) if text in users else 'no camera of the config is it'})"
            for text, name in attached.items()
        ]

    findings = []
    for name, source in registry.sources.items():
        part = f"{name} cameras"
        try:
            findings += [Finding(part, True, line) for line in await asyncio.to_thread(told, source)]
        except Exception as error:  # noqa: BLE001 (one plugin's bug must not end the examination)
            findings.append(Finding(part, False, f"They can't be listed ({type(error).__name__}: {error}): a bug."))
    return findings


def _camera_says(camera: dict[str, Any]) -> str:
    """``live``, or what is wrong, with the state it began with: ``(gone since 22 Nov 03:12)``."""
    if not camera["problem"]:
        return str(camera["state"])
    if camera["state"] in {CameraState.LIVE, CameraState.STARTING}:
        return str(camera["problem"])
    since = datetime.fromisoformat(camera["since"]).astimezone()
    return f"{camera['problem']} ({camera['state']} since {since:%d %b %H:%M})"


async def _tried(config: Config) -> list[Finding]:
    log = logging.getLogger("camscribe.doctor")
    with tempfile.TemporaryDirectory(prefix="camscribe-doctor-") as folder:

        def context(name: str) -> Context:
            return Context(name=name, log=log, data_dir=config.data_dir, runtime_dir=Path(folder))

        work = [
            *((f"captioner {s.name}", _captioner(s, context)) for s in config.captioners.values()),
            *((f"camera {s.id}", _camera(s, context)) for s in config.cameras.values()),
            *((f"output {s.name}", _output(s, context)) for s in config.outputs.values()),
        ]
        return list(await asyncio.gather(*(_found(part, trial) for part, trial in work)))


async def _found(part: str, trial: Awaitable[str]) -> Finding:
    """What a trial says, or why it failed: an exception of its own kind, or a plugin's bug."""
    try:
        return Finding(part, True, await trial)
    except CamscribeError as error:
        return Finding(part, False, str(error))
    except Exception as error:  # noqa: BLE001 (one plugin's bug must not end the examination)
        return Finding(part, False, f"It failed in a way it should not ({type(error).__name__}: {error}): a bug in it.")


async def _captioner(settings: CaptionerSettings, context: Callable[[str], Context]) -> str:
    text: str = await settings.plugin.type(settings.plugin.options, context(settings.name)).check()
    return text


async def _camera(settings: CameraSettings, context: Callable[[str], Context]) -> str:
    place = replace(context(settings.id), max_age=settings.max_age)
    source: Source[Any] = settings.source.type(settings.source.options, place)
    running = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(CAMERA_WITHIN + 1):
            frame = await source.take(CAMERA_WITHIN)
    except TimeoutError:
        raise FrameUnavailable(Failure.TIMEOUT, f"It gave no picture within {CAMERA_WITHIN:g} s.") from None
    except FrameUnavailable as error:
        if error.kind is Failure.STALE and settings.every is None and settings.cron is None:
            return f"waits for something new to see. {error}"  # it looks when there is, and only then
        raise
    finally:
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=CAMERA_WITHIN)
        await asyncio.gather(*done, return_exceptions=True)  # what it has to say, take() has said
    age = time.monotonic() - frame.taken.monotonic
    if age > settings.max_age:
        raise FrameUnavailable(Failure.STALE, too_old(settings.id, age, settings.max_age))
    height, width = frame.pixels.shape[:2]
    return f"a picture of {width}x{height} ({frame.how})"


async def _output(settings: OutputSettings, context: Callable[[str], Context]) -> str:
    output: Output[Any] = settings.plugin.type(settings.plugin.options, context(settings.name))
    try:
        async with asyncio.timeout(OUTPUT_WITHIN):
            return await output.check()
    except TimeoutError:
        raise OutputUnavailable(f"It did not answer within {OUTPUT_WITHIN:g} s.") from None
    except output.unavailable as error:
        raise OutputUnavailable(f"It can't be reached ({type(error).__name__}).") from error


def show(findings: list[Finding], console: Console) -> None:
    """A table for people; the symbols tell without colour too."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.good else "[red]FIX[/]"
        table.add_row(mark, finding.part, _escape(finding.text))
    console.print(table)
    for finding in findings:
        if finding.said:
            console.print(f"\nWhat the engine of {finding.part} said last:", highlight=False)
            for line in finding.said:
                console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    faults = sum(not finding.good for finding in findings)
    console.print(f"\n{faults} to mend." if faults else "\nEverything answers.", highlight=False)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
