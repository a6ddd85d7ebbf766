"""What goes wrong in here without being the config's fault."""

from __future__ import annotations

from plugins.captioners.llama_server.endings import Ending, Kind


class NotStarted(Exception):
    """The engine could not be started this time, and the sentence says why; the next time may go better."""

    def __init__(self, sentence: str, kind: Kind = Kind.OTHER) -> None:
        super().__init__(sentence)
        self.kind = kind


class Damaged(NotStarted):
    """What was downloaded is not what the repository says it is."""


class NoRoom(NotStarted):
    """The disk is too full for the model."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, Kind.DISK)


class Ended(Exception):
    """This run of the engine is over."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.sentence)
        self.ending = ending
