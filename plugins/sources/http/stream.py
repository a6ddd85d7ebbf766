"""A stream's pictures, without those that the camera had kept from before it was opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from agent.plugin import Moment
from plugins.sources.http import trouble
from plugins.sources.http.body import Body
from plugins.sources.http.pace import Pace
from plugins.sources.http.parts import Malformed, Part, Parts
from plugins.sources.http.trouble import Troubled

MOST_KEPT = 4
"""Pictures that a camera may have kept; at a high rate no more are left out, however soon they come."""
MOST_LAG = 1.5
"""Seconds that a picture may be further behind the camera's own clock (``X-Timestamp``) than the best one was."""


class Stream:
    def __init__(self, body: Body, pace: Pace, discard: int = 0) -> None:
        self._body = body
        self._pace = pace
        self._discard = discard
        self._count = 0
        self._first = 0.0
        """When the first picture began to arrive."""
        self._least_ahead: float | None = None

    async def parts(self) -> AsyncGenerator[tuple[Part, bool], None]:
        """Every whole part, and whether it is fresh. Raises Troubled, at the latest where the stream ends."""
        parts = Parts()
        last: Part | None = None
        async for piece in self._body.pieces():
            try:
                for part in parts.feed(piece, Moment.now()):
                    last = part
                    self._count += 1
                    self._body.progress.pictures = True
                    yield part, self._is_fresh(part)
            except Malformed:
                raise Troubled(trouble.NO_PARTS) from None
            if parts.ended:
                break
        if last is not None and self._count == 1 and parts.ended:
            yield last, True  # one picture and a proper end: a snapshot in a stream's clothes
        raise Troubled(trouble.BROKE_OFF if parts.torn or parts.unfinished else trouble.ENDED)

    def _is_fresh(self, part: Part) -> bool:
        lag = self._lag(part)
        if self._count == 1:
            self._first = part.began.monotonic
        if self._count <= 1 + self._discard or lag > MOST_LAG:
            return False
        soon = part.began.monotonic - self._first < self._pace.settle
        return not soon or self._count > MOST_KEPT

    def _lag(self, part: Part) -> float:
        try:
            stamp = float(part.headers.get("x-timestamp", ""))
        except ValueError:
            return 0.0
        ahead = part.began.monotonic - stamp
        self._least_ahead = ahead if self._least_ahead is None else min(ahead, self._least_ahead)
        return ahead - self._least_ahead
