"""Short video clips for the fake cameras: pictures in, the access units of an elementary stream out.

Also the numbered pictures that freshness is measured with: the frame number stands in the picture as a strip of large
blocks with a check, so that it survives compression, and a damaged picture can't be read as another number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from PIL import Image, ImageChops, ImageDraw

CODECS = {"h264": "libx264", "hevc": "libx265"}
BITS = 16
BLOCKS = BITS + 8  # the number, then its check


@dataclass(frozen=True, slots=True)
class Unit:
    """One coded picture: its NAL units without start codes."""

    nals: tuple[bytes, ...]
    key: bool
    later: int = 0
    """How many places after its place in the stream it is shown (with B-frames)."""


@dataclass(frozen=True, slots=True)
class Clip:
    codec: str
    fps: int
    units: tuple[Unit, ...]
    parameters: tuple[bytes, ...]
    """VPS (H.265), SPS, PPS."""

    @property
    def seconds(self) -> float:
        return len(self.units) / self.fps


def split_nals(stream: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B byte stream."""
    starts = []
    at = stream.find(b"\0\0\1")
    while at >= 0:
        starts.append(at)
        at = stream.find(b"\0\0\1", at + 3)
    for begin, end in zip(starts, [*starts[1:], len(stream)], strict=True):
        nal = stream[begin + 3 : end]
        yield nal.rstrip(b"\0") if end < len(stream) else nal


def nal_kind(codec: str, nal: bytes) -> int:
    return nal[0] & 0x1F if codec == "h264" else (nal[0] >> 1) & 0x3F


def _is_parameter(codec: str, nal: bytes) -> bool:
    return nal_kind(codec, nal) in ({7, 8} if codec == "h264" else {32, 33, 34})


def encode(
    pictures: Iterable[Image.Image],
    *,
    codec: str = "h264",
    fps: int = 10,
    gop: int = 10,
    bit_rate: int | None = None,
    size: tuple[int, int] | None = None,
    sar: Fraction | None = None,
    bframes: int = 0,
) -> Clip:
    """Every picture becomes one frame; parameter sets are repeated in band with each key frame, as cameras do."""
    encoder: av.VideoCodecContext | None = None
    packets = []
    for number, picture in enumerate(pictures):
        if encoder is None:
            encoder = _encoder(codec, size or picture.size, fps, gop, bit_rate, sar)
            if bframes:
                _with_bframes(encoder, codec, bframes)
        scaled = picture.convert("RGB").resize((encoder.width, encoder.height))
        frame = av.VideoFrame.from_image(scaled).reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        frame.pts = number
        packets += encoder.encode(frame)
    if encoder is None:
        raise ValueError("a clip needs at least one picture")
    packets += encoder.encode(None)
    units = tuple(
        Unit(tuple(split_nals(bytes(packet))), packet.is_keyframe, (packet.pts or 0) - place)
        for place, packet in enumerate(packets)
    )
    parameters = tuple(nal for nal in units[0].nals if _is_parameter(codec, nal))
    return Clip(codec, fps, units, parameters)


def _encoder(
    codec: str, size: tuple[int, int], fps: int, gop: int, bit_rate: int | None, sar: Fraction | None
) -> av.VideoCodecContext:
    encoder = av.CodecContext.create(CODECS[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = (edge - edge % 2 for edge in size)
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, fps)
    encoder.framerate = Fraction(fps)
    encoder.thread_count = 1
    encoder.colorspace = 1  # ITU-R BT.709, as HD cameras signal
    encoder.color_range = 1
    if bit_rate:
        encoder.bit_rate = bit_rate
    if sar:
        encoder.sample_aspect_ratio = sar
    keys = f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1"
    quiet = ":log-level=none:pools=1:frame-threads=1" if codec == "hevc" else ""
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        ("x265-params" if codec == "hevc" else "x264-params"): keys + quiet,
    }
    return encoder


def _with_bframes(encoder: av.VideoCodecContext, codec: str, bframes: int) -> None:
    name = "x265-params" if codec == "hevc" else "x264-params"
    options = dict(encoder.options)
    options[name] += f":bframes={bframes}:b-adapt=0:open-gop=0:rc-lookahead=5"
    encoder.options = options


def shown(pictures: Iterable[Image.Image], seconds_each: float, fps: int) -> Iterator[Image.Image]:
    """Each picture as often as it takes to show it for ``seconds_each``."""
    for picture in pictures:
        for _ in range(max(1, round(seconds_each * fps))):
            yield picture


def numbered(count: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Pictures 0 … count-1 with their number burned in, over a slowly moving background."""
    for number in range(count):
        yield numbered_picture(number, size)


def numbered_picture(number: int, size: tuple[int, int]) -> Image.Image:
    picture = ImageChops.offset(_ground(size), number * 2, number)
    _burn(picture, number)
    return picture


@lru_cache(maxsize=2)
def _ground(size: tuple[int, int]) -> Image.Image:
    down, across = np.mgrid[0 : size[1], 0 : size[0]]
    return Image.fromarray(np.stack([across % 256, down % 256, (across + down) % 256], axis=2).astype(np.uint8))


def _burn(picture: Image.Image, number: int) -> None:
    pen = ImageDraw.Draw(picture)
    for index, bit in enumerate(_blocks(number)):
        left, top, right, bottom = _block_box(index, picture.width, picture.height)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=(235,) * 3 if bit else (20,) * 3)


def read_number(pixels: np.ndarray) -> int | None:
    """The number burned into a picture (any scale), or None where the strip is damaged."""
    height, width = pixels.shape[:2]
    bits = []
    for index in range(BLOCKS):
        left, top, right, bottom = _block_box(index, width, height)
        inset_x, inset_y = max(1, (right - left) // 4), max(1, (bottom - top) // 4)
        level = pixels[top + inset_y : bottom - inset_y, left + inset_x : right - inset_x].mean()
        if 80 < level < 175:
            return None
        bits.append(level >= 128)
    number = sum(bit << place for place, bit in enumerate(bits[:BITS]))
    return number if bits == _blocks(number) else None


def _blocks(number: int) -> list[bool]:
    check = (number ^ (number >> 8) ^ 0xA5) & 0xFF
    return [bool((number | check << BITS) >> place & 1) for place in range(BLOCKS)]


def _block_box(index: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Two rows of blocks over the whole width, in the middle of the picture, where damage is likely to reach."""
    columns = BLOCKS // 2
    row, column = divmod(index, columns)
    top = height * (6 + 2 * row) // 16
    return column * width // columns, top, (column + 1) * width // columns, top + height // 8
