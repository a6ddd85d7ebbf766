"""What can be wrong with a camera, in words that say what to do. No word of it is a secret."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, replace

import av

from agent.plugin import CameraState, Failure
from plugins.sources.rtsp.address import Address

PROBE_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class Trouble:
    kind: Failure
    state: CameraState
    what: str
    """Goes on after "The camera at 192.168.1.20:554 "."""
    advice: str = ""
    refused: bool = False
    """The camera said no, and would say it again: stay away for longer."""
    detail: str = ""
    """The library's own words, for the log."""

    def told(self, error: Exception) -> Trouble:
        """With the words of the exception that told it."""
        return replace(self, detail=words(error))


UNAUTHORIZED = Trouble(
    Failure.UNAUTHORIZED,
    CameraState.UNAUTHORIZED,
    "refused the user name or password",
    "check username and password in {key}",
    refused=True,
)
NO_LOGIN = replace(UNAUTHORIZED, what="wants a user name and password", advice="add username and password to {key}")
NOT_FOUND = Trouble(
    Failure.NOT_FOUND,
    CameraState.NOT_FOUND,
    "has no stream at this path",
    "check the part behind the host in {key}",
    refused=True,
)
REFUSED = Trouble(
    Failure.UNREACHABLE,
    CameraState.GONE,
    "refuses connections",
    "check that it is switched on, that RTSP is enabled, and the port in {key}",
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
NO_NAME_SERVER = Trouble(
    Failure.UNREACHABLE,
    CameraState.GONE,
    "can't be found: the network's name server (DNS) does not answer",
    "check the network's router, or write the camera's IP address in {key}",
)
NO_ANSWER = Trouble(
    Failure.TIMEOUT,
    CameraState.SILENT,
    "has not answered yet",
    "check that it is switched on and on the network",
)
SILENT = Trouble(
    Failure.TIMEOUT,
    CameraState.SILENT,
    "accepts connections but does not answer",
    "it may need a restart, or have no connection left for another viewer",
)
NO_PICTURES = Trouble(
    Failure.TIMEOUT,
    CameraState.SILENT,
    "opened the stream but sends no pictures",
    "it may need a restart, or have no connection left for another viewer",
)
BUSY = Trouble(
    Failure.SOURCE,
    CameraState.BUSY,
    "answered that it can't serve the stream just now",
    "it may be starting, or have no connection left for another viewer",
)
NOT_RTSP = Trouble(
    Failure.SOURCE,
    CameraState.SILENT,
    "hung up, or answered something that is not a usable RTSP stream",
    "it may have no connection left for another viewer, or the port or path in {key} is wrong",
)
HUNG_UP = Trouble(
    Failure.UNREACHABLE,
    CameraState.SILENT,
    "hung up before it sent anything",
    "it may have no connection left for another viewer, or need a restart",
)
NO_VIDEO = Trouble(
    Failure.NO_VIDEO,
    CameraState.NOT_FOUND,
    "sends no video on this stream",
    "check the part behind the host in {key}: it may be a sound-only stream",
)
UNKNOWN_CODEC = Trouble(
    Failure.NO_VIDEO,
    CameraState.NOT_FOUND,
    "sends video in a form that can't be decoded",
    "set the camera to H.264 or H.265",
)
NO_KEY_FRAMES = Trouble(
    Failure.NO_VIDEO,
    CameraState.NO_KEY_FRAMES,
    "sends no key frames",
    "set a key frame interval (also called I-frame interval or GOP) of 1 to 4 seconds in the camera",
)
NO_KEY_FRAME_IN_TIME = Trouble(
    Failure.TIMEOUT,
    CameraState.NO_KEY_FRAMES,
    "sent no key frame in time",
    "set a key frame interval (also called I-frame interval or GOP) of 1 to 4 seconds in the camera",
)
CLOSED = Trouble(Failure.UNREACHABLE, CameraState.GONE, "closed the connection")
NO_SUCH_TRANSPORT = Trouble(
    Failure.SOURCE,
    CameraState.NOT_FOUND,
    "does not send this stream by the transport that is set",
    "set transport to the other of tcp and udp for {key}",
    refused=True,
)
FROZE = Trouble(Failure.STALE, CameraState.SILENT, "stopped sending pictures", "it may need a restart")
SELDOM = Trouble(
    Failure.TIMEOUT,
    CameraState.SILENT,
    "sends a picture less often than every 5 s, or has stopped sending them",
    "set one picture a second or more in the camera; if it is set so, it may need a restart",
)
TOO_FEW = Trouble(
    Failure.TIMEOUT,
    CameraState.LIVE,
    "sends so few pictures that none came in time",
    "set one picture a second or more in the camera (each can be had only when the next one comes)",
)
DAMAGED = Trouble(
    Failure.DAMAGED,
    CameraState.DAMAGED,
    "sends only damaged pictures",
    "check its network (Wi-Fi, cables), leave transport at tcp, or take a smaller stream",
)
LAGGING = Trouble(
    Failure.STALE,
    CameraState.BEHIND,
    "sends pictures that are too old",
    "the network or this machine is too slow for the stream, or the camera is too slow for the pictures a second that "
    "are set in it: take a smaller stream (substream), or set fewer",
)
PARKED = Trouble(
    Failure.SOURCE,
    CameraState.PARKED,
    "made its driver hang three times and is given up until camscribe is restarted",
    "check the camera, then restart camscribe",
)

_PLAIN: tuple[tuple[tuple[type[Exception], ...], Trouble], ...] = (
    ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError), UNAUTHORIZED),
    ((av.error.HTTPNotFoundError,), NOT_FOUND),
    ((av.error.HTTPError, av.error.HTTPClientError), BUSY),
    ((av.error.ConnectionRefusedError,), REFUSED),
)
_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_HUNG_UP = (
    av.error.ConnectionResetError,
    av.error.BrokenPipeError,
    av.error.EOFError,
    av.error.PermissionError,  # what FFmpeg makes of a PLAY without an answer
)


def words(error: BaseException) -> str:
    """An exception for the log. Its own text may hold the URL with the password; its type and strerror don't."""
    strerror = getattr(error, "strerror", None)
    return f"{type(error).__name__}: {strerror}" if strerror else type(error).__name__


def while_opening(error: Exception, elapsed: float, open_timeout: float, address: Address) -> Trouble:
    """Why a stream could not be opened. Knocks at the port itself where the error alone doesn't tell (blocks)."""
    why = _while_opening(error, elapsed, open_timeout, address)
    if address.encrypted and why in {SILENT, NOT_RTSP, HUNG_UP}:
        return replace(why, advice=f"{why.advice}; if it does not encrypt, write rtsp:// in {{key}}")
    return NO_LOGIN if why is UNAUTHORIZED and address.anonymous else why


def _while_opening(error: Exception, elapsed: float, open_timeout: float, address: Address) -> Trouble:
    for kinds, why in _PLAIN:
        if isinstance(error, kinds):
            return why
    if isinstance(error, OSError) and error.errno in _NO_ROUTE:
        return UNREACHABLE
    if isinstance(error, OSError) and error.errno == errno.EPROTONOSUPPORT:
        return NO_SUCH_TRANSPORT
    unreachable = _knock(address)
    if unreachable is not None:
        return unreachable
    # A silent camera comes as InvalidData, PermissionError or ExitError: only the time taken tells.
    if elapsed >= 0.9 * open_timeout:
        return SILENT
    return HUNG_UP if isinstance(error, _HUNG_UP) else NOT_RTSP


def while_reading(
    error: Exception | None, silent_for: float, read_timeout: float, *, pictures: bool, seldom: bool
) -> Trouble:
    """Why a stream ended; ``error`` is None at its end."""
    if error is None or silent_for < 0.9 * read_timeout:
        return CLOSED
    if not pictures:
        return NO_PICTURES
    return SELDOM if seldom else FROZE


def _knock(address: Address) -> Trouble | None:
    try:
        socket.create_connection((address.host, address.port), PROBE_TIMEOUT).close()
    except socket.gaierror:
        return UNKNOWN_NAME
    except ConnectionRefusedError:
        return REFUSED
    except OSError:
        return UNREACHABLE
    return None
