"""A JPEG read strictly: libjpeg fills what is missing with grey and says nothing; FFmpeg can be told to refuse it."""

from __future__ import annotations

import av

MOST_SCANS = 100
"""A progressive JPEG has some ten. Each takes a walk through the whole picture, so few bytes could take hours."""
MOST_PROGRESSIVE = 9_000_000
"""Pixels; of a larger one FFmpeg would take 300 MB, and no camera makes it."""

_START, _SCAN, _END, _PROGRESSIVE = b"\xff\xd8", 0xDA, 0xD9, 0xC2
_SIZES = {0xC0, 0xC1, _PROGRESSIVE}


class Damaged(Exception):
    """The picture is not whole."""


def read(jpeg: bytes, most_pixels: int) -> av.VideoFrame | None:
    """The picture as it is coded. None: a kind of JPEG that is not read here. Blocks; raises Damaged."""
    if jpeg.count(bytes((0xFF, _SCAN))) > MOST_SCANS:
        raise Damaged
    bare = _bare(jpeg, most_pixels)
    if bare is None:
        return None
    context = av.CodecContext.create("mjpeg", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    context.options = {"err_detect": "explode"}
    try:
        frames = [*context.decode(av.Packet(bare)), *context.decode(None)]
    except av.InvalidDataError as error:
        raise Damaged from error
    except av.FFmpegError:
        return None
    if frames and frames[0].is_corrupt:
        raise Damaged
    return frames[0] if frames else None


def _bare(jpeg: bytes, most_pixels: int) -> bytes | None:
    """Without the notes of makers and programs (APPn, COM), in which a strict decoder finds too much to object to."""
    if jpeg[:2] != _START:
        raise Damaged
    kept, at = bytearray(_START), 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] not in {_SCAN, _END}:
        if jpeg[at + 1] == 0xFF:  # a filler
            at += 1
            continue
        marker, end = jpeg[at + 1], at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if marker in _SIZES and (pixels := _pixels(jpeg[at:end])) > most_pixels:
            raise Damaged
        if marker == _PROGRESSIVE and pixels > MOST_PROGRESSIVE:
            return None
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept += jpeg[at:end]
        at = end
    if jpeg[at : at + 2] != bytes((0xFF, _SCAN)):
        raise Damaged
    return bytes(kept) + jpeg[at:]


def _pixels(size: bytes) -> int:
    return int.from_bytes(size[5:7]) * int.from_bytes(size[7:9])
