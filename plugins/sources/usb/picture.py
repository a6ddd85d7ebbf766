"""A camera's JPEG into pixels, strictly: a damaged one is refused."""

from __future__ import annotations

from typing import cast

import av
from av.video.reformatter import ColorRange

from agent.plugin import Pixels
from plugins.sources.still import MOST_PIXELS, fit

SIZES = {0xC0, 0xC1, 0xC2}
SCAN, START, END = 0xDA, b"\xff\xd8", 0xD9


class Damaged(Exception):
    """The picture is not whole."""


def decode(jpeg: bytes, long_edge: int) -> Pixels:
    """RGB, its long edge at most ``long_edge``. Blocks; raises Damaged.

    Not with Pillow: libjpeg fills what is missing with grey and says nothing; FFmpeg can be told to refuse it.
    """
    context = av.CodecContext.create("mjpeg", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    context.options = {"err_detect": "explode"}
    try:
        frames = [*context.decode(av.Packet(_bare(jpeg))), *context.decode(None)]
    except av.FFmpegError as error:
        raise Damaged from error
    if not frames or frames[0].is_corrupt:
        raise Damaged
    frame = frames[0]
    width, height = fit(frame.width, frame.height, long_edge)
    pixels = frame.to_ndarray(
        width=width,
        height=height,
        format="rgb24",
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    return cast("Pixels", pixels)


def _bare(jpeg: bytes) -> bytes:
    """Without the notes of makers and programs (APPn, COM), in which a strict decoder finds too much to object to."""
    if jpeg[:2] != START:
        raise Damaged
    kept, at = bytearray(START), 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] not in {SCAN, END}:
        marker, end = jpeg[at + 1], at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if marker in SIZES and _pixels(jpeg[at:end]) > MOST_PIXELS:
            raise Damaged
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept += jpeg[at:end]
        at = end
    if jpeg[at : at + 2] != bytes((0xFF, SCAN)):
        raise Damaged
    return bytes(kept) + jpeg[at:]


def _pixels(size: bytes) -> int:
    return int.from_bytes(size[5:7], "big") * int.from_bytes(size[7:9], "big")
