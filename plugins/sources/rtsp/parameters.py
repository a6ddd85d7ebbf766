"""Parameter sets in band: without them no decoder can read a key frame, and some cameras send them only once."""

from __future__ import annotations

START = b"\0\0\1"
MOST_BYTES = 8192
"""Parameter sets stand before the picture itself and are small: no more is searched."""

_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
_PICTURES = {"h264": range(1, 6), "hevc": range(32)}


def parameter_sets(codec: str, picture: bytes) -> dict[int, bytes]:
    """The parameter sets before the picture's first slice, with start codes, by their kind."""
    found: dict[int, bytes] = {}
    if codec not in _SETS:
        return found
    at = picture.find(START)
    while 0 <= at < len(picture) - len(START):
        kind = picture[at + 3] & 0x1F if codec == "h264" else picture[at + 3] >> 1 & 0x3F
        if kind in _PICTURES[codec]:
            break
        after = picture.find(START, at + 3)
        if kind in _SETS[codec]:
            unit = picture[at:] if after < 0 else picture[at:after].rstrip(b"\0")
            found[kind] = found.get(kind, b"") + b"\0" + unit
        at = after
    return found


class ParameterSets:
    """The newest sets of a stream: those of the session description, then those that came in band."""

    def __init__(self, codec: str, described: bytes | None) -> None:
        self._codec, self._described = codec, described or b""
        self._in_band: dict[int, bytes] = {}

    def see(self, picture: memoryview) -> None:
        self._in_band |= parameter_sets(self._codec, bytes(picture[:MOST_BYTES]))

    @property
    def extradata(self) -> bytes | None:
        in_band = b"".join(self._in_band[kind] for kind in sorted(self._in_band))
        return self._described + in_band or None
