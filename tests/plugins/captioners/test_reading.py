"""What free words say to a question, and where they do not say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.plugin import BooleanQuestion, ChoiceQuestion, NumberQuestion, Question, TextQuestion
from plugins.captioners.reading import value_of

BOOLEAN = BooleanQuestion(type="boolean", ask="?")
DOOR = ChoiceQuestion(type="choice", ask="?", options=("open", "open wide", "closed", "Über die Straße"))


def number(**how: float | str) -> NumberQuestion:
    return NumberQuestion.model_validate({"type": "number", "ask": "?", **how})


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("yes", True),
        ("Yes.", True),
        (" YES!", True),
        ("Yes, there is a car without a driver.", True),
        ("**No**, there is none.", False),
        ("no", False),
        ("The answer is yes.", True),
        ("true", True),
        ("Ja, das Tor ist offen.", True),
        ("Nein.", False),
        ("yes or no", None),
        ("Yes and no.", None),
        ("yes/no", None),
        ("There is a dog.", None),
        ("Nothing is happening.", None),
        ("yesterday", None),
        ("", None),
        ("...", None),
    ],
)
def test_yes_and_no(words: str, value: bool | None) -> None:
    assert value_of(BOOLEAN, words) is value


@pytest.mark.parametrize(
    ("how", "words", "value"),
    [
        ({}, "3", 3),
        ({}, "I see 3 cars.", 3),
        ({}, "3.", 3),
        ({}, "1,000", 1000),
        ({}, "3 cars and 2 dogs", None),
        ({}, "three", None),
        ({}, "between 3-4", None),
        ({}, "3rd", None),
        ({}, "the 3rd of 5", None),
        ({}, "12x", None),
        ({}, "4711", None),
        ({}, "-1", None),
        ({}, "", None),
        ({"max": 5000}, "about 4,711 of them", 4711),
        ({"min": -20, "max": 40, "decimals": 1, "unit": "°C"}, "It is -3.5°C.", -3.5),
        ({"min": -20, "max": 40, "decimals": 1}, "\u22123,5 degrees", -3.5),
        ({"decimals": 1}, "2.25", 2.2),
        ({"max": 100, "unit": "%"}, "80%", 80),
        ({"unit": "km"}, "7km", 7),
        ({}, "9" * 400, None),
    ],
)
def test_numbers(how: dict[str, float | str], words: str, value: float | None) -> None:
    assert value_of(number(**how), words) == value


def test_whole_numbers_are_whole() -> None:
    assert isinstance(value_of(number(), "3.0"), int)
    assert isinstance(value_of(number(decimals=1), "3"), float)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("open", "open"),
        ("Open.", "open"),
        ("'open  wide'", "open wide"),
        ("The door is open wide.", "open wide"),
        ("It is CLOSED", "closed"),
        ("über die straße", "Über die Straße"),
        ("open or closed", None),
        ("It is not open.", None),
        ("It isn't closed", None),
        ("opened", None),
        ("ajar", None),
        ("", None),
    ],
)
def test_options(words: str, value: str | None) -> None:
    assert value_of(DOOR, words) == value


def test_words_are_what_they_are() -> None:
    assert value_of(TextQuestion(ask="?"), "KEEP OUT") == "KEEP OUT"
    assert value_of(TextQuestion(ask="?"), "") is None


@given(st.text(max_size=40), st.sampled_from([BOOLEAN, DOOR, number(), number(min=-5, max=5, decimals=2)]))
def test_whatever_is_said_the_value_is_one_that_may_be_given(words: str, question: Question) -> None:
    value = value_of(question, words)
    match question:
        case BooleanQuestion():
            assert value in (True, False, None)
        case ChoiceQuestion(options=options):
            assert value in (*options, None)
        case NumberQuestion():
            assert value is None or question.min <= value <= question.max
