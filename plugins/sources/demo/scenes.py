"""Stylised doorstep scenes: ``random_scene`` draws lots, ``draw`` makes the picture, ``caption`` says what is true.

The demo camera, the tests and the tiny model's training set all come from here. The model has learnt these very
drawings: a test pins their pixels.
"""

from __future__ import annotations

import random
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from plugins.sources.demo.doorstep import (
    COLOURS,
    KINDS,
    PLACES,
    Colour,
    Kind,
    Place,
    Scene,
    Thing,
    Time,
    back_to_front,
    caption,
    left_to_right,
    noun,
    random_scene,
    random_thing,
    swap_red_blue,
)
from plugins.sources.demo.pen import Rgb
from plugins.sources.demo.things import draw_thing
from plugins.sources.demo.yard import draw_yard

__all__ = [
    "COLOURS",
    "KINDS",
    "PLACES",
    "Colour",
    "Kind",
    "Place",
    "Scene",
    "Thing",
    "Time",
    "caption",
    "draw",
    "label_grid",
    "left_to_right",
    "noun",
    "random_scene",
    "random_thing",
    "swap_red_blue",
]


def draw(scene: Scene, width: int, height: int, rng: random.Random) -> Image.Image:
    """The scene as an RGB picture; ``rng`` decides on the yard, the light and the sensor's noise."""
    picture = Image.new("RGB", (width, height))
    if scene.time is None:
        picture.paste(_blank(rng), (0, 0, width, height))
        return _with_noise(picture, rng.choice([0, 0, 2, 6]), rng)
    canvas = ImageDraw.Draw(picture)
    draw_yard(canvas, scene.time, width, height, rng)
    for thing in back_to_front(scene):
        draw_thing(canvas, thing, scene.time, width, height)
    return _with_noise(picture, rng.choice([0, 3, 6, 9] if scene.time == "night" else [0, 0, 3, 6]), rng)


def _blank(rng: random.Random) -> Rgb:
    any_colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    dead = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (0, 135, 0), (0, 77, 0), (255, 0, 255)]
    return rng.choice([*dead, any_colour])


@cache
def _grain() -> NDArray[np.int16]:
    """Sixteenths of a level, to be read from any place on: much cheaper than fresh noise for each picture."""
    return (np.random.default_rng(0).standard_normal(2_000_003) * 16).astype(np.int16)


def _with_noise(picture: Image.Image, strength: int, rng: random.Random) -> Image.Image:
    if not strength:
        return picture
    levels = np.asarray(picture, np.int16)
    grain = _grain()
    start = rng.randrange(grain.size)
    noise = np.take(grain, np.arange(start, start + levels.size), mode="wrap").reshape(levels.shape)
    return Image.fromarray(np.clip(levels + ((noise * strength) >> 4), 0, 255).astype(np.uint8))


def label_grid(scene: Scene, width: int, height: int, cells: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Which kind and which colour covers each of cells x cells cells, counted from 1; 0 is nothing. For training."""
    kinds, colours = np.zeros((cells, cells), np.uint8), np.zeros((cells, cells), np.uint8)
    x, y = (np.arange(cells) + 0.5) / cells * width, (np.arange(cells) + 0.5) / cells * height
    for thing in back_to_front(scene):
        left, top, right, bottom = thing.box(width, height)
        covered = np.ix_((top <= y) & (y <= bottom), (left <= x) & (x <= right))
        kinds[covered] = 1 + KINDS.index(thing.kind)
        colours[covered] = 1 + COLOURS.index(thing.colour)
    return kinds, colours
