"""What an open connection shows of its camera at this moment. Read on the loop, written by the connection's thread."""

from __future__ import annotations

from plugins.sources.rtsp import trouble
from plugins.sources.rtsp.connection import Connection
from plugins.sources.rtsp.pace import Pace
from plugins.sources.rtsp.trouble import Trouble


def trouble_of(connection: Connection, pace: Pace, now: float) -> Trouble | None:
    """What is wrong with an open stream, or None: nothing that shows without decoding."""
    assert connection.opened_at is not None
    heard = connection.last_fresh or connection.live_since or connection.opened_at
    quiet = max(pace.quiet, 2.5 * connection.interval)
    if connection.seldom and connection.last_picture is not None:  # it may go on like that: the session's end will tell
        quiet = max(quiet, 2.1 * pace.read_timeout)
    if now - heard > quiet:
        return why_quiet(connection, pace)
    since = connection.last_key or connection.opened_at
    whole = connection.group is not None and connection.group.whole
    if not whole and now - since > max(pace.no_key_frame / 2, 2 * (connection.keys.seconds or 0.0)):
        return trouble.NO_KEY_FRAMES
    damaged = connection.damaged_since
    if damaged is not None and now - damaged > max(pace.quiet, 2 * (connection.keys.seconds or 0.0)):
        return trouble.DAMAGED
    return None


def why_quiet(connection: Connection, pace: Pace) -> Trouble:
    """Why nothing fresh comes. One late picture is what FFmpeg held back when the stream froze, and no lag."""
    if connection.last_picture is None:
        return trouble.NO_PICTURES
    if connection.seldom:
        return trouble.SELDOM
    if connection.last_fresh is None:
        return trouble.NO_PICTURES
    late = connection.last_picture - (connection.lagging_since or connection.last_picture)
    return trouble.LAGGING if late > pace.quiet / 2 else trouble.FROZE


def why_no_picture(connection: Connection, pace: Pace, now: float, timeout: float) -> Trouble:
    """Why a look at an open stream had to give up after ``timeout`` seconds."""
    if 2 * connection.interval > timeout:
        return trouble.TOO_FEW
    if connection.last_fresh is None or now - connection.last_fresh > min(pace.quiet, timeout / 2):
        return why_quiet(connection, pace)
    return trouble.NO_KEY_FRAMES if connection.last_key is None else trouble.NO_KEY_FRAME_IN_TIME
