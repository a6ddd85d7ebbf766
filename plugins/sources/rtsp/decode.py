"""From coded pictures to pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from agent.plugin import Pixels
from plugins.sources.rtsp.packets import Coded, Group

UNSPECIFIED = 2
HD = 720


class Damaged(Exception):
    """The picture, or one it builds on, is not whole."""


def decode_key_frame(group: Group) -> tuple[VideoFrame, Fraction]:
    """The picture and the shape of its pixels. Raises Damaged, and spoils the group: the rest builds on it."""
    decoder = group.codec.decoder()
    try:
        frames = [*_decode(decoder, group.key.packet), *_decode(decoder, None)]
    except Damaged:
        group.spoil()
        raise
    if not frames:
        group.spoil()
        raise Damaged
    return frames[0], _pixel_shape(decoder)


class GroupDecoder:
    """Decodes a group up to its newest picture, going on where the last look stopped."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._decoder = group.codec.decoder()
        self._pictures = group.pictures  # the list itself: the group may drop it, and its length only grows
        self._next = 0
        self._last: VideoFrame | None = None

    def newest(self) -> tuple[VideoFrame, Fraction, Coded]:
        """Raises Damaged, and spoils the group: what follows builds on the damaged picture."""
        try:
            while self._next < len(self._pictures):
                for frame in _decode(self._decoder, self._pictures[self._next].packet):
                    self._last = frame
                self._next += 1
        except Damaged:
            self.group.spoil()
            raise
        if self._last is None or not self.group.whole:
            raise Damaged
        return self._last, _pixel_shape(self._decoder), self._coded(self._last)

    def _coded(self, frame: VideoFrame) -> Coded:
        """Where pictures are reordered, the newest decoded is not the newest arrived."""
        for coded in reversed(self._pictures[max(0, self._next - 20) : self._next]):
            if coded.packet.pts == frame.pts:
                return coded
        return self._pictures[self._next - 1]


def _decode(decoder: av.VideoCodecContext, packet: av.Packet[Any] | None) -> list[VideoFrame]:
    try:
        frames = decoder.decode(packet)
    except av.error.EOFError:
        return []
    except av.FFmpegError as error:
        raise Damaged from error
    if any(frame.is_corrupt for frame in frames):
        raise Damaged
    return frames


def _pixel_shape(decoder: av.VideoCodecContext) -> Fraction:
    return decoder.sample_aspect_ratio or Fraction(1)


def to_pixels(frame: VideoFrame, shape: Fraction, long_edge: int) -> Pixels:
    """RGB in true display aspect, scaled down to ``long_edge`` in the same step."""
    width, height = float(frame.width * shape), float(frame.height)
    if shape < 1:  # never give away lines: stretch the other way
        width, height = float(frame.width), float(frame.height / shape)
    scale = min(1.0, long_edge / max(width, height))
    # Cameras that don't say mean BT.709 for HD; the library would take BT.601 and shift the colours.
    unsaid = frame.colorspace == UNSPECIFIED and frame.height >= HD
    full_range = frame.color_range == ColorRange.JPEG
    return cast(
        "Pixels",
        frame.to_ndarray(
            width=max(1, round(width * scale)),
            height=max(1, round(height * scale)),
            format="rgb24",
            src_colorspace=Colorspace.ITU709 if unsaid else None,
            src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        ),
    )
