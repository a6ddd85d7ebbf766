"""When a picture of a watched folder appeared, on this machine's own clock."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from agent.plugin import FrameUnavailable, Moment

SLACK = 0.05
"""Seconds that a file's time may be off this machine's: the kernel stamps files with a clock of coarser steps."""


@dataclass(slots=True)
class Sighting:
    """A picture that appeared, or was written anew, at ``since`` (monotonic)."""

    path: str
    since: float
    signature: int
    problem: FrameUnavailable | None = None
    """Why it could not be read when it was last tried."""
    tried: float = 0.0

    @property
    def identity(self) -> tuple[str, int]:
        """Another one as soon as it is written on."""
        return self.path, self.signature

    @property
    def moment(self) -> Moment:
        now = Moment.now()
        return now.plus(min(0.0, self.since - now.monotonic))


def signature(status: os.stat_result) -> int:
    """Differs where the content was written anew. Not by ctime: a backup or a chmod changes that and no picture."""
    return hash((status.st_size, status.st_mtime_ns))


def age_at_first(status: os.stat_result) -> float:
    """Seconds since the file was last touched, as far as a single glance can tell.

    By ctime, which the kernel sets; mtime is whatever the uploader says. An hour into the future is as wrong as an hour
    into the past: such a picture's age is not known.
    """
    return abs(time.time() - status.st_ctime)


def appeared(status: os.stat_result, checked: float, folder_changed: float) -> float:
    """When (monotonic) a file appeared that was not there at ``checked``.

    Its ctime is exact where this machine's clock set it. On a share whose server's clock differs it is not, so the
    earliest possible counts then: ``checked``; less, by the server's own clock, what the file is older than the last
    change of the folders around it (``folder_changed``, a ctime): a folder of old pictures that is moved in is old.
    """
    now = time.monotonic()
    by_ctime = now - (time.time() - status.st_ctime)
    if checked - SLACK <= by_ctime <= now + SLACK:
        return min(now, by_ctime)
    return checked - max(0.0, folder_changed - status.st_ctime)
