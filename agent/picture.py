"""The two pictures of a frame: the one people see, and the one the model gets.

Both come of ``prepare``: rotated, flipped, masked, cropped, in that order. So masks and crop are in fractions of the
whole picture as people see it upright, and a changed crop moves no mask. Scaling comes after the masks, so that nothing
of what they hide can mix into what is beside them. All of it is plain computing: run it off the loop.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation
from PIL import Image, ImageDraw, ImageFilter

from agent.values import Geometry, ModelView, Pixels

LONG_EDGE = 1280
SHOWN_QUALITIES = (80, 70, 60, 50, 40, 30, 20, 10)
SHOWN_BYTES = 500_000
"""A broker's packet limit is 2 MB at most, and every output carries the picture."""
SENT_QUALITY = 90
SWSCALE = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INP
"""Without the flag, colour is halved along the rows wherever the width shrinks by 2 or more. AREA would save 1.4 ms
more, but is 48 dB from a Lanczos where this is 54 and Pillow's bicubic 53 (drawn frames, 1080p to 512x512)."""
REDUCING_GAP = 2.0
"""Pillow first reduces by whole factors to twice the wanted size: from 4 times each way on it is as quick as PyAV."""
LEAST = 16
"""Pixels. Of a picture a few pixels wide or high, PyAV's scaler can make something else."""
MARGIN = 3
"""Pixels. A source may hand out its picture made smaller, and a pixel of that holds something of three around it."""
Masks = tuple[tuple[tuple[float, float], ...], ...]
TURNS = {
    (0, None): None,
    (90, None): Image.Transpose.ROTATE_270,  # Pillow counts against the clock
    (180, None): Image.Transpose.ROTATE_180,
    (270, None): Image.Transpose.ROTATE_90,
    (0, "horizontal"): Image.Transpose.FLIP_LEFT_RIGHT,
    (90, "horizontal"): Image.Transpose.TRANSPOSE,
    (180, "horizontal"): Image.Transpose.FLIP_TOP_BOTTOM,
    (270, "horizontal"): Image.Transpose.TRANSVERSE,
    (0, "vertical"): Image.Transpose.FLIP_TOP_BOTTOM,
    (90, "vertical"): Image.Transpose.TRANSVERSE,
    (180, "vertical"): Image.Transpose.FLIP_LEFT_RIGHT,
    (270, "vertical"): Image.Transpose.TRANSPOSE,
}
"""Rotated and then flipped, in one go."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG and its facts."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    sha256: str


def prepare(
    pixels: Pixels,
    *,
    rotate: int = 0,
    flip: Literal["horizontal", "vertical"] | None = None,
    crop: tuple[float, float, float, float] | None = None,
    masks: Sequence[Sequence[tuple[float, float]]] = (),
) -> Pixels:
    """``rotate`` clockwise; ``crop`` is (left, top, right, bottom); each mask is a polygon, painted black."""
    turn = TURNS[rotate, flip]
    if turn is not None:
        pixels = np.array(Image.fromarray(pixels).transpose(turn))
    if masks:
        pixels = _masked(pixels, tuple(tuple(mask) for mask in masks))
    if crop:
        pixels = _cropped(pixels, crop)
    return np.ascontiguousarray(pixels)


def shown(pixels: Pixels) -> Picture:
    """The picture people see: true aspect, long edge at most 1280, under 500 kB."""
    image = _within(pixels, LONG_EDGE)
    for quality in SHOWN_QUALITIES:
        picture = _jpeg(image, quality)
        if len(picture.jpeg) < SHOWN_BYTES:
            break
    return picture


def sent(pixels: Pixels, view: ModelView) -> Picture:
    """The picture the model gets, in its own geometry. Never shown to anybody."""
    square = view.geometry is Geometry.SQUARE
    image = _scaled(pixels, view.size, view.size) if square else _within(pixels, view.size)
    # Full colour resolution: halved, as photographs have it, the colour of something a few pixels wide is lost.
    return _jpeg(image, SENT_QUALITY, subsampling="4:4:4")


def _within(pixels: Pixels, long_edge: int) -> Image.Image:
    """With its aspect kept; never made larger."""
    height, width, _ = pixels.shape
    shrink = min(1.0, long_edge / max(width, height))
    return _scaled(pixels, max(1, round(width * shrink)), max(1, round(height * shrink)))


def _scaled(pixels: Pixels, width: int, height: int) -> Image.Image:
    if pixels.shape[:2] == (height, width):
        return Image.fromarray(pixels)
    times = min(pixels.shape[0] / height, pixels.shape[1] / width)
    if 1 <= times < 2 * REDUCING_GAP and min(width, height) >= LEAST:
        return _shrunk(pixels, width, height)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)


def _shrunk(pixels: Pixels, width: int, height: int) -> Image.Image:
    """By PyAV's scaler, in a third of Pillow's time or less: 1080p to 512x512 in 5.2 ms (16.2), to 1280x720 in 6.5 ms
    (24.0), and 57 dB from what Pillow makes of it (drawn frames).

    One thread: two cost half as much processor time again, which the engine lacks, and end hardly sooner.
    """
    frame = VideoFrame.from_ndarray(pixels)  # a copy, because the scaler reads past the end of rows without padding
    scaled = frame.reformat(width, height, "gbrp", interpolation=SWSCALE, threads=1)  # rgb24 would take twice as long
    green, blue, red = map(_band, scaled.planes)
    return Image.merge("RGB", (red, green, blue))


def _band(plane: VideoPlane) -> Image.Image:
    """Not copied."""
    data = np.frombuffer(memoryview(plane), np.uint8)
    return Image.frombuffer("L", (plane.width, plane.height), data, "raw", "L", plane.line_size, 1)


def _jpeg(image: Image.Image, quality: int, subsampling: str = "4:2:0") -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    jpeg = buffer.getvalue()
    return Picture(jpeg, image.width, image.height, hashlib.sha256(jpeg).hexdigest())


def _masked(pixels: Pixels, masks: Masks) -> Pixels:
    masked = np.array(pixels, order="C")
    in_a_row = masked.reshape(-1, 3)
    for first, end in _hidden(masks, pixels.shape[1], pixels.shape[0]):
        in_a_row[first:end] = 0
    return masked


@lru_cache(maxsize=64)
def _hidden(masks: Masks, width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Which pixels the masks touch, and MARGIN more around them: a mask hides a little more than it says.

    As stretches (first, end) of the pixels counted row by row: painting those takes a fifth of what an index does.
    """
    image = Image.new("L", (width + 2 * MARGIN, height + 2 * MARGIN))  # an outline on the edge lies just outside
    canvas = ImageDraw.Draw(image)
    for mask in masks:
        corners = [(x * width + MARGIN, y * height + MARGIN) for x, y in mask]
        canvas.polygon(corners, fill=1)
        canvas.line([*corners, corners[0]], fill=1)  # Pillow leaves parts of an edge out where two corners are one
    wider = image.filter(ImageFilter.MaxFilter(2 * MARGIN + 1))
    hidden = np.asarray(wider)[MARGIN : MARGIN + height, MARGIN : MARGIN + width].ravel()
    changes = np.flatnonzero(np.diff(hidden, prepend=0, append=0)).tolist()
    return tuple(zip(changes[::2], changes[1::2], strict=True))


def _cropped(pixels: Pixels, crop: tuple[float, float, float, float]) -> Pixels:
    height, width, _ = pixels.shape
    left, top = min(int(crop[0] * width), width - 1), min(int(crop[1] * height), height - 1)
    right, bottom = max(round(crop[2] * width), left + 1), max(round(crop[3] * height), top + 1)
    return pixels[top:bottom, left:right]
