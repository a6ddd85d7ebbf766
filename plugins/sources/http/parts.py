"""The pictures of an MJPEG stream: a multipart body, as cameras write it and not only as the standard has it.

The delimiter is learnt from the stream itself: what the header declares has its dashes, or lacks them, or is another.
A length in a part's head is believed if a delimiter stands where it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from agent.plugin import Moment

MOST_PART = 10_000_000
MOST_HEAD = 8_000
_SHORT = 6
"""A delimiter of fewer bytes could stand in a picture by chance, so it has to begin a line."""


class Malformed(Exception):
    """This is no stream of parts: no delimiter, or a head or part without end."""


@dataclass(frozen=True, slots=True)
class Part:
    headers: httpx.Headers
    data: bytes
    began: Moment
    """When the first byte of the picture was here; many a camera sends the next one's delimiter long before."""


class Parts:
    """Takes the body's pieces as they come and gives the parts that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._delimiter = b""
        self._headers: httpx.Headers | None = None
        """Of the part that is coming; None between parts."""
        self._began: Moment | None = None
        self._seen = 0
        """So much of the buffer was looked through in vain."""
        self.ended = False
        self.torn = 0
        """Parts whose length was a lie."""

    @property
    def unfinished(self) -> bool:
        """In the middle of a part."""
        return self._headers is not None and bool(self._buffer)

    def feed(self, piece: bytes, now: Moment) -> Iterator[Part]:
        """Raises Malformed."""
        self._buffer += piece
        while not self.ended:
            part = self._head() if self._headers is None else self._rest(now)
            if part is None:
                return
            if isinstance(part, Part):
                yield part

    def _head(self) -> bool | None:
        """Up to the empty line under the part's head. None: it has not come yet."""
        begin = self._find_delimiter()
        if begin < 0:
            self._seen = max(0, len(self._buffer) - len(self._delimiter))
            self._expect_within(MOST_PART if self._delimiter else MOST_HEAD)
            return None
        line_end = self._buffer.find(b"\n", begin)
        if self._delimiter and self._buffer.startswith(b"--", begin + len(self._delimiter)):
            self.ended = True
            return None
        end, size = self._blank_line(line_end)
        if line_end < 0 or end < 0:
            self._expect_within(MOST_HEAD + begin)
            return None
        if not self._delimiter:
            self._delimiter = bytes(self._buffer[begin:line_end]).rstrip()
        self._headers = _fields(bytes(self._buffer[line_end + 1 : end]))
        self._drop(end + size)
        return True

    def _find_delimiter(self) -> int:
        if self._delimiter:
            return self._buffer.find(self._delimiter, self._seen)
        if self._buffer.startswith(b"--"):
            return 0
        at = self._buffer.find(b"\n--")
        return at + 1 if at >= 0 else -1

    def _blank_line(self, line_end: int) -> tuple[int, int]:
        """Where the head ends and how many bytes end it."""
        if line_end < 0:
            return -1, 0
        places = ((self._buffer.find(mark, line_end), mark) for mark in (b"\n\r\n", b"\n\n"))
        found = min(((at, len(mark)) for at, mark in places if at >= 0), default=(-1, 0))
        return (found[0] + 1, found[1] - 1) if found[0] >= 0 else found

    def _rest(self, now: Moment) -> Part | bool | None:
        assert self._headers is not None
        if self._began is None and self._buffer:
            self._began = now
        length = _length(self._headers)
        if length is None:
            return self._up_to_delimiter()
        if len(self._buffer) < length:
            return None
        after = bytes(self._buffer[length : length + len(self._delimiter) + 4]).lstrip(b"\r\n")
        whole = after.startswith(self._delimiter)
        if not whole and self._delimiter.startswith(after):
            # The delimiter is still on its way: the picture need not wait for it.
            whole = True
        if whole:
            return self._finished(length)
        self.torn += 1
        del self._headers["content-length"]
        return True

    def _up_to_delimiter(self) -> Part | None:
        mark = self._delimiter if len(self._delimiter) >= _SHORT else b"\n" + self._delimiter
        at = self._buffer.find(mark, self._seen)
        if at < 0:
            self._seen = max(0, len(self._buffer) - len(mark))
            self._expect_within(MOST_PART)
            return None
        return self._finished(at)

    def _finished(self, length: int) -> Part:
        assert self._headers is not None
        assert self._began is not None  # a part without a byte is none
        part = Part(self._headers, bytes(self._buffer[:length]), self._began)
        self._drop(length)
        self._headers = self._began = None
        return part

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._seen = 0

    def _expect_within(self, most: int) -> None:
        if len(self._buffer) > most:
            raise Malformed


def _length(headers: httpx.Headers) -> int | None:
    said = headers.get("content-length", "").strip()
    if not said.isascii() or not said.isdigit():
        return None
    if len(said) > 12 or int(said) > MOST_PART:
        raise Malformed
    return int(said) or None


def _fields(head: bytes) -> httpx.Headers:
    lines = (line.partition(b":") for line in head.splitlines())
    return httpx.Headers([(name.strip(), value.strip()) for name, colon, value in lines if colon and name.strip()])
