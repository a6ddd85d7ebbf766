"""What went wrong with the engine in a row: how loudly each time is told, and when it is given up."""

from __future__ import annotations

import logging

from plugins.captioners.engine.endings import Ending, Kind
from plugins.captioners.engine.pace import Pace


class Troubles:
    """An outage is told when it begins and when it ends; in between only what is new about it."""

    GIVE_UP_AFTER = 5
    """Runs in a row that came to nothing, for reasons that time does not mend."""

    def __init__(self, pace: Pace, log: logging.Logger) -> None:
        self._pace = pace
        self._log = log
        self._told: set[Kind] = set()
        self._given_up_for: set[Kind] = set()
        self._failures = 0
        self._lasting = 0
        self._worked_before = False

    @property
    def fresh(self) -> bool:
        """Not in the middle of an outage that has been told already."""
        return self._failures <= 1

    @property
    def gave_up(self) -> bool:
        return self._lasting >= self.GIVE_UP_AFTER

    def describe(self, ending: Ending) -> str:
        return f"gave up after {self._lasting} starts: {ending.sentence}" if self.gave_up else ending.sentence

    def well(self) -> None:
        """It did what it is for."""
        if self._failures > 1:
            self._log.info("the engine works again, after %d failures", self._failures)
        self._worked_before = True
        self._failures = self._lasting = 0
        self._told.clear()
        self._given_up_for.clear()

    def changed(self) -> None:
        """Somebody did something about it: whether that was of use is told, too."""
        self._log.info("one of the engine's files has changed: starting it")
        self._given_up_for.clear()

    def add(self, ending: Ending, pause: float, *, was_ready: bool) -> None:
        """A run is over, or did not begin."""
        self._failures += 1
        self._lasting = 0 if self._mends(ending.kind) else self._lasting + 1
        new = ending.kind not in self._told
        self._told.add(ending.kind)
        if self.gave_up:
            self._tell_of_giving_up(ending)
        elif was_ready:
            level = logging.WARNING if new else logging.DEBUG
            self._log.log(level, "%s Starting it again in %.1f s.", ending.sentence, pause)
        else:
            # An ERROR where somebody has to act: now that it is given up, or because waiting is all that is left to do.
            loud = logging.WARNING if self._mends(ending.kind) else logging.INFO
            level = loud if new else logging.DEBUG
            self._log.log(
                level, "%s It is tried again, at most every %.0f s.", ending.sentence, self._pace.longest_pause
            )

    def _tell_of_giving_up(self, ending: Ending) -> None:
        level = logging.DEBUG if ending.kind in self._given_up_for else logging.ERROR
        self._given_up_for.add(ending.kind)
        self._log.log(
            level,
            "Gave up the engine after %d starts. %s It is tried again when one of its files changes or camscribe "
            "starts, and every %.0f minutes.",
            self._lasting,
            ending.sentence,
            self._pace.rare / 60,
        )

    def _mends(self, kind: Kind) -> bool:
        """What crashes without ever having worked goes on doing so."""
        return kind.mends or (kind is Kind.CRASH and self._worked_before)
