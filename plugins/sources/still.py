"""One still picture, from bytes: refused before decoding where it is too large, turned upright, scaled."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from agent.plugin import Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MOST_BYTES = 50_000_000
MOST_PIXELS = 50_000_000


class NotAPicture(Exception):
    """The bytes can't be shown. The text goes on after "the picture ": "has more than 50 megapixels"."""


def decode_still(data: bytes, long_edge: int) -> Pixels:
    """The upright picture, its long edge at most ``long_edge``. Blocks; raises NotAPicture.

    Who reads the bytes keeps to MOST_BYTES; more than MOST_PIXELS are refused from the header alone.
    """
    try:
        return _decode(data, long_edge)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, _TooManyPixels) as error:
        raise NotAPicture(f"has more than {MOST_PIXELS // 1_000_000} megapixels") from error
    except Exception as error:  # a broken file leads Pillow's readers to raise whatever it leads them to
        raise NotAPicture("is not a whole picture; it may be damaged, or still being written") from error


class _TooManyPixels(Exception):
    pass


def _decode(data: bytes, long_edge: int) -> Pixels:
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise _TooManyPixels
        picture.draft("RGB", fit(*picture.size, long_edge))  # a JPEG many times too large is decoded smaller at once
        ImageOps.exif_transpose(picture, in_place=True)
        size = fit(*picture.size, long_edge)
        return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), np.uint8)


def fit(width: float, height: float, long_edge: int) -> tuple[int, int]:
    """That size in whole pixels, made smaller where its long edge is over ``long_edge``; never larger."""
    scale = min(1.0, long_edge / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
