"""What stands of yes/no questions over many looks."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.questions import BooleanQuestion, NumberQuestion, Question, TextQuestion
from agent.steady import Stand, Steadiness, after, likely
from agent.values import Answer


def asks(on_at: float = 0.7, off_at: float = 0.3, looks: int = 1, ask: str = "Is it open?") -> BooleanQuestion:
    return BooleanQuestion(type="boolean", ask=ask, on_at=on_at, off_at=off_at, looks=looks)


def said(yes: float | None) -> Answer:
    """As a captioner says it: the likelier, and how sure it is."""
    if yes is None:
        return Answer(value=None)
    return Answer(value=yes >= 0.5, confidence=max(yes, 1 - yes))


def stands(question: BooleanQuestion, *looks: float | None) -> list[bool | None]:
    stand, seen = Stand(), []
    for yes in looks:
        stand = after(question, stand, said(yes))
        seen.append(stand.steady)
    return seen


def test_between_the_two_it_stays_as_it_was():
    looks = (0.5, 0.69, 0.7, 0.5, 0.31, 0.3, 0.5, 0.69, 0.9)
    assert stands(asks(), *looks) == [None, None, True, True, True, False, False, False, True]


def test_several_looks_in_a_row_must_say_so():
    two = asks(looks=2)
    assert stands(two, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1) == [None, True, True, True, True, False]
    assert stands(two, 0.9, 0.5, 0.9, 0.9) == [None, None, None, True], "an unsure look breaks the row"
    assert stands(two, 0.9, None, 0.9, 0.9) == [None, None, None, True], "so does one without an answer"
    assert stands(two, 0.9, 0.1, 0.9, 0.9) == [None, None, None, True], "and one that says otherwise"


def test_without_a_confidence_an_answer_counts_as_certain():
    assert [likely(Answer(value=value)) for value in (True, False, None, "yes")] == [1.0, 0.0, None, None]
    assert after(asks(on_at=1, off_at=0), Stand(), Answer(value=False)).steady is False


def test_thresholds_mean_what_they_say():
    assert after(asks(), Stand(True), Answer(value=False, confidence=0.7)).steady is False
    assert stands(asks(on_at=0.5, off_at=0.5), 0.5, 0.49, 0.51) == [True, False, True]


likelihoods = st.none() | st.floats(0, 1)
questions = st.builds(
    lambda bounds, looks: asks(max(bounds), min(bounds), looks),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.integers(1, 4),
)


@given(questions, st.lists(likelihoods, max_size=30))
def test_it_only_ever_turns_after_as_many_looks_that_say_so(question: BooleanQuestion, looks: list[float | None]):
    stand = Stand()
    for number, yes in enumerate(looks):
        before, stand = stand, after(question, stand, said(yes))
        if stand.steady == before.steady:
            continue
        row = [likely(said(one)) for one in looks[max(0, number + 1 - question.looks) : number + 1]]
        assert len(row) == question.looks
        for one in row:
            assert one is not None
            assert one >= question.on_at if stand.steady else one <= question.off_at


@given(questions, st.lists(likelihoods, max_size=30))
def test_it_does_turn_once_so_many_have_said_so(question: BooleanQuestion, looks: list[float | None]):
    stand = Stand()
    for yes in looks:
        stand = after(question, stand, said(yes))
    for _ in range(question.looks):
        stand = after(question, stand, Answer(value=True))
    assert stand.steady is True


@given(st.lists(likelihoods, max_size=30))
def test_the_more_looks_it_takes_the_less_often_it_turns(looks: list[float | None]):
    stood = [[one for one in stands(asks(looks=count), *looks) if one is not None] for count in (1, 2, 3)]
    turns = [len(list(groupby(one))) for one in stood]
    assert turns == sorted(turns, reverse=True)


class Camera:
    """``door`` as it is asked look by look."""

    def __init__(self, **before: Answer) -> None:
        self.steadiness, self.before = Steadiness(), before

    def look(self, question: Question, answer: Answer, name: str = "open") -> bool | None:
        told = self.steadiness.told("door", {name: question}, {name: answer}, self.before)
        assert told[name] == answer.model_copy(update={"steady": told[name].steady})
        return told[name].steady


UNSURE, YES = Answer(value=True, confidence=0.5), Answer(value=True, confidence=0.9)


def test_each_camera_and_question_stands_for_itself():
    steadiness = Steadiness()
    both = {"open": asks(), "lit": asks(ask="Is the light on?")}
    steadiness.told("door", both, {"open": YES, "lit": UNSURE}, {})
    told = steadiness.told("door", both, {"open": UNSURE, "lit": UNSURE}, {})
    assert [answer.steady for answer in told.values()] == [True, None]
    told = steadiness.told("gate", both, {"open": UNSURE, "lit": UNSURE}, {})
    assert [answer.steady for answer in told.values()] == [None, None]


def test_a_start_goes_on_from_the_last_good_look_and_only_the_first_time():
    door = Camera(open=Answer(value=False, steady=True))
    assert door.look(asks(), UNSURE) is True
    assert door.look(asks(), Answer(value=False)) is False
    assert door.look(asks(), UNSURE) is False


def test_another_question_of_the_same_name_begins_anew_and_other_thresholds_do_not():
    door = Camera()
    assert door.look(asks(), YES) is True
    assert door.look(asks(on_at=0.95, looks=3), UNSURE) is True
    assert door.look(asks(ask="Is it shut?"), UNSURE) is None
    door.look(asks(), YES)
    assert door.look(TextQuestion(ask="Is it open?"), Answer(value="yes")) is None
    assert door.look(asks(), UNSURE) is None


def test_what_was_not_asked_for_a_while_begins_anew():
    door = Camera()
    door.look(asks(), YES)
    door.look(asks(), YES, name="other")
    assert door.look(asks(), UNSURE) is None


@pytest.mark.parametrize("question", [NumberQuestion(type="number", ask="?"), TextQuestion(ask="?")])
def test_only_yes_and_no_is_ever_steady(question: Question):
    assert Camera().look(question, Answer(value=1)) is None


def test_an_answer_to_what_is_no_longer_asked_is_left_as_it_is():
    assert Steadiness().told("door", {"other": asks()}, {"open": YES}, {}) == {"open": YES}


def test_a_camera_that_is_another_now_begins_anew_whatever_its_last_look_was():
    door = Camera(open=Answer(value=True, steady=True))
    door.look(asks(), UNSURE)
    door.steadiness.forget("door")
    assert door.look(asks(), UNSURE) is None
    assert door.look(asks(), YES) is True
