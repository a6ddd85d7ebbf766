"""One still picture, from bytes: refused before decoding where it is too large, turned upright, scaled."""

from __future__ import annotations

import io
import threading
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from PIL import ExifTags, Image

from agent.plugin import Pixels
from plugins.sources import jpeg

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""What cameras send. TIFF and GIF have intricate readers, and no camera makes them."""
MOST_BYTES = 50_000_000
MOST_PIXELS = 34_000_000
"""Of a JPEG: 8K (7680x4320) and no more. It is decoded at a half or less; a progressive one still takes some 200 MB."""
MOST_PIXELS_ELSE = 9_000_000
"""4K: the other formats are decoded at full size, and a WEBP takes 16 bytes a pixel."""
LARGE = 2_500_000
"""Above 1080p one picture is decoded at a time, so that thirty cameras don't need thirty times the memory."""
_one_at_a_time = threading.Lock()
_OPEN: AbstractContextManager[object] = nullcontext()

SOI, EOI, START_OF_SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of that EXIF orientation upright."""


class NotAPicture(Exception):
    """The bytes can't be shown. The text goes on after "the picture ": "has more than 34 megapixels"."""


def decode_still(data: bytes, long_edge: int) -> Pixels:
    """The upright picture, its long edge at most ``long_edge``. Blocks; raises NotAPicture.

    Who reads the bytes keeps to MOST_BYTES; too many pixels are refused from the header alone. What is
    transparent is black, whatever colour lies beneath. Of an animation it is the first picture.
    """
    if data.startswith((b"GIF8", b"II*\0", b"MM\0*")):
        raise NotAPicture(f"is a GIF or TIFF; of {', '.join(FORMATS)} one is needed, as cameras make them")
    if not _has_its_end(data):
        raise NotAPicture("is not a whole picture: its end is missing, so it may still be on its way")
    most = MOST_PIXELS if data.startswith(SOI) else MOST_PIXELS_ELSE
    try:
        return _decode(data, long_edge, most)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, _TooManyPixels) as error:
        raise NotAPicture(f"has more than {most // 1_000_000} megapixels") from error
    except Exception as error:  # a broken file leads Pillow's readers to raise whatever it leads them to
        raise NotAPicture("is not a whole picture; it may be damaged, or still being written") from error


class _TooManyPixels(Exception):
    pass


def _has_its_end(data: bytes) -> bool:
    """Where a decoder would fill up with grey: the zeros of a file whose size was reserved before it was written."""
    if data.startswith(b"RIFF"):
        return not data.endswith(bytes(64))
    return not data.startswith(SOI) or data.find(EOI, _first_scan(data)) != -1


def _first_scan(data: bytes) -> int:
    """Where a JPEG's pixels begin, past the thumbnail in its EXIF that has an end of its own."""
    at = len(SOI)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != START_OF_SCAN:
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4])
    return at


def _decode(data: bytes, long_edge: int, most_pixels: int) -> Pixels:
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        pixels = picture.width * picture.height
        if pixels > most_pixels:
            raise _TooManyPixels
        with _one_at_a_time if pixels > LARGE else _OPEN:
            if data.startswith(SOI):
                jpeg.read(data, most_pixels)
            picture.draft("RGB", fit(*picture.size, long_edge))  # a JPEG many times too large is decoded smaller
            picture.load()  # before the orientation: for that a PNG is loaded too, and what is wrong is told only once
            turn = TRANSPOSED.get(_orientation(picture))
            small = _scaled(picture, fit(*picture.size, long_edge))
    return np.asarray(small if turn is None else small.transpose(turn), np.uint8)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  the remarks of a camera are damaged, not its picture
        return 1


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, of which Pillow would cut off the upper half
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if "transparency" in picture.info:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "RGB", "LA", "RGBA"):
        picture = picture.convert("RGB")
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if "A" not in small.getbands():
        return small.convert("RGB")
    clear, small = small.convert("RGBA"), Image.new("RGB", size)
    small.paste(clear, mask=clear)
    return small


def fit(width: float, height: float, long_edge: int) -> tuple[int, int]:
    """That size in whole pixels, made smaller where its long edge is over ``long_edge``; never larger."""
    scale = min(1.0, long_edge / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
