"""One RTSP session in a thread of its own: it connects, takes the stream apart into coded pictures, and ends.

Nothing is decoded here. The thread may hang in native code for as long as FFmpeg's timeouts let it, so nobody waits for
it without a deadline, and nobody but itself closes its container: that crashes the process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import av
from av.container import InputContainer

from agent.plugin import Moment
from plugins.sources.rtsp import trouble
from plugins.sources.rtsp.address import Address
from plugins.sources.rtsp.codec import Codec
from plugins.sources.rtsp.decode import move_along
from plugins.sources.rtsp.loss import LossWatch
from plugins.sources.rtsp.pace import Pace
from plugins.sources.rtsp.packets import Coded, Group, KeyInterval, LagMeter
from plugins.sources.rtsp.parameters import ParameterSets
from plugins.sources.rtsp.resolve import unresolved
from plugins.sources.rtsp.trouble import Trouble
from plugins.sources.threads import hand_to

T = TypeVar("T")
HURRY = 0.02
"""Seconds by which a picture is less late than any before it, and more than the network's own unrest."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session is over."""

    trouble: Trouble
    opened: bool
    """The stream had been opened: it broke, rather than could not be had."""


class Connection:
    """Everything but ``start`` and ``end`` is written by the thread alone and may be read by anybody."""

    def __init__(
        self, name: str, address: Address, transport: str, pace: Pace, offer: Callable[[Connection, Group, Coded], None]
    ) -> None:
        self.group: Group | None = None
        self.keys = KeyInterval()
        self.meter = LagMeter()
        self.beat = self.began = time.monotonic()
        """The last sign of life."""
        self.resolving = False
        """The name is being looked up, which takes as long as it takes and is no hanging driver."""
        self.opened_at: float | None = None
        self.live_since: float | None = None
        """The first key frame came."""
        self.last_picture: float | None = None
        self.lagging_since: float | None = None
        self.last_fresh: float | None = None
        """The last picture that was not lagging."""
        self.last_key: float | None = None
        self.seldom = True
        """No two pictures came within the time that reading waits for one."""
        self.hurt = 0
        """Pictures that lack packets."""
        self.damaged_since: float | None = None
        """The first of the key frames that came damaged, with no whole one since."""
        self.interval = 0.0
        """Seconds between the last two of those."""
        self.hurried: float | None = None
        """When a picture last came faster than the camera's clock: a burst of old ones, or the first of all."""
        loop = asyncio.get_running_loop()
        self.live: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[Ending] = loop.create_future()
        self._loop = loop
        self._name, self._address, self._transport, self._pace, self._offer = name, address, transport, pace, offer
        self._ending = threading.Event()
        self._loss = LossWatch()

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"rtsp {self._name}", daemon=True).start()

    def end(self) -> None:
        """Ask the thread to close the session and end; it does so at the next picture, or when FFmpeg gives up."""
        self._ending.set()

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    def _run(self) -> None:
        try:
            with self._loss:
                ending = self._session()
        except BaseException as bug:  # noqa: BLE001 - it goes to the owner, who raises it
            hand_to(self._loop, _fail, self.ended, bug)
        else:
            hand_to(self._loop, _settle, self.ended, ending)

    def _session(self) -> Ending:
        unknown = self._resolve()
        if unknown is not None or self.ending:
            return Ending(unknown or trouble.NO_ANSWER, opened=False)
        began = Moment.now()
        try:
            container = self._open()
        except (av.FFmpegError, OSError) as error:
            self.beat = time.monotonic()
            why = trouble.while_opening(error, self.beat - began.monotonic, self._pace.open_timeout, self._address)
            return Ending(why.told(error), opened=False)
        try:
            video = next(iter(container.streams.video), None)
            if video is None:
                return Ending(trouble.NO_VIDEO, opened=False)
            context = cast("av.VideoCodecContext | None", video.codec_context)
            if context is None:
                return Ending(trouble.UNKNOWN_CODEC, opened=False)
            codec = Codec(context.name, context.extradata)
            self.beat = self.opened_at = time.monotonic()
            return Ending(self._demux(container, codec, began), opened=True)
        finally:
            container.close()

    def _resolve(self) -> Trouble | None:
        self.resolving = True
        unknown = unresolved(self._address)
        self.beat = time.monotonic()
        self.resolving = False
        return unknown

    def _open(self) -> InputContainer:
        options = {
            "rtsp_transport": self._transport,
            "allowed_media_types": "video",
            "probesize": "32",  # one picture: more probing costs seconds, and the key frame many cameras begin with
            "timeout": str(int(self._pace.open_timeout * 1e6)),
            "tls_verify": "0",  # cameras have no certificate but their own
        }
        if (
            self._transport == "tcp"
        ):  # else a gap goes untold; over udp it waits for stragglers by itself, 0.1 s at most
            options["reorder_queue_size"] = "2"
        timeout = (self._pace.open_timeout, self._pace.read_timeout)
        return av.open(self._address.url, options=options, timeout=timeout)

    def _demux(self, container: InputContainer, codec: Codec, before: Moment) -> Trouble:
        """``before``: the first picture may have come at any time since then, as opening waits for it."""
        error = None
        sets = ParameterSets(codec.name, codec.extradata)
        try:
            for packet in container.demux(video=0):
                if self.ending or not packet.size:
                    break
                now = Moment.now()
                if packet.is_keyframe or self.group is None:
                    sets.see(memoryview(packet))
                    codec = Codec(codec.name, sets.extradata)
                why = self._take_in(packet, codec, before, now.monotonic)
                if why is not None:
                    return why
                before = now  # FFmpeg hands out a picture when the next one's first packet comes
        except (av.FFmpegError, OSError) as failure:
            error = failure
        silent_for = time.monotonic() - self.beat
        why = trouble.while_reading(
            error,
            silent_for,
            self._pace.read_timeout,
            pictures=self.last_picture is not None,
            seldom=self.seldom,
        )
        return why.told(error) if error is not None else why

    def _take_in(self, packet: av.Packet[Any], codec: Codec, taken: Moment, arrived: float) -> Trouble | None:
        """Sort one picture in and offer it; the trouble that ends the session, if there is one."""
        before = self._note(arrived)
        clock = _clock(packet)
        if clock is None and self.hurried is None:
            clock = 0.0  # the first one has no timestamp, and FFmpeg counts from it
        best = self.meter.best
        coded = Coded(packet, taken, arrived, self.meter.measure(arrived, clock, arrived - taken.monotonic), clock)
        if self.hurried is None or self.meter.best < best - HURRY:
            self.hurried = arrived
        if packet.is_keyframe:
            self.group = Group(coded, codec)
            self.keys.key_at(arrived)
            self.last_key = arrived
            if self.live_since is None:
                self.live_since = arrived
                hand_to(self._loop, _settle, self.live, None)
        hurt = self._loss.hurt()
        self.hurt += hurt
        if self.group is not None and hurt:
            self.group.spoil()
        elif self.group is not None and not packet.is_keyframe:
            self.group.add(coded)  # and somebody may be decoding it already
            if self.group.full:
                move_along(self.group)
        if packet.is_keyframe and self.group is not None:
            self.damaged_since = None if self.group.whole else self.damaged_since or arrived
        if self.group is not None and self.group.whole and coded.lag <= self._pace.most_lag and not self.ending:
            self._offer(self, self.group, coded)
        return self._hopeless(coded, before)

    def _note(self, arrived: float) -> float | None:
        """A picture came; when the last one did, if it isn't the first."""
        before = self.last_picture
        self.beat = self.last_picture = arrived
        if before is not None and arrived - before < 0.9 * self._pace.read_timeout:
            self.seldom = False
        return before

    def _hopeless(self, coded: Coded, before: float | None) -> Trouble | None:
        """``before``: when the last picture came, if this isn't the first."""
        if coded.lag <= self._pace.most_lag:
            self.interval = coded.arrived - (self.last_fresh or before or coded.arrived)
            self.lagging_since, self.last_fresh = None, coded.arrived
        elif self.lagging_since is None:
            self.lagging_since = coded.arrived
        # How late the first one is says how long the camera took to begin, perhaps: only the next ones show a lag.
        if (coded.lag > self._pace.hopeless_lag and before is not None) or (
            self.lagging_since is not None and coded.arrived - self.lagging_since > self._pace.hopeless_lag
        ):
            return trouble.LAGGING
        if self.group is not None and self.group.whole:
            return None  # however long ago its key frame was, any picture can be shown
        since = self.last_key if self.last_key is not None else self.opened_at
        limit = max(self._pace.no_key_frame, 3 * (self.keys.seconds or 0.0))
        if since is not None and coded.arrived - since > limit:
            return trouble.NO_KEY_FRAMES
        return None


def _clock(packet: av.Packet[Any]) -> float | None:
    """The picture's time by the camera's clock, in seconds."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return float(stamp * packet.time_base) if stamp is not None and packet.time_base else None


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
