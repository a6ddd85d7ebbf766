"""Every time the HTTP source waits for or reckons with, in seconds; tests put in their own."""

from __future__ import annotations

from dataclasses import dataclass

from plugins.sources.backoff import pause_after


@dataclass(frozen=True, slots=True)
class Pace:
    again: float = 0.4
    """Between the requests of one look, where the picture seems old: soon enough, and four of them
    take longer than a second, in which a date may honestly stay the same."""
    settle: float = 0.1
    """What a stream sends so soon after its first picture may be pictures that the camera had kept from before."""
    quiet: float = 5.0
    """Without a whole picture for so long, a stream that is kept open counts as silent."""
    hopeless: float = 20.0
    """… and is opened anew."""
    standstill: float = 1.5
    """If this process itself stood still for so long, what waits in a stream's connection is old."""
    same: float = 600.0
    """The very same picture for so long: no living camera does that, so it is told."""
    first_pause: float = 1.0
    longest_pause: float = 30.0
    proven: float = 10.0
    """A stream that came for so long ends the row of failures."""

    def pause(self, failures: int, stay_away: float) -> float:
        """How long to stay away after so many failures in a row."""
        return pause_after(failures, self.first_pause, self.longest_pause, stay_away)
