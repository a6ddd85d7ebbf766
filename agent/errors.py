"""Everything camscribe raises on purpose.

    CamscribeError
    ├── Misconfigured            the config (or what it names) is wrong: refuse to start, exit 2
    │   └── ConfigFaults         … every fault of a config file at once
    ├── Unavailable              something outside can't be reached just now: retried, never a traceback
    │   ├── FrameUnavailable     … the camera has no fresh picture
    │   ├── CaptionUnavailable   … the captioner has no caption
    │   ├── OutputUnavailable    … an output's target
    │   └── JournalUnavailable   … the disk under the journal (an OSError as well)
    ├── DataDirBusy              another camscribe holds the data_dir
    ├── ObservationRefused       an output's target will never take this observation: skip it
    └── CommandRefused           somebody asked for something that can't be done
        ├── PictureRefused       … the picture that they bring along can't be captioned
        └── TooBusy              … now, as others are being served

Anything else that is raised is a bug. Every message is a sentence that a person can act on; none holds a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Failure(StrEnum):
    """Why a look failed: the ``kind`` in an observation's ``error``. Part of the record's version 1."""

    UNAUTHORIZED = "unauthorized"
    """The camera refused the user name or password."""
    NOT_FOUND = "not_found"
    """The camera answers, but has no such stream; or there is no such file."""
    UNREACHABLE = "unreachable"
    """Nobody answers at that address, or the connection broke."""
    TIMEOUT = "timeout"
    """It was there, but did not answer in time."""
    STALE = "stale"
    """There is a picture, but an old one: the stream froze or lags behind."""
    DAMAGED = "damaged"
    """Pictures arrive, but none that is whole."""
    NO_VIDEO = "no_video"
    """The stream holds no picture that can be shown: no video track, or no key frame."""
    SOURCE = "source"
    """The camera failed in another way; the message says how."""
    ENGINE = "engine"
    """The captioner is not running, or went away in the middle of the caption."""
    ENGINE_TIMEOUT = "engine_timeout"
    """The captioner took longer than the camera's ``timeout``."""
    BUDGET = "budget"
    """The captioner may make no more calls this minute."""
    REFUSED = "refused"
    """The captioner would not take this picture or prompt."""
    NO_ANSWER = "no_answer"
    """The captioner answered with nothing that can be shown."""
    STOPPED = "stopped"
    """camscribe was stopped before the look had its turn."""
    INTERNAL = "internal"
    """A bug in camscribe or in a plugin; the log has the traceback."""


class CamscribeError(Exception):
    """The root; never raised itself."""


class Misconfigured(CamscribeError):
    """What the user asked for can't work until they change something; the sentence says what."""


class DataDirBusy(CamscribeError):
    """Another camscribe holds the data_dir: the service, or a look by itself that ends soon."""


class Unavailable(CamscribeError):
    """Something outside camscribe is not there just now."""


class FrameUnavailable(Unavailable):
    """A source has no fresh frame.

    ``kind`` goes into the observation's ``error.kind``, the reason into its ``error.message``.
    """

    def __init__(self, kind: Failure, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class CaptionUnavailable(Unavailable):
    """A captioner has no caption; ``kind`` as in FrameUnavailable."""

    def __init__(self, kind: Failure, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class OutputUnavailable(Unavailable):
    """An output's target can't be reached; the observation is offered again later.

    ``retry_after``: seconds the target asked to be left alone, or None. ``act``: time alone won't mend it, so somebody
    must do what the reason says; the log calls it an ERROR.
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, act: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.act = act


class JournalUnavailable(Unavailable, OSError):
    """The journal can't be read or written just now: the disk is full, or failing. Logged when it is raised."""


class ObservationRefused(CamscribeError):
    """The target said no to this one observation for good: it is counted and said, and the next one follows."""


class CommandRefused(CamscribeError):
    """A command named an unknown camera or an impossible value; the old state stands."""


class PictureRefused(CommandRefused):
    """A picture that somebody brings along is damaged, too large, or of a format that is not taken."""

    def __init__(self, reason: str, kind: Literal["damaged", "too_large", "format"] = "damaged") -> None:
        super().__init__(reason)
        self.kind = kind


class TooBusy(CommandRefused):
    """As many are being served as can be; ``retry_after`` seconds later it may be otherwise."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
