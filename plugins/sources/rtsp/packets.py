"""Coded pictures as they arrive: the group that can be decoded, how often key frames come, how far the stream lags."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

from agent.plugin import Moment
from plugins.sources.rtsp.codec import Codec

if TYPE_CHECKING:
    from plugins.sources.rtsp.decode import GroupDecoder

MOST_BYTES = 24_000_000
MOST_PICTURES = 900
"""That wait to be decoded: 36 s at 25 a second."""
CREEP = 0.001
"""A camera's clock may run slow by this share without counting as lag; a real backlog grows much faster."""
LEAP = 5.0


@dataclass(frozen=True, slots=True)
class Coded:
    """One coded picture."""

    packet: av.Packet[Any]
    taken: Moment
    """Its first byte arrived."""
    arrived: float
    """It was whole; monotonic."""
    lag: float
    clock: float | None = None
    """The camera's, in seconds."""


class Group:
    """A key frame and the pictures that build on it. One thread adds, another decodes.

    ``whole`` turns False when a picture in it is damaged: nothing in it can be shown any more.
    """

    __slots__ = ("_added", "_taken", "_waiting", "codec", "decoder", "decoding", "key", "whole")

    def __init__(self, key: Coded, codec: Codec) -> None:
        self.key, self.codec = key, codec
        self.whole = not key.packet.is_corrupt
        self.decoding = threading.Lock()
        """Held by whoever calls ``next`` and feeds ``decoder``."""
        self.decoder: GroupDecoder | None = None
        self._waiting = deque([key])
        self._added, self._taken = key.packet.size, 0  # bytes; one thread each, so that neither needs a lock

    @property
    def full(self) -> bool:
        """More waits to be decoded than should be kept."""
        return self._added - self._taken > MOST_BYTES or len(self._waiting) > MOST_PICTURES

    def add(self, coded: Coded) -> None:
        if coded.packet.is_corrupt:
            self.spoil()
        if self.whole:
            self._waiting.append(coded)
            self._added += coded.packet.size

    def next(self) -> Coded | None:
        """Take the oldest picture that waits to be decoded."""
        try:
            coded = self._waiting.popleft()
        except IndexError:  # spoiled from the other thread, perhaps at this very moment
            return None
        self._taken += coded.packet.size
        return coded

    def spoil(self) -> None:
        self.whole = False
        self._waiting.clear()


class KeyInterval:
    """How far apart key frames are: the longest of the last few distances, as some cameras add extra ones."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._distances: deque[float] = deque(maxlen=3)

    def key_at(self, arrived: float) -> None:
        if self._last is not None:
            self._distances.append(arrived - self._last)
        self._last = arrived

    @property
    def seconds(self) -> float | None:
        return max(self._distances, default=None)

    def due_in(self, now: float) -> float | None:
        """Seconds until the next one, or None where that is not known."""
        if self._last is None or self.seconds is None:
            return None
        return self._last + self.seconds - now


class LagMeter:
    """How far pictures come behind the camera's own clock, against the best so far.

    A backlog (this process stood still, the network is too slow) shows as pictures that arrive later and later. A
    camera's clock that leaps (NTP) is not lag, nor is one that runs a little slow.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._best = 0.0
        self.lag = 0.0

    @property
    def best(self) -> float:
        """Arrival less timestamp of the picture that came with the least delay."""
        return self._best

    def in_hindsight(self, coded: Coded) -> float:
        """A server may begin with a burst of old pictures: only the later ones show how old the first were."""
        return coded.lag if coded.clock is None else max(coded.lag, coded.arrived - coded.clock - self._best)

    def measure(self, arrived: float, clock: float | None, held: float = 0.0) -> float:
        """``clock``: the picture's timestamp in seconds, where it has one; ``held``: how long it took to be whole."""
        if clock is None:  # held back until FFmpeg gave up waiting for the next one, perhaps
            return max(self.lag, held)
        if self._last is None:  # nothing to compare with: one that took long may be held back from a frozen stream
            self._best, self._last = arrived - clock, (arrived, clock)
            return held
        passed, ticked = arrived - self._last[0], clock - self._last[1]
        self._best += CREEP * passed
        if ticked < -1.0 or ticked > passed + LEAP:
            self._best = arrived - clock - self.lag
        self._best = min(self._best, arrived - clock)
        self._last = (arrived, clock)
        self.lag = arrived - clock - self._best
        return self.lag
