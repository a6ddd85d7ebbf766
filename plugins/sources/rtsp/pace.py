"""Every time the RTSP source waits for or reckons with, in seconds; tests put in their own."""

from __future__ import annotations

from dataclasses import dataclass

from plugins.sources.backoff import pause_after


@dataclass(frozen=True, slots=True)
class Pace:
    open_timeout: float = 10.0
    """For the handshake, and as long again for the first pictures."""
    read_timeout: float = 5.0
    """Without a byte; FFmpeg needs two of them to give up, as the first hands out the picture it held back."""
    patience: float = 2.5
    """How long a look waits for a key frame before it decodes the pictures since the last one."""
    most_lag: float = 1.5
    """A picture that is further behind the camera's own clock is not fresh."""
    settle: float = 0.2
    """A picture that came in a hurry is judged after so long: it may be an old one in a burst."""
    hopeless_lag: float = 10.0
    """So far behind, or over ``most_lag`` for so long, a stream is dropped and opened anew."""
    no_key_frame: float = 30.0
    """Or three intervals without one: opened anew."""
    quiet: float = 3.0
    """Connected and no picture for so long: the camera is silent."""
    stuck: float = 60.0
    """A thread that gave no sign for so long hangs in native code and is abandoned: more than both open timeouts and
    a resolver's."""
    most_stuck: int = 3
    glance: float = 1.0
    """How often the connection's state is looked at."""
    farewell: float = 1.0
    """How long to wait for the thread when the source is stopped."""
    proven: float = 10.0
    """A connection that was live for so long ends the row of failures."""
    first_pause: float = 1.0
    longest_pause: float = 30.0
    refused_pause: float = 60.0
    """After a wrong password or path: cameras lock accounts after a few attempts."""

    def pause(self, failures: int, *, refused: bool) -> float:
        """How long to stay away after so many failures in a row."""
        least = self.refused_pause if refused else 0.0
        return pause_after(failures, self.first_pause, self.longest_pause, least)
