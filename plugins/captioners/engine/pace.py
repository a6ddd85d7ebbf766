"""How patient the engine's owner is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from plugins.captioners.engine.child import GRACE


@dataclass(frozen=True, slots=True)
class Pace:
    """All in seconds."""

    start_timeout: float = 120.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    settled: float = 60.0
    """An engine that has been ready for this long starts with the first pause again."""
    check_every: float = 10.0
    grace: float = GRACE
    rare: float = 600.0
    """Between the starts of an engine that was given up."""
    look_every: float = 2.0
    """Between the looks whether a file of an engine that was given up has changed."""
    tell_every: float = 15.0
    """Between the log's lines about a long start."""
    sleep_after: float | None = None
    """Without a caption for this long, the engine is stopped until the next one is asked for."""
    jitter: Callable[[], float] = random.random
    """0..1; up to a tenth of a pause is added, so that a house full of engines does not start in step."""


class Pauses:
    """1, 2, 4 … 30 s, each a little longer by chance."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._next = pace.first_pause

    def next(self) -> float:
        pause = self._next
        self._next = min(pause * 2, self._pace.longest_pause)
        return pause * (1 + self._pace.jitter() / 10)

    def reset(self) -> None:
        self._next = self._pace.first_pause
