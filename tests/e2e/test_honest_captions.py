"""The captions come from the pixels and from the model: change either, and they change accordingly."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from plugins.sources.demo.doorstep import caption, random_scene, swap_red_blue
from plugins.sources.demo.scenes import draw
from tests.fakes.service import camscribe, write_config
from tests.fakes.tiny_model import MMPROJ, permuted_vocabulary, reworded

COUNT = 6


def _scenes() -> list[tuple[str, str, Image.Image]]:
    """Truth, truth with red and blue exchanged (always another one), and picture."""
    rng = random.Random(3)
    scenes = []
    while len(scenes) < COUNT:
        scene = random_scene(rng, blank=0, empty=0, two=0)
        swapped = swap_red_blue(scene)
        picture = draw(scene, 640, 480, rng)
        if swapped is not None and caption(swapped) != caption(scene):
            scenes.append((caption(scene), caption(swapped), picture))
    return scenes


async def _captions(folder, pictures: list[Image.Image], model: dict) -> list[str]:
    """What the service says of the pictures, each a camera of its own."""
    cameras = {}
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
        cameras[f"c{number}"] = {"source": f"file:{number}.png", "every": "1h"}
    config = write_config(folder, {"model": model, "cameras": cameras, "outputs": {"log": {"format": "json"}}})
    async with camscribe("run", "--config", str(config)) as service:
        await service.until(lambda: len(service.observations) >= len(pictures), 60)
        assert await service.stop() == 0
    said = {observation["camera"]: observation["caption"] for observation in service.observations}
    return [said[camera] for camera in cameras]


@pytest.mark.slow
async def test_red_and_blue_exchanged_in_the_frame_are_exchanged_in_the_caption(tmp_path):
    scenes = _scenes()
    swapped = [Image.fromarray(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])) for _, _, picture in scenes]
    pictures = [*(picture for _, _, picture in scenes), *swapped]
    said = await _captions(tmp_path, pictures, {"preset": "tiny"})
    assert said == [*(truth for truth, _, _ in scenes), *(other for _, other, _ in scenes)]


@pytest.mark.slow
async def test_a_permuted_vocabulary_permutes_the_captions(tmp_path):
    scenes = _scenes()
    text, mapping = permuted_vocabulary(tmp_path, seed=5)
    model = {"model": str(text), "mmproj": str(MMPROJ)}
    said = await _captions(tmp_path, [picture for _, _, picture in scenes], model)
    expected = [reworded(truth, mapping) for truth, _, _ in scenes]
    assert said == expected
    assert not set(said) & {truth for truth, _, _ in scenes}
