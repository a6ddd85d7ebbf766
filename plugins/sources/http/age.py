"""How old a picture is by what its server says of it. Sameness proves nothing: a drawing may stay the same for years.

Two things tell. On the server's own clock, so that a wrong one does no harm: ``Date`` less ``Last-Modified``, and
``Age``. And the camera's time of the picture (``X-Timestamp``: ESP32-CAM, mjpg-streamer), which is of use only beside
other pictures': the difference between its clock and ours is the smallest where the picture was freshest.

Conditional requests (If-None-Match) are never sent. A camera takes a picture for each request, so they would save
nothing; and a server that thinks the picture of a minute ago is still right says so in its dates as well.
"""

from __future__ import annotations

import math
from calendar import timegm
from dataclasses import dataclass, field
from email.utils import parsedate

import httpx

FRESH = 1.0
"""Seconds; younger is not told from fresh, as HTTP's dates are whole seconds."""

RESOLUTION = 1.1
"""Seconds in which two pictures may honestly have the same date."""


def moment(text: str | None) -> float | None:
    """An HTTP date as seconds."""
    try:
        parsed = parsedate(text) if text else None
        return float(timegm(parsed)) if parsed else None
    except (ValueError, OverflowError):
        return None


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that a server asks to be left alone; given as such, or as a date on its own clock."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until, now = moment(value), moment(headers.get("date"))
    return max(0.0, until - now) if until is not None and now is not None else None


@dataclass(slots=True)
class _Witness:
    """A time that should go with the picture. Many a camera says the day it was switched on: another picture, and the
    same time."""

    lied: bool = False
    _said: float | None = None
    _picture: int = 0
    _since: float = 0.0

    def honest(self, said: float, picture: bytes, arrived: float) -> bool:
        known = hash(picture)
        if said != self._said:
            self._said, self._since = said, arrived
        elif known != self._picture and arrived - self._since > RESOLUTION:
            self.lied = True
        self._picture = known
        return not self.lied


@dataclass(slots=True)
class Ages:
    """Judges one camera's pictures, and remembers whose headers lie."""

    _dates: _Witness = field(default_factory=_Witness)
    _stamps: _Witness = field(default_factory=_Witness)
    _clock: float | None = None
    """By how much our clock was ahead of the camera's for the last fresh picture."""
    _stamp: float | None = None
    """The last picture's."""
    _before: tuple[float, float] | None = None
    """The last picture's stamp, and how far we were ahead of it; of this look only."""

    def new_look(self) -> None:
        self._before = None

    def distrust_stamps(self) -> None:
        """Whatever the camera says there, it is no time in seconds."""
        self._stamps.lied = True

    def seconds(self, headers: httpx.Headers, picture: bytes, arrived: float) -> float:
        """0 where nothing is said, inf where another picture must tell."""
        return max(self._by_dates(headers, picture, arrived), self._by_stamp(headers, picture, arrived))

    def _by_dates(self, headers: httpx.Headers, picture: bytes, arrived: float) -> float:
        age = _number(headers.get("age"))
        modified, now = moment(headers.get("last-modified")), moment(headers.get("date"))
        if modified is None or now is None or not self._dates.honest(modified, picture, arrived):
            return age
        return age + max(0.0, now - modified)

    def _by_stamp(self, headers: httpx.Headers, picture: bytes, arrived: float) -> float:
        stamp = _number(headers.get("x-timestamp"))
        if not stamp or not self._stamps.honest(stamp, picture, arrived):
            return 0.0
        ahead = arrived - stamp
        before, self._before = self._before, (stamp, ahead)
        # The same stamp again proves nothing: looked at often enough, a camera that hangs would seem to agree always.
        another, self._stamp = stamp != self._stamp, stamp
        agrees = another and self._clock is not None and abs(ahead - self._clock) < FRESH
        # It may have been restarted, or its clock set: then two pictures in a row agree with each other.
        if agrees or (before is not None and before[0] != stamp and abs(ahead - before[1]) < FRESH):
            self._clock = ahead
            return 0.0
        return math.inf if self._clock is None or ahead < self._clock else ahead - self._clock


def _number(text: str | None) -> float:
    try:
        number = float(text or 0)
    except ValueError:
        return 0.0
    return number if 0 < number < 1e12 else 0.0
