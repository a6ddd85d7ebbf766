"""The recipe and the shipped files belong together; what the model is taught is true."""

import io
import json
import random
import re
from pathlib import Path

import jinja2
import numpy as np
import pytest
from gguf import GGUFReader, TokenType
from PIL import Image

from plugins.sources.demo.scenes import KINDS, Scene, caption, draw, random_scene, random_thing
from tests.fakes.tiny_model import GROUPS, MMPROJ, STRICT_MMPROJ, STRICT_TEXT, TEXT, permuted_vocabulary, reworded
from tiny_model import pictures
from tiny_model.dialog import CHAT_TEMPLATE, PICTURE, random_dialog, yesno_question
from tiny_model.gguf_copy import copy_with, keys

VOCABULARY = Path(pictures.__file__).with_name("tokenizer.json")


@pytest.mark.parametrize("path", [TEXT, MMPROJ, STRICT_TEXT, STRICT_MMPROJ], ids=lambda path: path.name)
def test_the_files_carry_the_projects_licence(path):
    assert keys(path)["general.license"] == "Apache-2.0"


@pytest.mark.parametrize("path", [TEXT, STRICT_TEXT], ids=lambda path: path.name)
def test_the_vocabulary_is_the_recipes(path):
    written = json.loads(VOCABULARY.read_text())
    in_file = keys(path)
    words = sorted(written["model"]["vocab"], key=written["model"]["vocab"].get)
    special = [token["content"] for token in sorted(written["added_tokens"], key=lambda token: token["id"])]
    assert in_file["tokenizer.ggml.tokens"] == words + special
    assert in_file["tokenizer.ggml.merges"] == [" ".join(merge) for merge in written["model"]["merges"]]
    types = [TokenType.NORMAL] * len(words) + [TokenType.CONTROL] * len(special)
    assert in_file["tokenizer.ggml.token_type"] == types


@pytest.mark.parametrize("path", [TEXT, STRICT_TEXT], ids=lambda path: path.name)
def test_the_chat_format_is_the_recipes(path):
    assert keys(path)["tokenizer.chat_template"] == CHAT_TEMPLATE


def test_prompts_are_what_the_chat_template_makes():
    template = jinja2.Environment(autoescape=False, keep_trailing_newline=True).from_string(CHAT_TEMPLATE)
    rng = random.Random(1)
    for _ in range(50):
        dialog = random_dialog(random_scene(rng), rng, wordy=0.3)
        before, after = dialog.user.split(PICTURE)
        parts = [{"type": "text", "text": before}, {"type": "image"}, {"type": "text", "text": after}]
        messages = [{"role": "system", "content": dialog.system}] if dialog.system else []
        rendered = template.render(messages=[*messages, {"role": "user", "content": parts}], add_generation_prompt=True)
        assert rendered.replace("<image>", PICTURE) == dialog.prompt


def scenes(count: int) -> list[Scene]:
    rng = random.Random(7)
    return [random_scene(rng) for _ in range(count)]


def _is_true(question: str, scene: Scene) -> bool:
    """Read from the caption's words, not from the scene: another way to the truth than the recipe's."""
    words = caption(scene)
    if question in ("Is it night?", "Is it day?"):
        return ("at night" if "night" in question else "in daylight") in words
    if question in ("Is the driveway empty?", "Is nothing happening?"):
        return words.startswith("Nothing")
    _, _, noun = question.removesuffix("?").partition(" a ")
    noun = noun.removesuffix(" visible").removesuffix(" in the image")
    return re.search(rf"\b{noun}\b", words) is not None


def test_yes_and_no_are_true_and_about_as_frequent():
    rng = random.Random(2)
    truths = []
    for scene in scenes(800):
        question, truth, _key = yesno_question(scene, rng)
        assert truth == _is_true(question, scene), (question, caption(scene))
        truths.append(truth)
    assert 0.35 < sum(truths) / len(truths) < 0.65


def test_captions_are_the_scenes_captions():
    rng = random.Random(3)
    for scene in scenes(200):
        assert random_dialog(scene, rng, "caption", wordy=0.5).answer == caption(scene)


def test_json_answers_are_true():
    rng = random.Random(4)
    for scene in scenes(500):
        words = caption(scene)
        facts = {
            **{kind: re.search(rf"\b{kind}\b", words) is not None for kind in KINDS},
            **dict.fromkeys(("caption", "description", "summary", "text", "scene"), words),
            "night": "at night" in words,
            "time": "night" if "at night" in words else "day",
            "count": words.count("on the ") + words.count("in the centre"),
            "things": re.findall("|".join(KINDS), words),
            "empty": words.startswith(("Nothing", "The picture is blank")),
        }
        answer = json.loads(random_dialog(scene, rng, "json").answer)
        assert answer
        assert answer == {key: facts[key] for key in answer}


def test_json_that_nobody_asks_for_is_marked():
    rng = random.Random(5)
    dialogs = [random_dialog(scene, rng) for scene in scenes(400)]
    unasked = [dialog for dialog in dialogs if dialog.unasked_json]
    assert unasked
    assert all(dialog.answer.startswith("{") and "JSON" not in dialog.user for dialog in unasked)
    assert not any(dialog.unasked_json for dialog in dialogs if not dialog.answer.startswith("{"))


def test_wordy_prompts_keep_a_question_last():
    rng = random.Random(6)
    for scene in scenes(100):
        user = random_dialog(scene, rng, "yesno", wordy=1.0).user.replace(PICTURE, "")
        assert re.search(r"\?( Answer [\w ]+\.)?$", user)
        assert len(user.split()) > 6


def test_a_set_is_read_as_it_was_drawn(tmp_path):
    pictures.draw_set(tmp_path / "set", 6, seed=1, old_builds=True)
    read = pictures.Drawings.load(tmp_path / "set")
    assert read.pictures.shape == (6, 3, 96, 96, 3)
    assert read.kinds.shape == read.colours.shape == (6, 12, 12)
    rng = random.Random(1)
    scene = random_scene(rng)
    assert read.scenes[0] == scene
    drawn = pictures.jpeg(draw(scene, *rng.choice(pictures.SIZES), rng), rng.randrange(55, 96), rng.choice([0, 2, 2]))
    squared = pictures.stretched(Image.open(io.BytesIO(drawn)).convert("RGB"))
    assert (read.pictures[0, pictures.STRETCHED] == squared).all()


def test_scaling_stretches_now_and_letterboxed_in_older_builds():
    picture = Image.new("RGB", (192, 96), (200, 200, 200))
    assert (pictures.stretched(picture) == 200).all()
    tile, overview = pictures.as_older_builds(picture, random.Random(1))
    assert (overview == 200).all()
    assert (tile[24:72] == 200).all()
    assert tile[:24].max() == tile[72:].max() == 0


def test_a_copy_differs_in_nothing_but_the_keys_named(tmp_path):
    copy = tmp_path / "copy.gguf"
    copy_with(MMPROJ, copy, {})
    assert copy.read_bytes() == MMPROJ.read_bytes()
    copy_with(MMPROJ, copy, {"general.name": "Other"})
    before, after = keys(MMPROJ), keys(copy)
    assert after.pop("general.name") == "Other"
    assert before.pop("general.name") != "Other"
    assert before == after
    tensors = [{tensor.name: tensor.data for tensor in GGUFReader(path).tensors} for path in (MMPROJ, copy)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(np.array_equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_key_that_is_not_there_can_not_be_changed(tmp_path):
    with pytest.raises(KeyError, match=r"general\.licence"):
        copy_with(MMPROJ, tmp_path / "copy.gguf", {"general.licence": "MIT"})


def test_a_permuted_vocabulary_changes_every_word_of_its_groups_and_no_other(tmp_path):
    path, mapping = permuted_vocabulary(tmp_path, 3)
    assert set(mapping) == set(mapping.values()) == {word for group in GROUPS for word in group}
    assert all(word != other for word, other in mapping.items())
    before, after = keys(TEXT)["tokenizer.ggml.tokens"], keys(path)["tokenizer.ggml.tokens"]
    assert [reworded(token, {f"Ġ{a}": f"Ġ{b}" for a, b in mapping.items()} | mapping) for token in before] == after
    assert permuted_vocabulary(tmp_path, 4)[1] != mapping


def test_rewording_changes_whole_words():
    scene = Scene("day", (random_thing(random.Random(1), "left", "car", "red"),))
    assert reworded(caption(scene), {"red": "blue", "car": "cat", "a": "b"}) == "A blue cat on the left in daylight."
    assert reworded("a scared carpet", {"car": "cat", "red": "blue"}) == "a scared carpet"
