"""Typed answers on both real engines: right, as sure as they should be, of their type always, each at its own risk."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.plugin import (
    Answer,
    BooleanQuestion,
    CaptionRequest,
    ChoiceQuestion,
    NumberQuestion,
    Question,
    TextQuestion,
)
from plugins.sources.demo.doorstep import random_scene
from plugins.sources.demo.scenes import draw
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.stand_in import Behaviour, questions, stand_in
from tests.fakes.scenes import as_sent, known_scenes
from tests.plugins.captioners.llama_server.conftest import Running

TILE = 96
SCENES = 200
SEED = 20261130
"""No seed of the model's training, nor of any other test."""
KINDS = ("person", "car", "dog", "cat", "package", "bicycle")


def _unseen() -> list[tuple[str, bool, bytes]]:
    """What is asked for, whether it is there, and the picture. Half of what is asked for is there."""
    rng = random.Random(SEED)
    found = []
    while len(found) < SCENES:
        scene = random_scene(rng)
        present = [thing.kind for thing in scene.things]
        wanted = len(found) % 2 == 0
        kinds = present if wanted else [kind for kind in KINDS if kind not in present]
        if kinds:
            size = rng.choice(((640, 480), (640, 360), (320, 240)))
            found.append((rng.choice(kinds), wanted, as_sent(draw(scene, *size, rng), TILE)))
    return found


def _asks(jpeg: bytes, **asked: Question) -> CaptionRequest:
    return CaptionRequest("front_door", jpeg, "Describe the image.", 60, 30, asked)


def _auc(there: list[float], not_there: list[float]) -> float:
    """How often a scene that has it is thought likelier to have it than one that has not."""
    yes, no = np.array(there)[:, None], np.array(not_there)[None, :]
    return float(((yes > no) + 0.5 * (yes == no)).mean())


async def test_yes_and_no_are_right_and_as_sure_as_they_should_be(real: RealEngine, running: Running):
    likely: dict[bool, list[float]] = {True: [], False: []}
    right = 0
    async with running(**real.config) as engine:
        await engine.ready(60)
        for kind, truth, jpeg in await asyncio.to_thread(_unseen):
            question = BooleanQuestion(type="boolean", ask=f"Is there a {kind}?")
            answer = (await engine.caption(_asks(jpeg, it=question))).answers["it"]
            assert answer.confidence is not None
            right += answer.value is truth
            likely[truth].append(answer.confidence if answer.value else 1 - answer.confidence)
    auc = _auc(likely[True], likely[False])
    print(f"{real.name}: {right} of {SCENES} yes/no answers right, AUC {auc:.4f}")
    assert right >= 0.9 * SCENES
    assert auc >= 0.9


async def test_one_of_several_captions_is_chosen_rightly(real: RealEngine, running: Running):
    """The one thing the tiny model was taught to say in words of its own, so what it can choose from."""
    scenes = [(truth.rstrip("."), picture) for truth, picture in known_scenes(40, seed=SEED) if len(truth) <= 60]
    right, sure = 0, []
    async with running(**real.config) as engine:
        await engine.ready(60)
        for number, (truth, picture) in enumerate(scenes):
            others = [scenes[(number + step) % len(scenes)][0] for step in (3, 7, 11)]
            question = ChoiceQuestion(type="choice", ask="Describe the image.", options=(*others, truth))
            jpeg = await asyncio.to_thread(as_sent, picture, TILE)
            answer = (await engine.caption(_asks(jpeg, it=question))).answers["it"]
            right += answer.value == truth
            sure.append(answer.confidence or 0)
    print(
        f"{real.name}: {right} of {len(scenes)} captions chosen rightly, confidence {min(sure):.3f} to {max(sure):.3f}"
    )
    assert right >= 0.9 * len(scenes)


ODD: Mapping[str, Question] = {
    "quotes": ChoiceQuestion(type="choice", ask='Which "bin"?', options=('the "blue" one', "a\\b[c]^-", "it's")),
    "umlauts": ChoiceQuestion(type="choice", ask="Welche Tonne?", options=("grün", "Öl", "weiß", "яма", "黑")),
    "prefixes": ChoiceQuestion(type="choice", ask="Is it open?", options=("open", "open wide", "open wide, or so")),
    "long": ChoiceQuestion(type="choice", ask="What is it?", options=tuple(f"{n} " + "word " * 11 for n in range(20))),
    "lines": ChoiceQuestion(type="choice", ask="What?", options=("one\ntwo", "three\tfour")),
    "few": NumberQuestion(type="number", ask="How many cars are there?", max=10),
    "many": NumberQuestion(type="number", ask="How many?", min=-1e9, max=1e9, decimals=6),
    "warm": NumberQuestion(type="number", ask="How warm?", min=-20, max=40, decimals=1, unit="°C"),
    "small": NumberQuestion(type="number", ask="How full?", min=0.25, max=0.5, decimals=2),
}


@pytest.mark.parametrize("least", [pytest.param(None, id="as it is"), pytest.param(0.0, id="however unlikely")])
async def test_answers_are_of_their_type_whatever_the_model_makes_of_the_question(
    real: RealEngine, running: Running, monkeypatch: pytest.MonkeyPatch, least: float | None
):
    if least is not None:
        monkeypatch.setattr("plugins.captioners.weighing.LEAST", least)
    answered = 0
    async with running(**real.config) as engine:
        await engine.ready(60)
        for _, picture in known_scenes(5):
            said = await engine.caption(_asks(await asyncio.to_thread(as_sent, picture, TILE), **ODD))
            for name, answer in said.answers.items():
                _of_its_type(ODD[name], answer)
                answered += answer.value is not None
    if least is None:
        assert answered == 0, "it was taught none of this, and would have described the picture"
    else:
        assert answered > 0.8 * 5 * len(ODD), "the engine takes each of the grammars"


def _of_its_type(question: Question, answer: Answer) -> None:
    assert (answer.value is None) == (answer.confidence is None)
    assert answer.confidence is None or 0 <= answer.confidence <= 1
    if isinstance(question, ChoiceQuestion):
        assert answer.value in (*question.options, None)
    elif isinstance(question, NumberQuestion) and answer.value is not None:
        assert isinstance(answer.value, float if question.decimals else int)
        assert question.min <= answer.value <= question.max


async def test_words_are_as_sure_as_they_are_likely(real: RealEngine, running: Running):
    truth, picture = known_scenes(1)[0]
    async with running(**real.config) as engine:
        await engine.ready(60)
        again, cut = (
            TextQuestion(ask="Describe the image.", max_tokens=60),
            TextQuestion(ask="What is it?", max_tokens=1),
        )
        jpeg = await asyncio.to_thread(as_sent, picture, TILE)
        answers = (await engine.caption(_asks(jpeg, again=again, cut=cut))).answers
    assert (answers["again"].value, answers["cut"].value) == (truth, "A")
    assert 0.9 < (answers["again"].confidence or 0) <= 1


async def test_a_question_that_is_refused_costs_only_itself(real: RealEngine, running: Running):
    truth, picture = known_scenes(1)[0]
    kind = next(kind for kind in KINDS if kind in truth)
    async with running(**real.config) as engine:
        await engine.ready(60)
        said = await engine.caption(
            _asks(
                await asyncio.to_thread(as_sent, picture, TILE),
                endless=TextQuestion(ask="word " * 199, max_tokens=500),
                there=BooleanQuestion(type="boolean", ask=f"Is there a {kind}?"),
            )
        )
    assert said.text == truth
    assert said.answers["there"].value is True


def _says(text: str, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop", "logprobs": logprobs}]}


def _place(token: str, logprob: Any, **top: Any) -> dict[str, Any]:
    tops = [{"token": one, "logprob": p} for one, p in top.items()]
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": tops}


@pytest.mark.parametrize(
    ("answer", "value", "confidence"),
    [
        pytest.param(_says("yes"), True, None, id="none told"),
        pytest.param(_says("N"), False, None, id="none told, and only a letter said"),
        pytest.param(_says("yes", {"content": None}), True, None, id="told in another way"),
        pytest.param(
            _says("no", {"tokens": ["no"], "token_logprobs": [-0.1]}), False, None, id="as completions have it"
        ),
        pytest.param(_says("yes", {"content": [{"token": "yes"}]}), True, None, id="without numbers"),
        pytest.param(_says("yes", {"content": [_place("yes", 0.0)]}), True, 1.0, id="no others told"),
        pytest.param(_says("yes", {"content": [_place("yes", -1.0, yes=-1.0, no=-1.0)]}), True, 0.5, id="told"),
        pytest.param(_says("yes", {"content": [_place("yes", -9999.0, Yes=None)]}), True, None, id="nonsense"),
        pytest.param(_says("yes", {"content": [_place("yes", -99.0, There=-0.1)]}), None, None, id="wrung from it"),
        pytest.param(_says("Perhaps."), None, None, id="no grammar kept"),
        pytest.param(_says(""), None, None, id="nothing"),
        pytest.param("{", None, None, id="no JSON"),
    ],
)
async def test_engines_that_tell_their_probabilities_in_odd_ways(
    running: Running, short: Path, answer: Any, value: bool | None, confidence: float | None
):
    server = stand_in(short, Behaviour(answers=[_says("A cat."), answer, _says("KEEP OUT")]))
    async with running(binary=server) as engine:
        await engine.ready(30)
        asked = _asks(
            b"\xff\xd8\xff", cat=BooleanQuestion(type="boolean", ask="A cat?"), sign=TextQuestion(ask="Sign?")
        )
        said = await engine.caption(asked)
    assert said.text == "A cat."
    assert said.answers["cat"] == Answer(value=value, confidence=confidence)
    assert said.answers["sign"] == Answer(value="KEEP OUT")
    caption_, cat, sign = questions(server)
    assert "logprobs" not in caption_
    assert (cat["logprobs"], cat["temperature"], "root ::=" in cat["grammar"]) == (True, 0.0, True)
    assert (sign["logprobs"], "grammar" in sign) == (True, False)
    assert cat["messages"][0]["content"][-1]["text"] == "A cat? Answer yes or no."
    assert cat["id_slot"] == caption_["id_slot"], "where the picture is known"
