"""A camera's JPEG into pixels, strictly: a damaged one is refused."""

from __future__ import annotations

from typing import cast

from av.video.reformatter import ColorRange

from agent.plugin import Pixels
from plugins.sources.jpeg import Damaged, read
from plugins.sources.still import MOST_PIXELS, fit


def decode(jpeg: bytes, long_edge: int) -> Pixels:
    """RGB, its long edge at most ``long_edge``. Blocks; raises Damaged."""
    frame = read(jpeg, MOST_PIXELS)
    if frame is None:
        raise Damaged
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
