"""Pictures that somebody brings along: what is read, how, and what is refused before it costs anything."""

from __future__ import annotations

import base64
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from agent.errors import PictureRefused
from agent.upload import MOST_BYTES, decode, from_base64
from tests.fakes.visiting import bad_pictures, jpeg

BAD = bad_pictures()


@pytest.mark.parametrize(("data", "kind"), [pytest.param(data, kind, id=name) for name, data, kind in BAD])
def test_what_is_no_good_picture_is_refused_quickly_and_without_much_memory(data, kind):
    before, began = psutil.Process().memory_info().rss, time.process_time()
    with pytest.raises(PictureRefused) as refused:
        decode(data, 1280)
    assert refused.value.kind == kind
    assert str(refused.value).endswith(".")
    assert time.process_time() - began < 1
    assert psutil.Process().memory_info().rss - before < 60_000_000


def test_a_picture_of_too_many_bytes_is_not_even_looked_at():
    with pytest.raises(PictureRefused, match="more than 12 MiB") as refused:
        decode(jpeg() + bytes(MOST_BYTES), 1280)
    assert refused.value.kind == "too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_large_picture_is_made_smaller_and_a_small_one_is_not_made_larger(kind):
    assert decode(jpeg(Image.new("RGB", (2000, 1000)), kind), 1280).shape == (640, 1280, 3)
    assert decode(jpeg(Image.new("RGB", (1, 1)), kind), 1280).shape == (1, 1, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_phones_picture_is_turned_upright(kind):
    picture = Image.new("RGB", (2000, 1000), "blue")
    picture.paste("red", (0, 0, 1000, 1000))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned clockwise: left comes to be above
    pixels = decode(jpeg(picture, kind, exif=exif), 1280)
    assert pixels.shape == (1280, 640, 3)
    assert pixels[10, 300, 0] > 200 > pixels[1270, 300, 0]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_orientation_does_not_spoil_the_picture():
    assert decode(jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), 1280).shape == (48, 64, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pngs_of_every_mode_are_read(mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((40, 60), 0xC000, np.uint16))
    else:
        picture = Image.new("RGB", (60, 40), "white").convert(mode)
    pixels = decode(jpeg(picture, "PNG"), 1280)
    assert pixels.shape == (40, 60, 3)
    assert pixels.min() >= 0xC0


def test_what_is_transparent_is_black_whatever_colour_lies_beneath():
    assert decode(jpeg(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG"), 1280).max() == 0


def test_base64_is_read_with_or_without_what_a_browser_puts_before_it():
    data = jpeg()
    plain = base64.b64encode(data).decode()
    lines = "\r\n".join(plain[at : at + 76] for at in range(0, len(plain), 76))
    for text in (
        *(plain, f" {plain}\n", lines, plain.rstrip("=")),
        *(f"data:image/jpeg;base64,{plain}", f"DATA:image/jpeg;charset=x;BASE64,{lines}", f"data:;base64, {plain}"),
    ):
        assert from_base64(text) == data


@pytest.mark.parametrize("text", ["data:image/jpeg,abc", "data:image/jpeg;base64", "a b c d e", "ä" * 8, "====", "\0"])
def test_what_is_not_base64_is_refused_with_what_would_be(text):
    if text == "====":
        assert from_base64(text) == b""
        return
    with pytest.raises(PictureRefused, match="base64") as refused:
        from_base64(text)
    assert refused.value.kind == "damaged"


def test_base64_of_too_much_is_refused_before_it_is_read():
    with pytest.raises(PictureRefused, match="12 MiB"):
        from_base64("!" * (MOST_BYTES * 4 // 3 + 8))
