"""Answers by their tokens' probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.plugin import BooleanQuestion, ChoiceQuestion, NumberQuestion, Question
from plugins.captioners.forms import Form, form
from plugins.captioners.weighing import LEAST, Token, of_words, weigh

BOOLEAN = BooleanQuestion(type="boolean", ask="?")
DOOR = ChoiceQuestion(type="choice", ask="?", options=("open", "open wide", "closed"))
BINS = ChoiceQuestion(type="choice", ask="?", options=("grün", "Öl", "Restmüll", 'die "große"'))
CARS = NumberQuestion(type="number", ask="?", max=30)
DEGREES = NumberQuestion(type="number", ask="?", min=-20, max=40, decimals=1)


def shape(question: Question) -> Form:
    found = form(question)
    assert found
    return found


def place(said: str, p: float, **others: float) -> Token:
    """``others``: with _ for a space before it."""
    likely = {one.replace("_", " ").encode(): share for one, share in others.items()}
    return Token(said.encode(), {**likely, said.encode(): p})


def test_yes_against_no_in_all_their_spellings():
    said = weigh(shape(BOOLEAN), [place("Yes", 0.4, yes=0.2, _yes=0.1, No=0.1, no=0.05, NO=0.05, There=0.1)])
    assert said.value is True
    assert said.confidence == pytest.approx(0.7 / 0.9, abs=1e-4)


def test_the_likelier_answer_wins_over_the_likelier_spelling():
    said = weigh(shape(BOOLEAN), [place("Yes", 0.4, No=0.3, no=0.3)])
    assert (said.value, said.confidence) == (False, 0.6)


def test_a_word_in_two_pieces():
    said = weigh(shape(BOOLEAN), [place("Y", 0.6, no=0.2), place("ES", 0.9)])
    assert (said.value, said.confidence) == (True, 0.75)


def test_a_space_alone_decides_nothing():
    said = weigh(shape(BOOLEAN), [place(" ", 0.9), place("no", 0.8, yes=0.2)])
    assert (said.value, said.confidence) == (False, 0.8)


def test_what_the_model_would_hardly_have_said_is_no_answer():
    assert weigh(shape(BOOLEAN), [place("no", LEAST / 2, There=0.9)]).value is None
    assert weigh(shape(BOOLEAN), [place("no", LEAST * 2, There=0.9)]).value is False
    assert weigh(shape(DOOR), [place("cl", 0.9), place("osed", 0.001, oud=0.9)]).value is None


def test_a_sentence_behind_the_answer_is_no_reason_to_doubt_it():
    sentence = [place(word, 0.5) for word in (",", " there", " is", " one", " on", " the", " step", ".")]
    said = weigh(shape(BOOLEAN), [place("Yes", 0.9, No=0.1), *sentence])
    assert (said.value, said.confidence) == (True, 0.9)


def test_options_of_which_one_begins_another():
    ends = weigh(shape(DOOR), [place("open", 0.8, closed=0.2), place("", 0.6, _wide=0.3, _for=0.1)])
    assert (ends.value, ends.confidence) == ("open", pytest.approx(0.8 * 0.7, abs=1e-4))
    wide = weigh(shape(DOOR), [place("open", 0.8, closed=0.2), place(" wide", 0.9, **{"": 0.1})])
    assert (wide.value, wide.confidence) == ("open wide", pytest.approx(0.72, abs=1e-4))
    # That it is followed by a word which no option has is no reason to doubt it.
    assert weigh(shape(DOOR), [place("Open", 1.0), place(" door", 0.9, _wide=0.1)]).value == "open"
    assert weigh(shape(DOOR), [place("opened", 1.0)]).value is None
    assert weigh(shape(DOOR), [place("open", 1.0), place("", LEAST / 2, ed=0.9)]).value is None, "opened, rather"


def test_letters_that_are_cut_up():
    rivers = ChoiceQuestion(type="choice", ask="?", options=("Öder Fluss", "яма", "grün"))
    for word, begun in (("öder fluss", "ö"), ("Öder Fluss", "Ö"), ("ЯМА", "Я"), ("яма", "я")):
        first, second = begun.encode()[:1], word.encode()[1:]
        said = weigh(shape(rivers), [Token(first, {first: 0.9, "grün".encode(): 0.1}), Token(second, {second: 1.0})])
        assert said.value == next(option for option in rivers.options if option.lower() == word.lower())
        assert said.confidence == 0.9


def test_numbers_go_on_or_end():
    three = weigh(shape(CARS), [place("3", 0.5, **{"2": 0.5}), place("", 0.2, _cars=0.6, **{"0": 0.2})])
    assert (three.value, three.confidence) == (3, 0.4)
    thirty = weigh(shape(CARS), [place("3", 0.5, **{"2": 0.5}), place("0", 0.8, **{"": 0.2}), place(" cars", 1.0)])
    assert (thirty.value, thirty.confidence) == (30, 0.4)
    assert weigh(shape(CARS), [place("3", 0.5, **{"-": 0.5})]).confidence == 1, "none is less than none"


@pytest.mark.parametrize(
    ("question", "pieces", "value"),
    [
        (CARS, ["31"], None),
        (CARS, ["300", ""], None),
        (CARS, ["3", ".", "5"], None),
        (CARS, ["1", ",", "000"], None),
        (CARS, ["3", ".", ""], 3),
        (CARS, ["-", "3"], None),
        (CARS, ["three"], None),
        (CARS, [""], None),
        (CARS, [], None),
        (DEGREES, ["-", "3", ".", "5", "°"], -3.5),
        (DEGREES, ["-3", ",5"], -3.5),
        (DEGREES, ["7", "."], 7.0),
        (DEGREES, ["-"], None),
        (BINS, ['die "gr'], None),
        (BINS, ["die ", '"GR', 'OSSE"'], None),
        (BINS, ["DIE ", '"GROßE"'], 'die "große"'),
    ],
)
def test_only_what_may_be_answered_is(question: Question, pieces: list[str], value: object):
    said = weigh(shape(question), [place(piece, 1.0) for piece in pieces])
    assert said.value == value
    assert (said.confidence is None) == (value is None)


def test_words_are_as_sure_as_their_tokens_on_the_average():
    assert of_words([place("KEEP", 0.9), place(" OUT", 0.4), place("", 0.1)]) == pytest.approx(0.6, abs=1e-4)
    assert of_words([]) is None
    assert of_words([place("x", 0.0)]) == 0.0


pieces = st.sampled_from(["", " ", "3", "0", ".", "-", "yes", "No", "open", " wide", "closed", "Ö", "l", "x", "grün"])
places = st.builds(
    lambda said, likely: Token(said.encode(), {one.encode(): p for one, p in {said: 0.5, **likely}.items()}),
    pieces,
    st.dictionaries(pieces, st.floats(0, 1), max_size=5),
)


@given(st.sampled_from([BOOLEAN, DOOR, BINS, CARS, DEGREES]), st.lists(places, max_size=5))
def test_whatever_the_tokens_are_the_answer_is_one_that_may_be_given(question: Question, tokens: list[Token]):
    said = weigh(shape(question), tokens)
    assert said.confidence is None or 0 <= said.confidence <= 1
    assert (said.value is None) == (said.confidence is None)
    match question:
        case BooleanQuestion():
            assert said.value in (True, False, None)
        case ChoiceQuestion(options=options):
            assert said.value in (*options, None)
        case NumberQuestion():
            assert said.value is None or (question.min <= said.value <= question.max and math.isfinite(said.value))


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_the_likelier_of_two_is_given_with_its_share(yes: float, no: float):
    for spoken in ("yes", "no"):
        said = weigh(shape(BOOLEAN), [place(spoken, yes if spoken == "yes" else no, yes=yes, no=no, There=0.01)])
        if yes + no >= LEAST and yes != no:
            assert said.value is (yes > no)
            assert said.confidence == pytest.approx(max(yes, no) / (yes + no), abs=1e-3)
