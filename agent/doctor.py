"""``camscribe doctor``: looks at everything the service needs, one finding each, with what to do about each fault."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent import control
from agent.config import CameraSettings, CaptionerSettings, Config, OutputSettings, find, load
from agent.errors import CamscribeError, CaptionUnavailable, FrameUnavailable, Misconfigured, OutputUnavailable
from agent.plugin import Context, Delivery, Home, HomeState
from agent.runtime import control_socket, runtime_folder

LITTLE_SPACE = 1_000_000_000
CAMERA_WITHIN = 10.0
OUTPUT_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    part: str
    good: bool
    text: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def examine(path: Path | None) -> list[Finding]:
    """Every finding, in the order a person would ask."""
    findings = [
        Finding("camscribe", True, f"{version('camscribe')} on Python {platform.python_version()}, {_system()}")
    ]
    try:
        config = load(find(path, os.environ), os.environ)
    except Misconfigured as error:
        return [*findings, Finding("config", False, str(error))]
    findings.append(Finding("config", True, f"{config.path} is good"))
    findings += [
        Finding(f"plugin {name}", False, f"The {kind} plugin '{name}' could not be loaded: {reason}")
        for (kind, name), reason in config.registry.failures.items()
    ]
    findings.append(_data_dir(config))
    status = await _status(config)
    if status is not None:
        findings.append(
            Finding("service", True, f"camscribe {status['version']} is running; engine: {status['engine']}")
        )
        findings += _told_by_service(status)
    else:
        findings.append(Finding("service", True, "not running; cameras and outputs are tried from here"))
        findings += await _tried(config)
    return findings


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
    except (control.NotRunning, TimeoutError):
        return None


def _told_by_service(status: dict[str, Any]) -> list[Finding]:
    return [
        Finding(f"camera {id_}", bool(camera["online"]), camera["problem"] or camera["state"])
        for id_, camera in status["cameras"].items()
    ]


async def _tried(config: Config) -> list[Finding]:
    runtime = await asyncio.to_thread(runtime_folder, config.data_dir)

    def context(name: str, **more: Any) -> Context:
        return Context(
            name=name, log=logging.getLogger("camscribe.doctor"), data_dir=config.data_dir, runtime_dir=runtime, **more
        )

    work = [
        *(_captioner(settings, context) for settings in config.captioners.values()),
        *(_camera(settings, context) for settings in config.cameras.values()),
        *(_output(settings, context) for settings in config.outputs.values()),
    ]
    return list(await asyncio.gather(*work))


async def _captioner(settings: CaptionerSettings, context: Callable[..., Context]) -> Finding:
    part = f"captioner {settings.name}"
    captioner = settings.plugin.type(settings.plugin.options, context(settings.name))
    try:
        return Finding(part, True, await captioner.check())
    except (Misconfigured, CaptionUnavailable) as error:
        return Finding(part, False, str(error))


async def _camera(settings: CameraSettings, context: Callable[..., Context]) -> Finding:
    source = settings.source.type(settings.source.options, context(settings.id))
    running = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(CAMERA_WITHIN + 1):
            frame = await source.take(CAMERA_WITHIN)
    except FrameUnavailable as error:
        return Finding(f"camera {settings.id}", False, str(error))
    except TimeoutError:
        return Finding(f"camera {settings.id}", False, f"It gave no picture within {CAMERA_WITHIN:g} s.")
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    height, width = frame.pixels.shape[:2]
    return Finding(f"camera {settings.id}", True, f"a picture of {width}x{height} ({frame.how})")


class _EmptyHome:
    """An output that is only tried speaks for a home without cameras."""

    @property
    def state(self) -> HomeState:
        return HomeState(version("camscribe"), "not started", 0.0, 0, 0, {})

    async def changes(self) -> AsyncIterator[HomeState]:
        yield self.state

    async def command(self, camera: str, name: str, value: str) -> None:
        del camera, name, value


async def _nothing() -> AsyncIterator[Delivery]:
    none: tuple[Delivery, ...] = ()
    for delivery in none:
        yield delivery


async def _output(settings: OutputSettings, context: Callable[..., Context]) -> Finding:
    """Connect and say goodbye: an output with nothing to deliver does just that."""
    part = f"output {settings.name}"
    home: Home = _EmptyHome()
    output = settings.plugin.type(settings.plugin.options, context(settings.name, home=home))
    try:
        async with asyncio.timeout(OUTPUT_WITHIN):
            await output.deliver(_nothing())
    except TimeoutError:
        return Finding(part, False, f"It did not answer within {OUTPUT_WITHIN:g} s.")
    except (OutputUnavailable, CamscribeError, *output.unavailable) as error:
        return Finding(part, False, str(error) or type(error).__name__)
    return Finding(part, True, "answers")


def show(findings: list[Finding], console: Console) -> None:
    """A table for people; the symbols tell without colour too."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark = "[green]ok[/]" if finding.good else "[red]FIX[/]"
        table.add_row(mark, finding.part, _escape(finding.text))
    console.print(table)
    faults = sum(not finding.good for finding in findings)
    console.print(f"\n{faults} to mend." if faults else "\nEverything answers.", highlight=False)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
