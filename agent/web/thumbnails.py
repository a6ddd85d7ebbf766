"""Small pictures for lists of observations: made when they are asked for, the last ones kept in memory."""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

LONG_EDGE = 320
QUALITY = 70
MOST = 500
"""Of about 10 kB each."""


class Thumbnails:
    """By the sha256 of the picture each is made of. One thread makes them: a page full of them takes one core."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._made: OrderedDict[str, bytes] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="thumbnails")

    def get(self, sha256: str) -> bytes | None:
        """One that was made before."""
        if sha256 in self._made:
            self._made.move_to_end(sha256)
        return self._made.get(sha256)

    async def make(self, sha256: str, jpeg: bytes) -> bytes | None:
        """None where the picture can't be read: the disk has spoiled it."""
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._pool, _small, jpeg)
        except OSError:
            return None
        self._made[sha256] = made
        while len(self._made) > self._most:
            self._made.popitem(last=False)
        return made


def _small(jpeg: bytes) -> bytes:
    image = Image.open(io.BytesIO(jpeg))
    image.draft("RGB", (LONG_EDGE, LONG_EDGE))  # the decoder leaves out what is not needed
    image.thumbnail((LONG_EDGE, LONG_EDGE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
