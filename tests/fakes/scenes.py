"""Doorstep scenes with one thing each, which the tiny model has never got wrong: known pictures for cameras."""

from __future__ import annotations

import io
import random

from PIL import Image

from plugins.sources.demo.doorstep import caption, random_scene
from plugins.sources.demo.scenes import draw


def known_scenes(count: int, seed: int = 1, size: tuple[int, int] = (640, 480)) -> list[tuple[str, Image.Image]]:
    """``count`` different truths, each with its picture."""
    rng = random.Random(seed)
    scenes: dict[str, Image.Image] = {}
    while len(scenes) < count:
        scene = random_scene(rng, blank=0, empty=0, two=0)
        scenes.setdefault(caption(scene), draw(scene, *size, rng))
    return list(scenes.items())


def as_sent(picture: Image.Image, size: int) -> bytes:
    """The picture as the tiny model is sent it: a JPEG, stretched to a square."""
    file = io.BytesIO()
    picture.resize((size, size), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()
