"""An RTSP camera: stays connected, and decodes the next key frame when somebody looks."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, ClassVar

from agent.plugin import CameraState, Context, Failure, Frame, FrameUnavailable, Pixels, Source
from plugins.sources.rtsp import trouble
from plugins.sources.rtsp.address import Address
from plugins.sources.rtsp.config import RtspConfig
from plugins.sources.rtsp.connection import Connection, Ending
from plugins.sources.rtsp.decode import Damaged, GroupDecoder, decode_key_frame, to_pixels
from plugins.sources.rtsp.pace import Pace
from plugins.sources.rtsp.packets import Coded, Group
from plugins.sources.rtsp.trouble import Trouble
from plugins.sources.rtsp.wish import Wish
from plugins.sources.threads import in_thread


@dataclass(slots=True)
class _Look:
    """One call of ``take``."""

    began: float
    deadline: float
    damaged: int = 0


class RtspSource(Source[RtspConfig]):
    schemes = ("rtsp", "rtsps")
    pace: ClassVar[Pace] = Pace()

    def __init__(self, config: RtspConfig, context: Context) -> None:
        super().__init__(config, context)
        self._address: Address = config.address
        self._connection: Connection | None = None
        self._wish: Wish | None = None
        self._trouble: Trouble | None = None
        """What went wrong last; None once the camera is live again."""
        self._down: Trouble | None = None
        """The stream could not be had, and it is not yet time to try again."""
        self._again_at = 0.0
        self._failures = 0
        self._stuck = 0
        self._decoder: GroupDecoder | None = None
        self._told: tuple[CameraState, str] | None = None

    # Staying connected

    async def run(self) -> None:
        try:
            while self._stuck < self.pace.most_stuck:
                self._down = None
                ending = await self._connect()
                if ending is not None:
                    await self._stay_away(ending)
        finally:
            await self._let_go()
        self._trouble = self._down = trouble.PARKED
        self._report(CameraState.PARKED, self._sentence(trouble.PARKED))
        self._give_up(trouble.PARKED)

    async def _connect(self) -> Ending | None:
        """One session from its beginning to its end; None if its thread hung and was abandoned."""
        connection = Connection(self.context.name, self._address, self.config.transport, self.pace, self._offer)
        self._connection = connection
        connection.start()
        self.log.debug("connecting to %s", self._address.place)
        while not connection.ended.done():
            self._tell_state(connection)
            news: set[asyncio.Future[Any]] = {connection.ended, *(() if connection.live.done() else (connection.live,))}
            await asyncio.wait(news, timeout=self.pace.glance, return_when=asyncio.FIRST_COMPLETED)
            if connection.live.done():
                self._trouble = None
                self._stuck = 0
            if not connection.ended.done() and time.monotonic() - connection.beat > self.pace.stuck:
                connection.end()
                self._stuck += 1
                self.log.warning("the driver of %s hangs; abandoned it (%d)", self.context.name, self._stuck)
                return None
        return connection.ended.result()

    async def _stay_away(self, ending: Ending) -> None:
        connection, why = self._connection, ending.trouble
        assert connection is not None
        proven = connection.live_since is not None and time.monotonic() - connection.live_since > self.pace.proven
        self._failures = 1 if proven else self._failures + 1
        pause = self.pace.pause(self._failures, refused=why.refused)
        self._again_at = time.monotonic() + pause
        self._connection = self._decoder = None
        self._trouble = why
        self.log.debug("%s %s", self._sentence(why), why.detail)
        self._report(why.state if why.state is not CameraState.LIVE else CameraState.CONNECTING, self._sentence(why))
        if not ending.opened:
            self._down = why
            self._give_up(why)
        await asyncio.sleep(pause)

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end()
            await asyncio.wait({connection.ended}, timeout=self.pace.farewell)

    # Telling

    def _tell_state(self, connection: Connection) -> None:
        now = time.monotonic()
        if connection.opened_at is None:
            if self._trouble is None:
                self._report(CameraState.CONNECTING, "")
        elif now - (connection.last_fresh or connection.opened_at) > self.pace.quiet:
            self._report(CameraState.SILENT, self._sentence(self._quiet(connection)))
        elif self._without_keys(connection, now):
            self._report(CameraState.NO_KEY_FRAMES, self._sentence(trouble.NO_KEY_FRAMES))
        elif connection.last_key is not None:
            self._report(CameraState.LIVE, "")

    def _quiet(self, connection: Connection) -> Trouble:
        """Why nothing fresh comes. One late picture is what FFmpeg held back when the stream froze, and no lag."""
        if connection.last_picture is None or connection.last_fresh is None:
            return trouble.NO_PICTURES
        late = connection.last_picture - (connection.lagging_since or connection.last_picture)
        return trouble.LAGGING if late > self.pace.quiet / 2 else trouble.FROZE

    def _without_keys(self, connection: Connection, now: float) -> bool:
        since = connection.last_key or connection.opened_at or now
        return now - since > max(self.pace.no_key_frame / 2, 2 * (connection.keys.seconds or 0.0))

    def _report(self, state: CameraState, sentence: str) -> None:
        if (state, sentence) != self._told:
            self._told = (state, sentence)
            self.context.report(state, sentence)

    def _sentence(self, why: Trouble, *, more: str = "") -> str:
        text = f"The camera at {self._address.place} {why.what}{more}"
        if why.advice:
            text += f"; {why.advice.format(key=f'cameras.{self.context.name}.source')}"
        if self._connection is None and why is not trouble.PARKED:
            text += f"; camscribe tries again in {max(1, ceil(self._again_at - time.monotonic()))} s"
        return text + "."

    # Looking

    async def take(self, timeout: float) -> Frame:
        now = time.monotonic()
        look = _Look(now, now + timeout)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    group, coded = await self._next(look)
                    try:
                        frame, lag = await self._develop(group, coded)
                    except Damaged:
                        look.damaged += 1
                        continue
                    if frame.taken.monotonic >= look.began and lag <= self.pace.most_lag:
                        return frame
        except TimeoutError:
            raise self._why_not(look, timeout) from None

    async def _next(self, look: _Look) -> tuple[Group, Coded]:
        """A picture that came after the look began: a key frame if one comes soon, else any that can be decoded."""
        if self._down is not None:
            raise FrameUnavailable(self._down.kind, self._sentence(self._down))
        patience = min(self._patience(), (look.deadline - time.monotonic()) / 2)
        if patience > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    return await self._granted(Wish(look.began, key_frame=True))
        return await self._granted(Wish(look.began, key_frame=False))

    def _patience(self) -> float:
        """How long to wait for a key frame: not at all where none is due in time."""
        connection = self._connection
        due = connection.keys.due_in(time.monotonic()) if connection is not None else None
        return 0.0 if due is not None and due > self.pace.patience else self.pace.patience

    async def _granted(self, wish: Wish) -> tuple[Group, Coded]:
        self._wish = wish
        try:
            return await wish.granted
        finally:
            self._wish = None

    def _offer(self, connection: Connection, group: Group, coded: Coded) -> None:
        """In the connection's thread, for every picture."""
        wish = self._wish
        if wish is not None and connection is self._connection:
            wish.offer(group, coded)

    def _give_up(self, why: Trouble) -> None:
        if self._wish is not None:
            self._wish.refuse(FrameUnavailable(why.kind, self._sentence(why)))

    async def _develop(self, group: Group, coded: Coded) -> tuple[Frame, float]:
        decoder, self._decoder = self._decoder, None  # owned by the thread until it is done
        if coded is group.key:
            work = partial(_develop_key_frame, group, self.context.long_edge)
        else:
            if decoder is None or decoder.group is not group:
                decoder = GroupDecoder(group)
            work = partial(_develop_newest, decoder, self.context.long_edge)
        pixels, shown, decoder = await in_thread(f"decode {self.context.name}", work)
        self._decoder = decoder
        behind = shown.arrived - group.key.arrived
        how = f"{behind:.1f} s after a key frame" if decoder else "key frame"
        return Frame(self.context.name, pixels, shown.taken, how), shown.lag

    def _why_not(self, look: _Look, timeout: float) -> FrameUnavailable:
        """Why there was no picture by the deadline."""
        connection, now = self._connection, time.monotonic()
        if look.damaged:
            text = f"The camera at {self._address.place} sent only damaged pictures in {timeout:g} s; check its network"
            return FrameUnavailable(Failure.DAMAGED, f"{text}, and use transport: tcp.")
        if connection is None or connection.opened_at is None:
            why = self._trouble or trouble.SILENT
        elif connection.last_fresh is None or now - connection.last_fresh > min(self.pace.quiet, timeout / 2):
            why = self._quiet(connection)
        else:
            why = trouble.NO_KEY_FRAMES if connection.last_key is None else trouble.NO_KEY_FRAME_IN_TIME
        return FrameUnavailable(why.kind, self._sentence(why, more=f" (within {timeout:g} s)"))


def _develop_key_frame(group: Group, long_edge: int) -> tuple[Pixels, Coded, GroupDecoder | None]:
    frame, shape = decode_key_frame(group)
    return to_pixels(frame, shape, long_edge), group.key, None


def _develop_newest(decoder: GroupDecoder, long_edge: int) -> tuple[Pixels, Coded, GroupDecoder | None]:
    frame, shape, coded = decoder.newest()
    return to_pixels(frame, shape, long_edge), coded, decoder
