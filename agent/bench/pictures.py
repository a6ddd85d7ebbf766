"""The pictures that every captioner is shown: a folder's, or drawn scenes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from agent.errors import Misconfigured
from agent.plugin import Context
from agent.registry import Registry
from agent.values import Pixels

DRAWN = "demo"
KINDS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
FEWEST = 3
"""With fewer, one would be asked about twice in a row, and an engine answers that out of its cache."""
READ_WITHIN = 30.0


async def drawn(count: int, registry: Registry, size: tuple[int, int] = (640, 480)) -> list[Pixels]:
    """Different scenes of the demo's camera."""
    source = registry.sources.get(DRAWN)
    if source is None:
        reason = registry.failures.get(("source", DRAWN), "it is not installed")
        raise Misconfigured(f"There are no drawn scenes, as the source '{DRAWN}' can't be used: {reason}.")
    log = logging.getLogger("camscribe.bench.pictures")
    log.setLevel(logging.CRITICAL)  # it tells what it draws
    pictures = []
    for seed in range(count):
        config = source.Config.model_validate({"seed": seed, "width": size[0], "height": size[1]})
        artist = source(config, Context(DRAWN, log, Path(), Path()))
        running = asyncio.create_task(artist.run())
        try:
            pictures.append((await artist.take(READ_WITHIN)).pixels)
        finally:
            running.cancel()
            await asyncio.wait({running})
    return pictures


def of_folder(folder: Path, count: int) -> list[Pixels]:
    """Up to ``count`` pictures, by name. Blocks."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in KINDS)
    except OSError as error:
        raise Misconfigured(f"The folder {folder} can't be read: {error.strerror}.") from None
    if len(files) < FEWEST:
        raise Misconfigured(
            f"{folder} holds {len(files)} pictures ({', '.join(sorted(KINDS))}), and at least {FEWEST} are needed: an "
            "engine that is asked about the same picture again answers out of its cache."
        )
    return [_opened(file) for file in files[:count]]


def _opened(file: Path) -> Pixels:
    try:
        with Image.open(file) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise Misconfigured(f"The picture {file} can't be read: {error}.") from None


def line_up(count: int, there: int) -> list[int]:
    """Which picture each look gets: never the same twice in a row, nor the first after the last.

    ``there`` is how many there are: as many as looks, or at least FEWEST.
    """
    row = [number % there for number in range(count)]
    if count > 1 and row[-1] == row[0]:
        row[-1] = next(number for number in range(there) if number not in (row[0], row[-2]))
    return row


def enough(slots: int) -> int:
    """So many pictures, and looks, that an engine with these slots has another picture in each before one comes again.

    With several it is camscribe that finds the slot: a picture comes back to it after half a round.
    """
    return FEWEST if slots == 1 else 2 * slots + 2


def in_turns(row: Sequence[int], *, bare: bool) -> list[tuple[int, int, str]]:
    """(look, picture, way). With ``bare`` every look goes both ways, so that neither way has the better half of the
    time: first straight to the engine, the next through camscribe, and so on; then once more the other way round.
    """
    if not bare:
        return [(look, picture, "agent") for look, picture in enumerate(row)]
    ways = ("bare", "agent")
    return [(look, picture, ways[(look + turn) % 2]) for turn in (0, 1) for look, picture in enumerate(row)]
