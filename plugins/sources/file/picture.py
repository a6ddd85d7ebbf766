"""One picture file: refused before it is decoded where it is too large, turned as its EXIF says, scaled."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from agent.plugin import Failure, FrameUnavailable, Pixels
from plugins.sources.file.names import shown
from plugins.sources.file.shot import fit

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MOST_BYTES = 50_000_000
MOST_PIXELS = 50_000_000
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"GIF8", b"II*\0", b"MM\0*")


def is_picture(path: Path) -> bool:
    """By its name, else by its first bytes: a picture rather than a video."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise _unreadable(path, error) from error
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def read_picture(path: Path, long_edge: int) -> Pixels:
    """Raises FrameUnavailable: missing, too large, or not (yet) a whole picture."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > MOST_BYTES:
        raise _damaged(path, f"is larger than {MOST_BYTES // 1_000_000} MB")
    if len(data) != size:
        raise _damaged(path, "is still being written")
    try:
        return _decode(data, long_edge)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, _TooManyPixels) as error:
        raise _damaged(path, f"has more than {MOST_PIXELS // 1_000_000} megapixels") from error
    except Exception as error:  # a broken file leads Pillow's readers to raise whatever it leads them to
        raise _damaged(path, "is not a whole picture; it may be damaged, or still being written") from error


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


def _unreadable(path: Path, error: OSError) -> FrameUnavailable:
    if isinstance(error, FileNotFoundError):
        return FrameUnavailable(Failure.NOT_FOUND, f"There is no file {shown(path)}.")
    return FrameUnavailable(Failure.SOURCE, f"{shown(path)} can't be read: {error.strerror}.")


def _damaged(path: Path, what: str) -> FrameUnavailable:
    return FrameUnavailable(Failure.DAMAGED, f"The picture {shown(path)} {what}.")
