"""From coded pictures to pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import cast

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from agent.plugin import Pixels
from plugins.sources.rtsp.codec import Codec, Damaged, Decoder
from plugins.sources.rtsp.frame_numbers import FrameNumbers
from plugins.sources.rtsp.packets import Coded, Group

UNSPECIFIED = 2
HD = 720
DEEPEST = 20
"""Pictures that a decoder may hold back to bring them into order: H.264 and H.265 allow 16."""


class Unwanted(Exception):
    """Nobody waits for the picture any more."""


def decode_key_frame(group: Group) -> tuple[VideoFrame, Fraction]:
    """The picture and the shape of its pixels. Raises Damaged, and spoils the group: the rest builds on it."""
    decoder = group.codec.decoder()
    try:
        frames = [*decoder.decode(group.key.packet), *decoder.decode(None)]
    except Damaged:
        group.spoil()
        raise
    if not frames:
        raise Damaged  # or the camera refreshes its picture bit by bit: then the group will be whole after a while
    return frames[0], _pixel_shape(decoder)


class GroupDecoder:
    """Stands somewhere in a group; what it has decoded, the group need not keep."""

    def __init__(self, codec: Codec) -> None:
        self._decoder = codec.decoder()
        self._numbers = FrameNumbers(codec.name, codec.extradata)
        self._fed: deque[Coded] = deque(maxlen=DEEPEST)
        self._last: VideoFrame | None = None

    def feed(self, coded: Coded) -> None:
        """Raises Damaged."""
        self._fed.append(coded)
        if self._numbers.missing(memoryview(coded.packet)):
            raise Damaged
        for frame in self._decoder.decode(coded.packet):
            self._last = frame

    def newest(self) -> tuple[VideoFrame, Fraction, Coded]:
        if self._last is None:
            raise Damaged
        return self._last, _pixel_shape(self._decoder), self._coded(self._last)

    def _coded(self, frame: VideoFrame) -> Coded:
        """Where pictures are reordered, the newest decoded is not the newest arrived."""
        return next((coded for coded in reversed(self._fed) if coded.packet.pts == frame.pts), self._fed[-1])


def decode_newest(group: Group, unwanted: Callable[[], bool] = lambda: False) -> tuple[VideoFrame, Fraction, Coded]:
    """The group's newest picture; decoding goes on where it stopped last.

    Raises Damaged, and spoils the group: what follows builds on the damaged picture. Raises Unwanted.
    """
    with group.decoding:
        while _step(group):
            if unwanted():
                raise Unwanted
        if not group.whole or group.decoder is None:
            raise Damaged
        return group.decoder.newest()


def move_along(group: Group) -> None:
    """Make room in a group that nobody looked at for long: two steps for each picture that comes.

    A GOP of minutes can be shown at any time that way; its pictures cost what decoding them costs, and only then.
    """
    if group.decoding.acquire(blocking=False):  # else a look is at it
        try:
            for _ in range(2):
                if group.full:
                    _step(group)
        except Damaged:
            return  # and spoiled
        finally:
            group.decoding.release()


def _step(group: Group) -> bool:
    """Decode one more picture of the group; False where there is none."""
    coded = group.next()
    if coded is None:
        return False
    try:
        if group.decoder is None:
            group.decoder = GroupDecoder(group.codec)
        group.decoder.feed(coded)
    except Damaged:
        group.spoil()
        raise
    return True


def _pixel_shape(decoder: Decoder) -> Fraction:
    return decoder.context.sample_aspect_ratio or Fraction(1)


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
