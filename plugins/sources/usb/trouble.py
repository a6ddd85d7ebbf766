"""What can be wrong with a USB camera, in words that say what to do."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass

from agent.plugin import CameraState, Failure
from plugins.sources.usb.wire import Why


@dataclass(frozen=True, slots=True)
class Trouble:
    kind: Failure
    state: CameraState
    what: str
    """Goes on after "The camera at /dev/video0 "; ``{detail}`` is what the camera's process told."""
    advice: str = ""
    passing: bool = False
    """The very next attempt may well work."""
    absent: bool = False
    """Nothing to try until it is there."""


MISSING = Trouble(
    Failure.NOT_FOUND,
    CameraState.NOT_FOUND,
    "is not there",
    "plug it in, or see which ones are with 'camscribe doctor'",
    absent=True,
)
UNPLUGGED = Trouble(Failure.UNREACHABLE, CameraState.GONE, "was unplugged", "plug it in again", absent=True)
BUSY = Trouble(Failure.SOURCE, CameraState.BUSY, "is in use by {detail}", "only one at a time can have it")
ON_LINUX = (
    "add this user to the group {detail} (sudo usermod -aG {detail} {user}), and log in again or restart the service"
)
ON_MAC = (
    "allow it under System Settings, Privacy & Security, Camera; macOS asks for it when camscribe looks for the first "
    "time from a terminal, and only a LaunchAgent of a logged-in user can have it, never a LaunchDaemon"
)
DENIED = Trouble(Failure.UNAUTHORIZED, CameraState.NO_PERMISSION, "may not be used by this user", ON_LINUX)
NO_PICTURES = Trouble(Failure.NOT_FOUND, CameraState.NOT_FOUND, "is a device that gives no pictures", "{detail}")
NO_BANDWIDTH = Trouble(
    Failure.SOURCE,
    CameraState.BUSY,
    "can't start, because the USB bus is full",
    "plug it into a socket of another bus, or ask less of the cameras (width, height, fps, format: mjpeg)",
)
STALLED = Trouble(
    Failure.TIMEOUT,
    CameraState.SILENT,
    "is plugged in but gives no pictures",
    "unplug it and plug it in again; a weak hub or a long cable does this too",
    passing=True,
)
SLOW = Trouble(Failure.TIMEOUT, CameraState.CONNECTING, "is being opened, which takes long")
DAMAGED = Trouble(
    Failure.DAMAGED,
    CameraState.DAMAGED,
    "gives only damaged pictures",
    "try another cable or socket, or format: any",
)
NO_OPENCV = Trouble(
    Failure.SOURCE,
    CameraState.SILENT,
    "can't be read without OpenCV, which does not load here ({detail})",
    "install camscribe anew",
)
CRASHED = Trouble(Failure.SOURCE, CameraState.SILENT, "made its process end ({detail})", "see the log", passing=True)
GARBLED = Trouble(
    Failure.SOURCE, CameraState.SILENT, "made its process say what makes no sense", "see the log", passing=True
)
FAILED = Trouble(
    Failure.SOURCE, CameraState.SILENT, "does not work ({detail})", "unplug it and plug it in again", passing=True
)

_OF = {
    Why.MISSING: MISSING,
    Why.UNPLUGGED: UNPLUGGED,
    Why.DENIED: DENIED,
    Why.BUSY: BUSY,
    Why.NO_PICTURES: NO_PICTURES,
    Why.NO_BANDWIDTH: NO_BANDWIDTH,
    Why.STALLED: STALLED,
    Why.NO_OPENCV: NO_OPENCV,
    Why.FAILED: FAILED,
}
_WORDS = (  # of OpenCV on macOS; Linux can be asked itself
    ("not authorized to capture video", DENIED),
    ("out device of bound", MISSING),
)


class Failed(Exception):
    """The camera's process is of no more use."""

    def __init__(self, why: Trouble, detail: str = "") -> None:
        super().__init__(why.what.format(detail=detail))
        self.why, self.detail = why, detail


def told(why: str, detail: str, last_words: str) -> Failed:
    """What the process told as it gave up. Where it does not know, what the libraries printed may tell."""
    trouble = _OF[Why(why)]
    if trouble is FAILED:
        trouble = next((found for words, found in _WORDS if words in last_words), FAILED)
    return Failed(trouble, detail)


def sentence(place: str, failed: Failed, *, more: str = "", again: str = "") -> str:
    why, detail = failed.why, failed.detail
    if why is BUSY:
        detail = detail or "another program"
    if why is NO_PICTURES:
        detail = f"write source: usb:{detail}" if detail else "see which ones do with 'camscribe doctor'"
    text = f"{place[0].upper()}{place[1:]} {why.what.format(detail=detail)}{more}"
    advice = ON_MAC if why is DENIED and sys.platform == "darwin" else why.advice
    if advice:
        text += f"; {advice.format(detail=detail, user=_user())}"
    return f"{text}{again}."


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in some containers
        return str(os.getuid())
