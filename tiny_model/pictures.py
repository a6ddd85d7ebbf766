"""The training set: scenes drawn once, taken through JPEG and llama.cpp's scaling, kept as small squares.

A folder of a set holds ``pictures.npy`` (scenes, versions, 96, 96, 3), ``kinds.npy`` and ``colours.npy`` (what covers
each patch) and ``scenes.json``.
"""

from __future__ import annotations

import io
import json
import math
import random
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plugins.sources.demo.scenes import Scene, Thing, draw, label_grid, random_scene

TILE = 96
GRID = 12
SIZES = [(320, 240)] * 10 + [(480, 360)] * 4 + [(640, 480)] * 4
SIZES += [(640, 360)] * 2 + [(512, 288), (352, 288), (320, 320)]

Square = NDArray[np.uint8]

STRETCHED, OLD_TILE, OLD_OVERVIEW = range(3)
"""The versions of a picture: what llama.cpp makes of it now, and the two that its older builds made of it."""


@dataclass(frozen=True, slots=True)
class Drawings:
    """A set of scenes with their pictures, read from the disk as they are used."""

    pictures: Square
    kinds: Square
    colours: Square
    scenes: list[Scene]

    @classmethod
    def load(cls, folder: Path) -> Drawings:
        pictures, kinds, colours = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("pictures", "kinds", "colours")
        )
        written = json.loads((folder / "scenes.json").read_text())
        scenes = [Scene(scene["time"], tuple(Thing(**thing) for thing in scene["things"])) for scene in written]
        return cls(pictures, kinds, colours, scenes)


def jpeg(picture: Image.Image, quality: int = 85, subsampling: int = 2) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def draw_set(folder: Path, count: int, seed: int, *, old_builds: bool = False) -> None:
    """Draw ``count`` scenes, with the versions of older builds where asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    shape = (count, 3 if old_builds else 1, TILE, TILE, 3)
    pictures = np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, shape)
    kinds, colours = np.zeros((count, GRID, GRID), np.uint8), np.zeros((count, GRID, GRID), np.uint8)
    scenes = []
    for number in range(count):
        scene = random_scene(rng)
        size = rng.choice(SIZES)
        drawn = jpeg(draw(scene, *size, rng), rng.randrange(55, 96), rng.choice([0, 2, 2]))
        picture = Image.open(io.BytesIO(drawn)).convert("RGB")
        pictures[number, STRETCHED] = stretched(picture)
        if old_builds:
            pictures[number, OLD_TILE], pictures[number, OLD_OVERVIEW] = as_older_builds(picture, rng)
        kinds[number], colours[number] = label_grid(scene, *size, GRID)
        scenes.append(asdict(scene))
    pictures.flush()
    np.save(folder / "kinds.npy", kinds)
    np.save(folder / "colours.npy", colours)
    (folder / "scenes.json").write_text(json.dumps(scenes))


def stretched(picture: Image.Image) -> Square:
    """llama.cpp's idefics3 scaling where the longest edge is one tile: two Lanczos passes, the aspect is lost.

    Tile and overview are the same picture then.
    """
    aspect = picture.width / picture.height
    fitted = (TILE, _even(TILE / aspect)) if aspect >= 1 else (_even(TILE * aspect), TILE)
    for size in (fitted, (TILE, TILE)):
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _even(length: float) -> int:
    whole = int(length)
    return whole + whole % 2


def as_older_builds(picture: Image.Image, rng: random.Random) -> tuple[Square, Square]:
    """Tile and overview of older builds: letterboxed on black, and stretched; without anti-aliasing."""
    how = rng.choice(["linear", "cubic", "cubic", "pillow"])
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    scale = min(TILE / width, TILE / height)
    across, down = min(math.ceil(width * scale), TILE), min(math.ceil(height * scale), TILE)
    left, top = (TILE - across) // 2, (TILE - down) // 2
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[top : top + down, left : left + across] = _resized(pixels, across, down, how)
    return tile, _resized(pixels, TILE, TILE, how)


def _resized(pixels: Square, width: int, height: int, how: str) -> Square:
    if how == "pillow":
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    old_height, old_width = pixels.shape[:2]
    down, across = _taps(old_height, height, how), _taps(old_width, width, how)
    rows = down @ pixels.reshape(old_height, old_width * 3).astype(np.float32)
    scaled = np.einsum("wi,hic->hwc", across, rows.reshape(height, old_width, 3), optimize=True)
    return np.clip(np.rint(scaled) if how == "cubic" else scaled, 0, 255).astype(np.uint8)


@cache
def _taps(old: int, new: int, how: str) -> NDArray[np.float32]:
    """The weights of the old pixels along one axis, a row for each new pixel."""
    weights = np.zeros((new, old), np.float32)
    for pixel in range(new):
        if how == "cubic":
            first = int(old / new * pixel)
            d = old / new * pixel - first
            before = -d / 3 + d * d / 2 - d**3 / 6
            after, second = d + d * d / 2 - d**3 / 2, -d / 6 + d**3 / 6
            taps = {-1: before, 0: 1 - before - after - second, 1: after, 2: second}
            for offset, weight in taps.items():
                weights[pixel, min(max(first + offset, 0), old - 1)] += weight
        else:
            place = (old - 1) / new * pixel
            first = min(int(place), old - 2)
            weights[pixel, first] += 1 - (place - first)
            weights[pixel, first + 1] += place - first
    return weights
