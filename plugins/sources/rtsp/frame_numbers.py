"""Whole pictures that are missing from an H.264 stream, seen from the numbers in its slices.

A camera or a server in between may drop pictures before they get sequence numbers. FFmpeg then fills in the picture
before and says nothing. H.265 needs no such check: there FFmpeg tells of a picture that another one refers to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

_START = b"\0\0\1"
_SLICE, _IDR_SLICE, _SEQUENCE_SET = 1, 5, 7
_WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_HEAD = 32
"""Bytes of a slice that its first fields may take."""
MOST_BYTES = 8192
"""Of a picture: the first slice begins in here."""


class FrameNumbers:
    """Follows the pictures of one group in decoding order."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._width: int | None = None
        self._gaps_are_meant = codec != "h264"
        self._last: int | None = None
        if codec == "h264":
            with suppress(ValueError):
                self._see_sets(extradata or b"")

    def missing(self, picture: memoryview) -> bool:
        """Whether a picture that others build on is missing between the last one and this."""
        try:
            return not self._gaps_are_meant and self._missing(bytes(picture[:MOST_BYTES]))
        except ValueError:  # not readable: the decoder will tell
            return False

    def _missing(self, picture: bytes) -> bool:
        self._see_sets(picture)
        unit = next((unit for unit in _units(picture) if unit[0] & 0x1F in {_SLICE, _IDR_SLICE}), None)
        if unit is None or self._width is None or self._gaps_are_meant:
            return False
        number = self._number(unit)
        last = 0 if unit[0] & 0x1F == _IDR_SLICE else self._last
        if unit[0] & 0x60:  # others build on it
            self._last = number
        return last is not None and number not in {last, (last + 1) % (1 << self._width)}

    def _number(self, unit: bytes) -> int:
        assert self._width is not None
        bits = _Bits(unit[1:_HEAD])
        for _ in ("first_mb_in_slice", "slice_type", "pic_parameter_set_id"):
            bits.golomb()
        return bits.take(self._width)

    def _see_sets(self, stream: bytes) -> None:
        for unit in _units(stream):
            if unit[0] & 0x1F == _SEQUENCE_SET:
                width, gaps = _sequence_set(unit)
                # Which of two different sets a slice means is not worth following.
                self._gaps_are_meant |= gaps or self._width not in {None, width}
                self._width = width


def _sequence_set(unit: bytes) -> tuple[int, bool]:
    """How many bits a frame number has, and whether numbers may be left out (or can't be read)."""
    bits = _Bits(unit[4:])
    bits.golomb()  # its id
    if unit[1] in _WITH_CHROMA_FORMAT:
        if bits.golomb() == 3 and bits.take(1):  # 4:4:4 with separate planes: another slice header
            return 0, True
        bits.golomb()
        bits.golomb()
        if bits.take(2) & 1:  # scaling lists: no camera sends them
            return 0, True
    width = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        for _ in range(2):
            bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()  # how many pictures may be referred to
    return width, bool(bits.take(1))


class _Bits:
    """A unit's bits, without the bytes that keep start codes out of it."""

    def __init__(self, data: bytes) -> None:
        plain = data.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the unit ends too early")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """An unsigned number in Exp-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def _units(stream: bytes) -> Iterator[bytes]:
    """The beginnings of the NAL units, up to and with the first slice."""
    at = stream.find(_START)
    while 0 <= at < len(stream) - 4:
        kind = stream[at + 3] & 0x1F
        after = -1 if kind in {_SLICE, _IDR_SLICE} else stream.find(_START, at + 3)
        yield stream[at + 3 : after if after >= 0 else min(len(stream), at + 3 + 4096)]
        at = after
