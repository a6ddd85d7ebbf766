"""What happened so far: counters, and outages that are logged once when they begin and once when they end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from agent.clock import Clock
from agent.values import Moment

REASONS_SAID = 3
"""An outage that changes its reason says so this often; a reason that holds a port or a time never repeats."""


class Counters:
    """Numbers that only grow, by name and labels. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}

    def add(self, name: str, /, amount: int = 1, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount

    def value(self, name: str, /, **labels: str) -> int:
        """The sum over every counter of that name that carries these labels (others beside them or not)."""
        wanted = set(labels.items())
        return sum(count for found, carried, count in self if found == name and wanted <= set(carried.items()))

    def snapshot(self) -> dict[str, int]:
        """Every counter by its full name: ``dropped_total{output="mqtt",reason="expired"}``."""
        return {_full_name(name, labels): count for name, labels, count in self}

    def __iter__(self) -> Iterator[tuple[str, dict[str, str], int]]:
        """Name, labels and count of each, for the metrics."""
        with self._lock:
            counts = sorted(self._counts.items())
        for (name, labels), count in counts:
            yield name, dict(labels), count


def _full_name(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name


class Outage:
    """Something outside that comes and goes: said once when it goes and once when it is back."""

    def __init__(
        self, what: str, log: logging.Logger, clock: Clock, *, each: str = "tries", level: int = logging.WARNING
    ) -> None:
        """``what`` begins the sentence; ``each`` names in the plural what is affected; ``level`` tells who must act."""
        self._what = what
        self._log = log
        self._clock = clock
        self._each = each
        self._level = level
        self._said: set[str] = set()
        self.reason: str | None = None
        """The last reason while it lasts, for the status; None when all is well."""
        self.since: Moment | None = None
        self.affected = 0

    def begins(self, reason: str, level: int | None = None) -> None:
        """It failed (again): said the first time, then only counted. ``level``: for this reason another than usual."""
        level = self._level if level is None else level
        self.affected += 1
        if self.since is None:
            self.since = self._clock.now()
            self._said = {reason}
            self._log.log(level, "%s: %s", self._what, reason)
        elif reason not in self._said and len(self._said) < REASONS_SAID:
            self._said.add(reason)
            # An outage may turn into one that somebody must mend, such as a broker that comes back with another login.
            level = level if level > self._level else logging.INFO
            self._log.log(level, "%s: still not, but for another reason: %s", self._what, reason)
        self.reason = reason

    def ends(self) -> None:
        """It works: said where it did not before."""
        if self.since is None:
            return
        lasted = self._clock.now().monotonic - self.since.monotonic
        self._log.info(
            "%s: works again after %s (%d %s failed)", self._what, duration(lasted), self.affected, self._each
        )
        self.since = self.reason = None
        self.affected = 0


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 5 s``, ``1 h 2 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"
