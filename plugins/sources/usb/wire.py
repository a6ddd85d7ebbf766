"""What the camera's process and the agent say to each other, over its standard input and output.

The agent asks with a line of JSON: ``{"since": 12.5}`` (seconds of the monotonic clock, which both share). The process
answers with messages of a head (magic, two lengths), a header in JSON, and a body:

- ``{"is": "opened", …}``: the camera is open and gives pictures.
- ``{"is": "picture", "form": "jpeg" or "rgb", "taken": …, "width": …, "height": …}``, the picture as body.
- ``{"is": "fault", "why": …, "detail": …}``: the process ends.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

HEAD = struct.Struct("!8sII")
MAGIC = b"camscrib"
MOST_HEADER = 4_000
MOST_BODY = 50_000_000


class Why(StrEnum):
    """Why the camera's process gives up."""

    MISSING = "missing"
    UNPLUGGED = "unplugged"
    DENIED = "denied"
    BUSY = "busy"
    NO_PICTURES = "no pictures"
    """A node that is no camera's, or not the one its pictures come from."""
    NO_BANDWIDTH = "no bandwidth"
    STALLED = "stalled"
    NO_OPENCV = "no opencv"
    FAILED = "failed"


class Lost(Exception):
    """The camera can't be used (any more). ``detail`` is a name or a few words, as ``why`` needs them."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}")
        self.why, self.detail = why, detail


class Garbled(Exception):
    """What came is no message."""


def pack(header: Mapping[str, Any], body: bytes | memoryview = b"") -> bytes:
    text = json.dumps(header).encode()
    return HEAD.pack(MAGIC, len(text), len(body)) + text + body


def lengths(head: bytes) -> tuple[int, int]:
    """The lengths of header and body. Raises Garbled."""
    magic, header, body = HEAD.unpack(head)
    if magic != MAGIC or header > MOST_HEADER or body > MOST_BODY:
        raise Garbled
    return header, body


def header(text: bytes) -> dict[str, Any]:
    """Raises Garbled."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Garbled from error
    if not isinstance(found, dict):
        raise Garbled
    return found
