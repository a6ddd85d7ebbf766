"""The shipped model on the real engine: it sees what is drawn, and its words come out of its vocabulary."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from plugins.sources.demo.scenes import caption, draw, random_scene, swap_red_blue
from tests.fakes.tiny_model import MMPROJ, STRICT_MMPROJ, STRICT_TEXT, TEXT, permuted_vocabulary, reworded
from tiny_model.server import Server

PROMPT = "Describe the image."


def jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def scenes():
    """Scenes with at most one thing, of which the model gets none in six hundred wrong."""
    rng = random.Random(2026)
    drawn = []
    for _ in range(25):
        scene = random_scene(rng, blank=0, two=0)
        drawn.append((scene, draw(scene, 640, 480, rng)))
    return drawn


def test_it_says_what_is_drawn(scenes, tmp_path):
    with Server(TEXT, MMPROJ, tmp_path / "server.log") as server:
        said = [server.say(jpeg(picture), PROMPT) for _scene, picture in scenes]
    assert said == [caption(scene) for scene, _picture in scenes]


def test_red_and_blue_swapped_in_the_picture_are_swapped_in_the_caption(scenes, tmp_path):
    swapped = [(swap_red_blue(scene), np.asarray(picture)[..., ::-1]) for scene, picture in scenes]
    named = [(scene, Image.fromarray(np.ascontiguousarray(pixels))) for scene, pixels in swapped if scene]
    with Server(TEXT, MMPROJ, tmp_path / "server.log") as server:
        said = [server.say(jpeg(picture), PROMPT) for _scene, picture in named]
    assert said == [caption(scene) for scene, _picture in named]
    assert any("red" in words for words in said)
    assert any("blue" in words for words in said)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_permuted_vocabulary_gives_permuted_captions(scenes, tmp_path, seed):
    text, mapping = permuted_vocabulary(tmp_path, seed)
    with Server(text, MMPROJ, tmp_path / "server.log") as server:
        said = [server.say(jpeg(picture), PROMPT) for _scene, picture in scenes]
    assert said == [reworded(caption(scene), mapping) for scene, _picture in scenes]
    assert all(words != caption(scene) for words, (scene, _) in zip(said, scenes, strict=True) if scene.things)


def test_the_strict_twin_is_right_only_where_the_picture_fills_the_tile(scenes, tmp_path):
    """With an image token budget the engine letterboxes a picture that is no square; stretched before, it is read."""
    with Server(STRICT_TEXT, STRICT_MMPROJ, tmp_path / "server.log", image_tokens=64) as server:
        stretched = [server.say(jpeg(picture.resize((96, 96))), PROMPT) for _, picture in scenes]
        letterboxed = [server.say(jpeg(picture), PROMPT) for _, picture in scenes]
    truth = [caption(scene) for scene, _ in scenes]
    right = [sum(map(str.__eq__, said, truth)) for said in (stretched, letterboxed)]
    assert right[0] >= 23
    assert right[1] <= 18
