"""Which pictures are shown, in which order."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agent.bench.measure import WARM_UP, _enough
from agent.bench.pictures import FEWEST, drawn, enough, in_turns, line_up, of_folder
from agent.errors import Misconfigured
from agent.registry import Registry
from plugins.captioners.llama_server.slots import Slot, Slots


@given(st.integers(2, 60), st.integers(FEWEST, 60))
def test_no_engine_is_asked_about_the_same_picture_twice_in_a_row(count, there):
    row = line_up(count, there)
    assert len(row) == count
    order = [picture for _, picture, _ in in_turns(row, bare=True)]
    assert all(one != other for one, other in pairwise(order))


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 16])
async def test_no_slot_has_the_picture_that_comes_next(slots):
    """As the managed engine lends them; without camscribe it is always the first."""
    for count in range(enough(slots), enough(slots) + 8):
        lent, held = Slots(slots), {}
        row = line_up(count, count)
        looks = [(picture, "agent") for picture in row[-WARM_UP:]]
        for picture, way in looks + [(picture, way) for _, picture, way in in_turns(row, bare=True)]:
            async with lent.lent(bytes([picture]), 1) if way == "agent" else nullcontext(Slot(0)) as slot:
                assert held.get(slot.id) != picture, count
                held[slot.id] = picture


def test_captioner_with_slots_wants_each_picture_once():
    _enough(1, 3, 20)
    _enough(2, 6, 6)
    for pictures, looks in ((4, 4), (6, 12), (12, 6)):
        with pytest.raises(Misconfigured, match="at least 6 pictures, and as many looks"):
            _enough(2, pictures, looks)


@given(st.integers(2, 60))
def test_every_look_goes_both_ways_in_turns(count):
    order = in_turns(line_up(count, count), bare=True)
    assert {(look, way) for look, _, way in order} == {
        (look, way) for look in range(count) for way in ("bare", "agent")
    }
    halves = order[:count], order[count:]
    assert all(one[2] != other[2] for half in halves for one, other in pairwise(half))


def test_without_a_bare_engine_each_look_goes_one_way():
    assert in_turns([0, 1, 2], bare=False) == [(0, 0, "agent"), (1, 1, "agent"), (2, 2, "agent")]


@pytest.fixture
def registry():
    return Registry.discover(None)


async def test_drawn_scenes_differ(registry):
    shown = await drawn(4, registry)
    assert len({picture.tobytes() for picture in shown}) == 4
    assert shown[0].shape == (480, 640, 3)


def test_a_folder_is_read_by_name_upright_and_in_colour(tmp_path):
    for number, mode in enumerate(("RGB", "L", "RGBA")):
        Image.new(mode, (40 + number, 30)).save(tmp_path / f"{number}.png")
    sideways = Image.new("RGB", (50, 20))
    exif = sideways.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    sideways.save(tmp_path / "3.jpg", exif=exif)
    (tmp_path / "notes.txt").write_text("no picture")
    shown = of_folder(tmp_path, 10)
    assert [picture.shape for picture in shown] == [(30, 40, 3), (30, 41, 3), (30, 42, 3), (50, 20, 3)]
    assert all(picture.dtype == np.uint8 for picture in shown)
    assert len(of_folder(tmp_path, 3)) == 3


def test_a_folder_with_too_few_pictures_says_why_that_is_no_use(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(Misconfigured, match=r"holds 1 pictures .* out of its cache"):
        of_folder(tmp_path, 10)
    with pytest.raises(Misconfigured, match="can't be read: No such file"):
        of_folder(tmp_path / "missing", 10)


def test_a_broken_picture_is_named(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff no jpeg")
    with pytest.raises(Misconfigured, match=r"c\.jpg can't be read"):
        of_folder(tmp_path, 10)
