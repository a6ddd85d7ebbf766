"""A damaged JPEG is refused, an odd one is not."""

from __future__ import annotations

import pytest

from plugins.sources.jpeg import Damaged
from plugins.sources.usb.picture import decode
from tests.fakes.clips import read_number
from tests.fakes.v4l2.camera import jpegs

SIZE = (640, 360)
WHOLE = jpegs(2, SIZE, tables=True)[1]
HALF = len(WHOLE) // 2
SCAN = WHOLE.index(b"\xff\xda")


def _noted(jpeg: bytes, marker: int, text: bytes) -> bytes:
    return jpeg[:2] + bytes((0xFF, marker)) + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


@pytest.mark.parametrize(
    "jpeg",
    [
        WHOLE,
        jpegs(2, SIZE)[1],  # without Huffman tables
        WHOLE + b"\0" * 5000,  # padded to the buffer's end
        _noted(WHOLE, 0xE0, b"AVI1\0\0\0\0"),
        _noted(WHOLE, 0xE1, b"Exif\0\0 and not really"),
        _noted(WHOLE, 0xFE, b"made by a camera"),
    ],
)
def test_whole_pictures_are_read(jpeg: bytes):
    pixels = decode(jpeg, 1280)
    assert pixels.shape == (360, 640, 3)
    assert read_number(pixels) == 1
    assert decode(jpeg, 320).shape == (180, 320, 3)


@pytest.mark.parametrize(
    "jpeg",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"no picture at all",
        WHOLE[:HALF],
        WHOLE[:HALF] + b"\xff\xd9",
        WHOLE[:HALF] + WHOLE[HALF + 2000 :],
        WHOLE[:HALF] + b"\0" * 2000 + WHOLE[HALF + 2000 :],
        WHOLE[:SCAN],
        WHOLE[: SCAN - 30],
        WHOLE[2:],
    ],
)
def test_damaged_pictures_are_refused(jpeg: bytes):
    with pytest.raises(Damaged):
        decode(jpeg, 1280)


def test_a_picture_of_too_many_pixels_is_refused_from_its_header():
    size = WHOLE.index(b"\xff\xc0") + 5
    with pytest.raises(Damaged):
        decode(WHOLE[:size] + b"\xff\x00\xff\x00" + WHOLE[size + 4 :], 1280)
