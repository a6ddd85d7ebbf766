"""docs/questions.md: its examples load, its drawing is what happens, its defaults are the code's, its links lead on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config import load
from agent.questions import BooleanQuestion
from agent.steady import Stand, after
from agent.values import Answer
from plugins.captioners.forms import form
from plugins.captioners.weighing import LEAST
from tests.fakes.service import ROOT

PAGE = ROOT / "docs" / "questions.md"
TEXT = PAGE.read_text()


def test_the_example_loads_and_its_answers_are_of_their_types(tmp_path: Path):
    (example,) = re.findall(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    (tmp_path / "config.yaml").write_text(example)
    questions = load(tmp_path / "config.yaml", {"HOME": str(tmp_path)}).cameras["front_door"].questions
    assert [question.type for question in questions.values()] == ["boolean", "number", "choice", "text"]
    answers = re.findall(r'^"(\w+)": +(\{.*\})$', TEXT, re.MULTILINE)
    assert [name for name, _ in answers] == list(questions)
    for name, answer in answers:
        value = Answer.model_validate_json(answer).value
        shape = form(questions[name])
        assert shape is None or shape.value(str({True: "yes"}.get(value, value))) == value


def test_the_drawing_is_what_happens():
    drawing = re.search(r"how likely yes is\n(.*?)```", TEXT, re.DOTALL)
    assert drawing
    likely: dict[int, float] = {}
    for height, marks in re.findall(r"^ (\d\.\d) \|(.*)$", drawing[1], re.MULTILINE):
        likely |= {mark.start(): float(height) for mark in re.finditer(r"\*", marks)}
    (row,) = re.findall(r"^steady(.*)$", drawing[1], re.MULTILINE)
    stand, stood = Stand(), {}
    for place, yes in sorted(likely.items()):
        answer = Answer(value=yes >= 0.5, confidence=max(yes, 1 - yes))
        stand = after(BooleanQuestion(type="boolean", ask="?"), stand, answer)
        stood[place] = {None: "?", True: "1", False: "0"}[stand.steady]
    assert {place: row[place] for place in stood} == stood
    assert set(stood.values()) == set("?10")


def test_the_defaults_and_the_threshold_are_those_of_the_code():
    question = BooleanQuestion(type="boolean", ask="?")
    assert f"`on_at: {question.on_at:g}` and `off_at: {question.off_at:g}` unless" in TEXT
    assert LEAST == 0.01, "less than one chance in a\n  hundred"


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)\s]+)\)", TEXT))
def test_each_link_leads_somewhere(target: str):
    path, _, anchor = target.partition("#")
    heads = re.findall(r"^#+ (.*)$", (PAGE.parent / path).read_text(), re.MULTILINE)
    assert not anchor or anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
