"""A picture that somebody brings along: its bytes out of base64, its pixels out of those. Limits come before work.

All of it is plain computing: run it off the loop.
"""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from agent.errors import PictureRefused
from agent.values import Pixels

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_BYTES = 12 * 1024 * 1024
MOST_PIXELS = 40_000_000
"""Of a JPEG, which is decoded at an eighth of its size where that is enough."""
MOST_PIXELS_ELSE = 16_000_000
"""The others are decoded at full size, and a WebP takes 16 bytes a pixel."""
MOST_SCANS = 100
"""A progressive JPEG has some ten. Each takes a walk through the whole picture, so few bytes could take hours."""
MOST_WALKED = 600_000_000
"""Pixels, once for each scan."""
SCAN = b"\xff\xda"
REDUCING_GAP = 3.0


def from_base64(text: str) -> bytes:
    """Of a data URL or of base64 alone, with or without line breaks. Raises PictureRefused."""
    if text[:5].lower() == "data:":
        head, found, text = text.partition(",")
        if not found or not head.lower().rstrip().endswith(";base64"):
            raise PictureRefused("The picture's data URL is not base64: data:image/jpeg;base64,… is what is taken.")
    text = "".join(text.split()).rstrip("=")
    if len(text) * 3 // 4 > MOST_BYTES:
        raise too_many_bytes()
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise PictureRefused("The picture is not base64, with or without data:image/jpeg;base64, before it.") from None


def too_many_bytes() -> PictureRefused:
    return PictureRefused(f"The picture has more than {MOST_BYTES >> 20} MiB; send a smaller one.", "too_large")


def decode(data: bytes, long_edge: int) -> Pixels:
    """The upright picture, its long edge at most ``long_edge``. Of an animation it is the first; what is transparent is
    black. Raises PictureRefused.
    """
    if len(data) > MOST_BYTES:
        raise too_many_bytes()
    kind = _kind(data)
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as picture:
            _check(picture, data, kind)
            return _decoded(picture, long_edge)
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(kind) from None
    except Exception as error:  # a broken file leads Pillow's readers to raise whatever it leads them to
        raise PictureRefused("The picture is damaged, or not whole.") from error


def _kind(data: bytes) -> Literal["JPEG", "PNG", "WEBP"]:
    """By its first bytes, whatever somebody calls it."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    what = "There is no picture" if not data else "That is no picture of these kinds"
    raise PictureRefused(f"{what}: JPEG, PNG or WebP is taken.", "format")


def _check(picture: Image.Image, data: bytes, kind: str) -> None:
    """By the header alone."""
    pixels = picture.width * picture.height
    if pixels > (MOST_PIXELS if kind == "JPEG" else MOST_PIXELS_ELSE):
        raise _too_many_pixels(kind)
    scans = data.count(SCAN) if kind == "JPEG" else 1
    if scans > MOST_SCANS or scans * pixels > MOST_WALKED:
        raise PictureRefused(f"The JPEG is cut into {scans} scans, which would take too long to read.")


def _too_many_pixels(kind: str) -> PictureRefused:
    most = (MOST_PIXELS if kind == "JPEG" else MOST_PIXELS_ELSE) // 1_000_000
    return PictureRefused(f"The picture has more than {most} megapixels; send a smaller one.", "too_large")


def _decoded(picture: Image.Image, long_edge: int) -> Pixels:
    picture.draft("RGB", (long_edge, long_edge))
    picture.load()
    small = _plain(picture)
    small.thumbnail((long_edge, long_edge), Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    if small.mode == "RGBA":
        clear, small = small, Image.new("RGB", small.size)
        small.paste(clear, mask=clear)
    return np.asarray(_upright(small, picture).convert("RGB"), np.uint8)


def _plain(picture: Image.Image) -> Image.Image:
    """In a mode that can be scaled."""
    if picture.mode.startswith("I"):  # 16 bits of grey, of which Pillow would cut off the upper half
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBa"):
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert("RGB")


def _upright(small: Image.Image, picture: Image.Image) -> Image.Image:
    try:
        small.info.update({key: picture.info[key] for key in ("exif", "xmp") if key in picture.info})
        return ImageOps.exif_transpose(small)
    except Exception:  # noqa: BLE001  the remarks of whoever made it are damaged, not the picture
        return small
