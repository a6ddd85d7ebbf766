"""The time that steps are counted in: it goes on while the machine sleeps, and never goes back."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.values import Moment

UNSEEN = 5.0
"""Seconds that the wall clock is ahead of the measured time, at once: the machine slept, or its clock was set. Less is
the clock being kept right."""


class Timeline:
    """Measured time, with the stretches in which the machine slept (the clock to measure with stands still then).

    A clock that is set back moves nothing: what was before is told by the new clock.
    """

    def __init__(self, now: Moment) -> None:
        self._ahead = _ahead(now)
        self._offset = self._ahead

    def at(self, now: Moment) -> float:
        """Seconds on this line."""
        ahead = _ahead(now)
        if ahead > self._ahead + UNSEEN:
            self._offset += ahead - self._ahead
        self._ahead = ahead
        return now.monotonic + self._offset

    def wall(self, at: float) -> datetime:
        """What the clock of now says of it."""
        return datetime.fromtimestamp(at - self._offset + self._ahead, UTC)


def _ahead(now: Moment) -> float:
    return now.wall.timestamp() - now.monotonic
