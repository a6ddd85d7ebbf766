"""What FFmpeg says of packets that never came and pictures it could not decode. It says so only in its log.

Its RTP demuxer knows every gap in the sequence numbers and hands out what is left as if it were whole; its decoders
conceal damage and flag part of it. So this listens to the log in the threads that demux and decode, keeps nothing of a
line but whether it tells of damage (a line may hold a URL), and lets none through to Python's own logging.

Each line comes in the thread that makes FFmpeg say it, in the middle of the call: cameras can't hear each other. PyAV
takes the GIL for it, which is harmless with decoders of one thread and containers that are closed without it, as ours.
"""

from __future__ import annotations

import logging
import re
import threading
from types import TracebackType
from typing import Self

import av.logging

_LOST = re.compile(r"RTP: missed|bad cseq|nal size exceeds length|Consumed more bytes|Too short|Undefined type")
_here = threading.local()


class Ear:
    """Hears, in the thread that enters it, lines that match ``sign``; a plain flag, however many lines come."""

    def __init__(self, sign: re.Pattern[str]) -> None:
        self._sign = sign
        self._heard = False

    def __enter__(self) -> Self:
        _listen()
        self._before: Ear | None = getattr(_here, "ear", None)
        _here.ear = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _here.ear = self._before

    def hear(self, line: str) -> None:
        if not self._heard and self._sign.search(line):
            self._heard = True

    def heard(self) -> bool:
        """Since it was last asked."""
        heard, self._heard = self._heard, False
        return heard


class LossWatch(Ear):
    """Packets of a stream that were lost, in the thread that opens and demuxes it.

    FFmpeg hands out a picture when the first packet of the next one comes. So packets missed since the last picture was
    handed out are from the middle or the end of the one handed out now, or from the beginning of the next.
    """

    def __init__(self) -> None:
        super().__init__(_LOST)
        self._lost_before = False

    def hurt(self) -> bool:
        """Whether the picture handed out just now may lack packets. To be asked once for each picture."""
        before, self._lost_before = self._lost_before, self.heard()
        return before or self._lost_before


class _Switchboard(logging.Handler):
    """Hands each line to the ear of its thread, without a lock and without keeping it."""

    def handle(self, record: logging.LogRecord) -> bool:
        ear: Ear | None = getattr(_here, "ear", None)
        if ear is not None:
            ear.hear(str(record.msg))
        return True


_switchboard = _Switchboard()


def _listen() -> None:
    """Make FFmpeg talk to us and to nobody else, whatever was set meanwhile."""
    log = logging.getLogger("libav")
    log.disabled = log.propagate = False
    log.handlers[:] = [_switchboard]
    log.setLevel(logging.WARNING)
    av.logging.set_skip_repeated(False)  # "RTP: missed 1 packets" is news every time, and for every camera
    if av.logging.get_level() != av.logging.WARNING:
        av.logging.set_level(av.logging.WARNING)
