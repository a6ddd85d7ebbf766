"""From coded pictures to pixels."""

from __future__ import annotations

import random
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from agent.plugin import Moment
from plugins.sources.rtsp.codec import Codec
from plugins.sources.rtsp.decode import Damaged, GroupDecoder, decode_key_frame, to_pixels
from plugins.sources.rtsp.packets import Coded, Group
from tests.fakes.clips import Clip, Unit, encode, numbered, read_number


def arrive(unit: Unit, number: int) -> Coded:
    data = b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
    packet = av.Packet(len(data))
    packet.update(data)
    packet.pts = packet.dts = number
    return Coded(packet, Moment.now().plus(number), float(number), 0.0)


def grouped(clip: Clip, count: int | None = None) -> Group:
    group = Group(arrive(clip.units[0], 0), Codec(clip.codec, None))
    for number, unit in enumerate(clip.units[1:count], 1):
        group.add(arrive(unit, number))
    return group


def damage(unit: Unit, share: float) -> Unit:
    noise = random.Random(3)
    nals = list(unit.nals)
    largest = max(range(len(nals)), key=lambda index: len(nals[index]))
    body = bytearray(nals[largest])
    for place in noise.sample(range(40, len(body)), int(len(body) * share)):
        body[place] = noise.randrange(1, 256)
    nals[largest] = bytes(body)
    return Unit(tuple(nals), unit.key)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_key_frame_is_decoded_at_once(codec: str) -> None:
    group = grouped(encode(numbered(3, (320, 240)), codec=codec), 1)
    frame, shape = decode_key_frame(group)
    assert shape == 1
    assert read_number(to_pixels(frame, shape, 1280)) == 0


def test_group_is_decoded_to_its_newest_picture_and_goes_on_from_there() -> None:
    clip = encode(numbered(9, (320, 240)), gop=9)
    group = grouped(clip, 6)
    decoder = GroupDecoder(group)
    frame, shape, shown = decoder.newest()
    assert read_number(to_pixels(frame, shape, 1280)) == 5
    assert shown is group.pictures[5]
    for number in (6, 7):
        group.add(arrive(clip.units[number], number))
    frame, _, shown = decoder.newest()
    assert read_number(to_pixels(frame, shape, 1280)) == 7
    assert shown is group.pictures[7]


def test_damaged_key_frame_is_refused_and_spoils_its_group() -> None:
    clip = encode(numbered(2, (320, 240)))
    group = Group(arrive(damage(clip.units[0], 0.2), 0), Codec("h264", None))
    with pytest.raises(Damaged):
        decode_key_frame(group)
    assert not group.whole


def test_damaged_picture_spoils_what_follows_it() -> None:
    clip = encode(numbered(9, (320, 240)), gop=9)
    group = Group(arrive(clip.units[0], 0), Codec("h264", None))
    group.add(arrive(damage(clip.units[1], 0.5), 1))
    group.add(arrive(clip.units[2], 2))
    with pytest.raises(Damaged):
        GroupDecoder(group).newest()
    assert not group.whole


def test_noise_is_no_picture() -> None:
    group = grouped(Clip("h264", 10, (Unit((random.Random(1).randbytes(5000),), key=True),), ()))
    with pytest.raises(Damaged):
        decode_key_frame(group)


@pytest.mark.parametrize(
    ("size", "sar", "expected"),
    [
        ((640, 480), None, (480, 640)),
        ((1920, 1080), None, (720, 1280)),
        ((704, 576), Fraction(16, 11), (576, 1024)),
        ((1080, 1920), None, (1280, 720)),
        ((352, 576), Fraction(2, 1), (576, 704)),
        ((640, 480), Fraction(1, 2), (960, 640)),
    ],
)
def test_pixels_are_square_and_no_larger_than_needed(
    size: tuple[int, int], sar: Fraction | None, expected: tuple[int, int]
) -> None:
    frame, shape = decode_key_frame(grouped(encode([Image.new("RGB", size, "gray")], sar=sar)))
    assert to_pixels(frame, shape, 1280).shape == (*expected, 3)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 90)])
def test_colours_are_true(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    frame, shape = decode_key_frame(grouped(encode([Image.new("RGB", size, colour)])))
    pixels = to_pixels(frame, shape, 1280)
    assert np.abs(pixels.reshape(-1, 3).astype(int) - colour).max() <= 6
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
@pytest.mark.parametrize("whole", [True, False])
def test_both_ranges_of_brightness_come_out_right(level: int, *, whole: bool) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((96, 64), level, np.uint8), "yuv420p")
    for plane in frame.planes[1:]:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.color_range = 2 if whole else 1
    expected = level if whole else min(255, max(0, round((level - 16) * 255 / 219)))
    assert abs(int(to_pixels(frame, Fraction(1), 1280)[10, 10, 1]) - expected) <= 2
