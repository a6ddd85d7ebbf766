"""What goes wrong in here without being the config's fault."""

from __future__ import annotations

from agent.plugin import Misconfigured
from plugins.captioners.engine.endings import Ending, Kind


class NotStarted(Exception):
    """The engine could not be started this time, and the sentence says why; the next time may go better."""

    def __init__(self, sentence: str, kind: Kind = Kind.OTHER) -> None:
        super().__init__(sentence)
        self.kind = kind


class NotNow(NotStarted, Misconfigured):
    """The engine could not say what it is: for this time it is of no use, and asked again it may be."""


class Ended(Exception):
    """This run of the engine is over."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.sentence)
        self.ending = ending
