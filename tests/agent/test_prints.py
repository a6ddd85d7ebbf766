from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import numpy as np
import pytest

from agent.prints import Prints


def frame() -> np.ndarray:
    return np.zeros((4, 4, 3), np.uint8)


def test_each_picture_of_a_frame_is_made_once():
    prints, one, other = Prints(), frame(), frame()
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    for _ in range(3):
        assert prints.once(one, "square", lambda: make("one")) == "one"
        assert prints.once(one, "aspect", lambda: make("one's other")) == "one's other"
        assert prints.once(other, "square", lambda: make("another")) == "another"
    assert made == ["one", "one's other", "another"]


def test_nothing_is_left_of_a_frame_that_has_gone():
    prints = Prints()
    for _ in range(50):
        pixels = frame()
        prints.once(pixels, "square", bytes)
        del pixels
        gc.collect(0)
    assert len(prints) == 0


def test_two_threads_that_want_the_same_make_it_once():
    prints, pixels, begun, go = Prints(), frame(), Barrier(2), Event()
    made: list[int] = []

    def make() -> int:
        assert go.wait(10)
        made.append(1)
        return len(made)

    def ask() -> int:
        begun.wait(10)
        return prints.once(pixels, "square", make)

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]
        go.set()
        assert [future.result(10) for future in asked] == [1, 1]


def test_what_could_not_be_made_is_told_to_everybody():
    prints, pixels = Prints(), frame()

    def fail() -> None:
        raise ValueError("no picture")

    for _ in range(2):
        with pytest.raises(ValueError, match="no picture"):
            prints.once(pixels, "square", fail)
    del pixels
    gc.collect()
    assert len(prints) == 0
