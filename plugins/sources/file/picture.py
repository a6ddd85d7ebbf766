"""One picture file: read where it is whole and not too large."""

from __future__ import annotations

from pathlib import Path

from agent.plugin import Failure, FrameUnavailable, Pixels
from plugins.sources.file.names import shown
from plugins.sources.still import MOST_BYTES, NotAPicture, decode_still

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
OTHERS = frozenset({".gif", ".tif", ".tiff"})
"""Pictures too, which are told why they are not taken."""
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"BM", b"GIF8", b"II*\0", b"MM\0*")


def is_picture(path: Path) -> bool:
    """By its name, else by its first bytes: a picture rather than a video."""
    if path.suffix.lower() in SUFFIXES | OTHERS:
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
        return decode_still(data, long_edge)
    except NotAPicture as error:
        raise _damaged(path, str(error)) from error


def _unreadable(path: Path, error: OSError) -> FrameUnavailable:
    if isinstance(error, FileNotFoundError):
        return FrameUnavailable(Failure.NOT_FOUND, f"There is no file {shown(path)}.")
    return FrameUnavailable(Failure.SOURCE, f"{shown(path)} can't be read: {error.strerror}.")


def _damaged(path: Path, what: str) -> FrameUnavailable:
    return FrameUnavailable(Failure.DAMAGED, f"The picture {shown(path)} {what}.")
