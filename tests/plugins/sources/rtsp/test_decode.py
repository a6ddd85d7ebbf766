"""From coded pictures to pixels."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from agent.plugin import Moment
from plugins.sources.rtsp.codec import Codec, Damaged, has_holes
from plugins.sources.rtsp.decode import Unwanted, decode_key_frame, decode_newest, move_along, to_pixels
from plugins.sources.rtsp.packets import MOST_PICTURES, Coded, Group
from tests.fakes.clips import Clip, Unit, encode, numbered, read_number


def arrive(unit: Unit, number: int) -> Coded:
    data = b"".join(b"\0\0\0\1" + nal for nal in unit.nals)
    packet = av.Packet(len(data))
    packet.update(data)
    packet.pts, packet.dts = number + unit.later, number
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
    frame, shape, shown = decode_newest(group)
    assert read_number(to_pixels(frame, shape, 1280)) == 5
    assert shown.arrived == 5
    assert group.next() is None, "what is decoded is not kept"
    for number in (6, 7):
        group.add(arrive(clip.units[number], number))
    frame, _, shown = decode_newest(group)
    assert read_number(to_pixels(frame, shape, 1280)) == 7
    assert shown.arrived == 7


def test_decoding_stops_when_nobody_wants_it_and_goes_on_later() -> None:
    group = grouped(encode(numbered(9, (320, 240)), gop=9))
    asked = iter([False, False, True])
    with pytest.raises(Unwanted):
        decode_newest(group, lambda: next(asked))
    assert len(group._waiting) == 6
    frame, shape, _ = decode_newest(group)
    assert read_number(to_pixels(frame, shape, 1280)) == 8


def test_group_of_any_length_is_kept_within_bounds_and_can_be_shown() -> None:
    clip = encode(numbered(MOST_PICTURES + 60, (64, 48)), gop=5000)
    group = grouped(clip, 1)
    for number, unit in enumerate(clip.units[1:], 1):
        group.add(arrive(unit, number))
        if group.full:
            move_along(group)
        assert not group.full
    _, _, shown = decode_newest(group)
    assert shown.arrived == MOST_PICTURES + 59


def test_look_in_a_full_group_is_not_disturbed() -> None:
    group = grouped(encode(numbered(3, (64, 48))))
    with group.decoding:
        move_along(group)
    assert len(group._waiting) == 3


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
        decode_newest(group)
    assert not group.whole


@pytest.mark.parametrize("missing", range(1, 8))
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_whole_picture_that_is_missing_spoils_what_follows_it(codec: str, missing: int) -> None:
    """As when a camera drops pictures before it numbers its packets."""
    clip = encode(numbered(9, (320, 240)), codec=codec, gop=9)
    group = grouped(clip, missing)
    decode_newest(group)
    group.add(arrive(clip.units[missing + 1], missing + 1))
    with pytest.raises(Damaged):
        decode_newest(group)
    assert not group.whole


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_missing_key_frame_spoils_what_follows_it(codec: str) -> None:
    clip = encode(numbered(19, (320, 240)), codec=codec, gop=9)
    units = [unit for unit in clip.units if unit is not clip.units[9]]
    with pytest.raises(Damaged):
        decode_newest(grouped(replace(clip, units=tuple(units[:12]))))


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_reordered_pictures_come_with_the_moment_they_were_taken_at(codec: str, bframes: int) -> None:
    clip = encode(numbered(40, (320, 240)), codec=codec, gop=40, bframes=bframes)
    assert any(unit.later for unit in clip.units) is bool(bframes)
    group = grouped(clip, 5)
    shown_at = {place + unit.later: place for place, unit in enumerate(clip.units)}
    for number in range(5, 40):
        group.add(arrive(clip.units[number], number))
        frame, shape, shown = decode_newest(group)
        picture = read_number(to_pixels(frame, shape, 1280))
        assert picture is not None
        assert shown_at[int(picture)] == shown.arrived
        assert number - picture <= bframes


def test_h265_picture_with_holes_is_refused() -> None:
    """The decoder says nothing of a slice that ends early: it leaves the rest of the picture as it was, zeros."""
    clip = encode(numbered(1, (320, 240)), codec="hevc")
    decoder = Codec("hevc", None).decoder()
    frame = next(iter([*decoder.decode(arrive(clip.units[0], 0).packet), *decoder.decode(None)]))
    assert not has_holes(frame)
    for plane in frame.planes:
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size).copy()
        lines[plane.height // 2 :] = 0
        plane.update(lines.tobytes())
    assert has_holes(frame)


@pytest.mark.parametrize("colour", ["black", "white", "red", "lime", "blue", "green", "yellow", "cyan", "magenta"])
@pytest.mark.parametrize("whole", [True, False])
def test_no_colour_is_a_hole(colour: str, *, whole: bool) -> None:
    picture = av.VideoFrame.from_image(Image.new("RGB", (320, 240), colour))
    for matrix in ("ITU601", "ITU709"):
        frame = picture.reformat(
            format="yuvj420p" if whole else "yuv420p",
            dst_colorspace=matrix,
            dst_color_range="JPEG" if whole else "MPEG",
        )
        assert not has_holes(frame)


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
