"""Every time the USB source waits for or reckons with, in seconds; tests put in their own."""

from __future__ import annotations

from dataclasses import dataclass

from plugins.sources.backoff import pause_after


@dataclass(frozen=True, slots=True)
class Pace:
    open_timeout: float = 12.0
    """From the start of the process to the first picture worth showing."""
    stalled: int = 3
    """Without a picture; whole seconds, because that is what OpenCV takes."""
    hung: float = 5.0
    """Without an answer from the process: more than ``stalled``, which it notices itself."""
    settle: float = 0.5
    """Pictures to throw away after opening: the first ones are dark, the camera is still finding its exposure."""
    grace: float = 1.0
    """Between TERM and KILL. All there is to lose is an orderly goodbye to the driver."""
    glance: float = 1.0
    """How often an absent camera is looked for."""
    proven: float = 10.0
    """A camera that was open for so long ends the row of failures."""
    first_pause: float = 1.0
    longest_pause: float = 30.0

    def pause(self, failures: int) -> float:
        """How long to leave it alone after so many failures in a row."""
        return pause_after(failures, self.first_pause, self.longest_pause)
