"""What can be wrong with an HTTP camera, in words that say what to do. No word of it is a secret."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from http import HTTPStatus

import httpx

from agent.plugin import CameraState, Failure
from plugins.sources.http.progress import Progress
from plugins.tls import distrust
from plugins.unreachable import causes


@dataclass(frozen=True, slots=True)
class Trouble:
    kind: Failure
    state: CameraState
    what: str
    """Goes on after "The camera at http://192.168.1.20 "."""
    advice: str = ""
    stay_away: float = 0.0
    """Seconds in which it is not asked again: it said no and would say it again, or asked for it."""
    place: str = ""
    """Where it happened, if it is not the camera's own address: a redirect led there."""

    def at(self, place: str) -> Trouble:
        return replace(self, place=place)


class Troubled(Exception):
    """A look can't go on."""

    def __init__(self, why: Trouble) -> None:
        super().__init__(why.what)
        self.why = why


LOCKOUT = 60.0
"""Cameras lock accounts after a few wrong passwords."""
MOST_REDIRECTS = 5
MOST_ASKED_FOR = 300.0
"""However long a server asks to be left alone."""

_PATH = "check the part behind the host in {key}"
_RESTART = "it may need a restart, or have no connection left for another viewer"

UNAUTHORIZED = Trouble(
    Failure.UNAUTHORIZED,
    CameraState.UNAUTHORIZED,
    "refused the user name or password",
    "check username and password in {key}",
    LOCKOUT,
)
UNAUTHORIZED_TOKEN = replace(UNAUTHORIZED, what="refused the token", advice="check token in {key}")
NO_LOGIN = replace(
    UNAUTHORIZED, what="wants a user name and password", advice="add username and password, or token, to {key}"
)
NOT_ASKED = replace(
    UNAUTHORIZED, what="refused access and did not say how to log in", advice="set auth: basic, or token, in {key}"
)
ODD_LOGIN = replace(
    UNAUTHORIZED,
    what="wants a kind of login that camscribe does not speak",
    advice="set the camera to digest or basic authentication",
)
CLEAR_LOGIN = replace(
    UNAUTHORIZED,
    what="wants the password in the clear",
    advice="auth: digest in {key} forbids it; set the camera to digest authentication, or auth: auto",
)
ELSEWHERE = replace(
    UNAUTHORIZED,
    what="redirects to another place, which wants a login; the password is not sent there",
    advice="write that address in {key} if it is right",
)
LOGIN_REFUSED = replace(UNAUTHORIZED, what="answered that the login failed")
NOT_FOUND = Trouble(Failure.NOT_FOUND, CameraState.NOT_FOUND, "has no picture at this path", _PATH)
REFUSES = Trouble(
    Failure.UNREACHABLE,
    CameraState.GONE,
    "refuses connections",
    "check that it is switched on, and the port in {key}",
)
UNREACHABLE = Trouble(
    Failure.UNREACHABLE,
    CameraState.GONE,
    "can't be reached",
    "check that it is switched on and on the network, and the host in {key}",
)
UNKNOWN_NAME = Trouble(
    Failure.UNREACHABLE,
    CameraState.GONE,
    "can't be found: its name is unknown to the network",
    "check the host in {key}, or write its IP address",
)
NO_NAME_SERVER = replace(
    UNKNOWN_NAME,
    what="can't be found: the network's name server (DNS) does not answer",
    advice="check the network's router, or write the camera's IP address in {key}",
)
SILENT = Trouble(Failure.TIMEOUT, CameraState.SILENT, "accepts connections but does not answer", _RESTART)
SLOW = Trouble(
    Failure.TIMEOUT,
    CameraState.SILENT,
    "did not send a whole picture in time",
    "the network may be too slow for it: ask for a smaller picture, or give the camera a longer timeout",
)
ENDLESS = Trouble(Failure.SOURCE, CameraState.SILENT, "sends more than a picture can be, and was cut off", _PATH)
CLOSED = Trouble(Failure.UNREACHABLE, CameraState.GONE, "closed the connection")
BROKE_OFF = Trouble(Failure.DAMAGED, CameraState.DAMAGED, "broke off in the middle of the picture", "check its network")
DAMAGED = Trouble(Failure.DAMAGED, CameraState.DAMAGED, "sent a picture that can't be shown: it {what}")
ONLY_DAMAGED = Trouble(
    Failure.DAMAGED, CameraState.DAMAGED, "sends only damaged pictures in its stream", "check its network"
)
NOT_HTTP = Trouble(
    Failure.SOURCE,
    CameraState.SILENT,
    "answered something that is not HTTP",
    "check the port in {key}, and whether it begins with http:// or https://",
)
REDIRECTS = Trouble(Failure.SOURCE, CameraState.NOT_FOUND, f"redirects more than {MOST_REDIRECTS} times", _PATH)
NOWHERE = Trouble(Failure.SOURCE, CameraState.NOT_FOUND, "redirects to nowhere", _PATH)
COMPRESSED = Trouble(
    Failure.SOURCE,
    CameraState.SILENT,
    "answered in compressed form although asked not to",
    "switch compression off in the server or proxy",
)
EMPTY = Trouble(Failure.NO_VIDEO, CameraState.SILENT, "answered without a picture", _RESTART)
WEB_PAGE = Trouble(
    Failure.NO_VIDEO,
    CameraState.NOT_FOUND,
    "answered with a web page, not a picture",
    "it may be the login page: " + _PATH + ", and how this camera wants the password",
)
TEXT = Trouble(Failure.NO_VIDEO, CameraState.NOT_FOUND, "answered with a text, not a picture", _PATH)
NO_PICTURE = Trouble(Failure.NO_VIDEO, CameraState.NOT_FOUND, "answered with something that is no picture", _PATH)
NO_PARTS = Trouble(Failure.NO_VIDEO, CameraState.NOT_FOUND, "sends a stream without pictures in it", _PATH)
NO_PICTURES = Trouble(Failure.TIMEOUT, CameraState.SILENT, "opened the stream but sends no pictures", _RESTART)
FROZE = Trouble(Failure.STALE, CameraState.SILENT, "stopped sending pictures", "it may need a restart")
ENDED = Trouble(Failure.UNREACHABLE, CameraState.GONE, "ended the stream")


def overdue(progress: Progress) -> Trouble:
    """Why time ran out."""
    if not progress.connected:
        return UNREACHABLE
    return FROZE if progress.pictures else SLOW if progress.answered else SILENT


def unusable_file(why: str) -> Trouble:
    """A file of the option ``tls``."""
    return Trouble(Failure.SOURCE, CameraState.GONE, "can't be asked", why.removesuffix("."))


def not_shown(what: str) -> Trouble:
    """The picture ``what``."""
    return replace(DAMAGED, what=DAMAGED.what.format(what=what))


def answered(status: int, retry_after: float | None) -> Trouble:
    """What a status other than 2xx and 401 means."""
    if status == HTTPStatus.FORBIDDEN:
        return replace(
            UNAUTHORIZED, what="refuses access (403)", advice="check username, password and the user's rights for {key}"
        )
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NOT_FOUND
    what = f"answered {status}{_phrase(status)}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        pause = min(retry_after or 0.0, MOST_ASKED_FOR)
        return Trouble(
            Failure.SOURCE,
            CameraState.SILENT,
            f"{what}: no picture just now",
            "it may be starting, or overloaded",
            pause,
        )
    return Trouble(Failure.SOURCE, CameraState.NOT_FOUND, what, _PATH)


def from_error(error: Exception, *, answering: bool) -> Trouble:
    """Why a request failed. ``answering``: the answer's body had begun."""
    if mistrust := distrust(error):
        advice = "for a camera with a certificate of its own making, name it in tls.ca or set tls.insecure in {key}"
        return Trouble(Failure.UNREACHABLE, CameraState.GONE, f"can't be trusted: {mistrust}", advice)
    for cause in causes(error):
        if isinstance(cause, ConnectionRefusedError):
            return REFUSES
    if isinstance(error, httpx.ConnectError):
        return UNREACHABLE
    if answering:
        return BROKE_OFF
    broke = isinstance(error, httpx.NetworkError) or "disconnected" in str(error)
    return CLOSED if broke or isinstance(error, ssl.SSLError) else NOT_HTTP


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""
