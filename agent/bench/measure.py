"""One captioner after the other, each on the same pictures."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.app import first_of
from agent.bench.pictures import enough, in_turns
from agent.bench.pipeline import Asked, Pipeline, pipeline
from agent.bench.results import Engine, Look, Row
from agent.config import CaptionerSettings, Config
from agent.errors import CaptionUnavailable, Misconfigured
from agent.plugin import Captioner, Context
from agent.runtime import remove_runtime_folder, runtime_folder
from agent.values import Pixels

READY_WITHIN = 3600.0
"""Seconds: its model may have to be downloaded first."""
WARM_UP = 2

Tick = Callable[[str, int], None]
"""Hears what is being done, and how many looks of this captioner are over."""


async def measure(
    config: Config, name: str, pictures: Sequence[Pixels], row: Sequence[int], asked: Asked, tick: Tick
) -> Row:
    """``row``: which picture each look gets. A captioner that can't work is a row that says why."""
    settings = config.captioners[name]
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="camscribe-bench-"))
    runtime = await asyncio.to_thread(runtime_folder, folder)
    context = Context(name, logging.getLogger(f"camscribe.captioner.{name}"), config.data_dir, runtime)
    captioner: Captioner[Any] = settings.plugin.type(settings.plugin.options, context)
    try:
        async with pipeline(name, captioner, asked, folder) as made:
            return await _measured(made, settings, pictures, row, tick)
    except ExceptionGroup as error:  # the engine's, or what waited for it
        known = first_of(error, Misconfigured) or first_of(error, CaptionUnavailable)
        if known is None:
            raise
        return _row(captioner, settings, problem=str(known))
    finally:
        await asyncio.to_thread(remove_runtime_folder, runtime)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _measured(
    made: Pipeline, settings: CaptionerSettings, pictures: Sequence[Pixels], row: Sequence[int], tick: Tick
) -> Row:
    captioner = made.captioner
    _enough(captioner.slots, len(pictures), len(row))
    began = time.monotonic()
    await _ready(captioner, lambda: tick(f"{settings.name}: {captioner.state}", 0))
    started = time.monotonic() - began
    tick(f"{settings.name}: warm-up", 0)
    wires = [await asyncio.to_thread(made.wire, pixels) for pixels in pictures]
    for picture in row[-WARM_UP:]:
        await made.look(-1, pictures[picture])
    looks: list[Look] = []
    for number, picture, way in in_turns(row, bare=None not in wires):
        wire = wires[picture]
        if way == "agent":
            looks.append(await made.look(number, pictures[picture]))
        elif wire is not None:
            looks.append(await made.bare(number, wire))
        tick(f"{settings.name}: {captioner.model}", len(looks))
    view = captioner.view(made.camera.settings.detail)
    return _row(
        captioner,
        settings,
        engine=await made.engine(pictures[0]),
        geometry=view.geometry,
        size=view.size,
        started_s=started,
        looks=tuple(looks),
        memory=made.memory,
    )


def _enough(slots: int, pictures: int, looks: int) -> None:
    needed = enough(slots)
    if slots > 1 and (pictures < needed or pictures != looks):
        raise Misconfigured(
            f"It captions {slots} pictures at once and knows each for a while: so that it does not answer out of its "
            f"cache, at least {needed} pictures, and as many looks as pictures, are needed. These are {looks} looks at "
            f"{pictures} pictures: say --count {max(pictures, needed)}, or measure it with parallel: 1."
        )


async def _ready(captioner: Captioner[Any], starting: Callable[[], None]) -> None:
    """Its state is told meanwhile. Raises CaptionUnavailable."""
    ready = asyncio.ensure_future(captioner.ready(READY_WITHIN))
    try:
        while not ready.done():
            starting()
            await asyncio.wait({ready}, timeout=0.2)
        ready.result()
    finally:
        ready.cancel()


def _row(captioner: Captioner[Any], settings: CaptionerSettings, engine: Engine | None = None, **facts: object) -> Row:
    about = engine or Engine(about=captioner.model)
    given = {"name": settings.name, "plugin": settings.plugin.use, "model": captioner.model, "engine": about}
    return Row.model_validate(given | facts)
