"""An RTSP camera: connected all the time or at each look, and decodes the next key frame when somebody looks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, ClassVar

from agent.plugin import CameraState, Context, Frame, FrameUnavailable, Pixels, Source
from plugins.sources.rtsp import trouble
from plugins.sources.rtsp.address import Address
from plugins.sources.rtsp.codec import Damaged
from plugins.sources.rtsp.config import RtspConfig
from plugins.sources.rtsp.connection import Connection, Ending
from plugins.sources.rtsp.decode import decode_key_frame, decode_newest, to_pixels
from plugins.sources.rtsp.health import trouble_of, why_no_picture
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
        self._told: tuple[CameraState, str] | None = None
        self._damaged = False
        """A look found only damaged pictures, and none has found a whole one since."""
        self._missed: Trouble | None = None
        """Why the last look had no picture."""
        self._wanted = asyncio.Event()
        """Somebody wants to be connected."""
        self._on_demand = config.connect == "on_demand"
        if not self._on_demand:
            self._wanted.set()

    # Staying connected

    async def run(self) -> None:
        try:
            while self._stuck < self.pace.most_stuck:
                self._down = None
                await self._wanted.wait()
                connection = self._connect()
                if await self._stays(connection) and (why := self._went_wrong(connection)) is not None:
                    await self._stay_away(connection, why)
        finally:
            await self._let_go()
        self._trouble = self._down = trouble.PARKED
        self._report(trouble.PARKED)
        self._give_up(trouble.PARKED)

    def _connect(self) -> Connection:
        connection = Connection(self.context.name, self._address, self.config.transport, self.pace, self._offer)
        self._connection = connection
        connection.start()
        self.log.debug("connecting to %s", self._address.place)
        return connection

    async def _stays(self, connection: Connection) -> bool:
        """From a session's beginning to its end; False if its thread hung and was abandoned."""
        while not connection.ended.done():
            self._tell_state(connection)
            news: set[asyncio.Future[Any]] = {connection.ended, *(() if connection.live.done() else (connection.live,))}
            glanced = time.monotonic()
            await asyncio.wait(news, timeout=self.pace.glance, return_when=asyncio.FIRST_COMPLETED)
            stood_still = time.monotonic() - glanced > self.pace.glance + self.pace.stuck / 2  # we, not the driver
            if connection.live.done():
                self._trouble = None
                self._stuck = 0
            hangs = not connection.resolving and time.monotonic() - connection.beat > self.pace.stuck
            if hangs and not stood_still and not connection.ended.done():
                connection.end()
                self._connection = None
                self._stuck += 1
                self.log.warning("the driver of %s hangs; abandoned it (%d)", self.context.name, self._stuck)
                return False
        return True

    def _went_wrong(self, connection: Connection) -> Ending | None:
        """Why the session is over, or None: a look had what it wanted and hung up."""
        ending = connection.ended.result()
        self._connection = None
        if not (ending.opened and connection.ending):
            return ending
        if self._missed is not None:
            return Ending(self._missed, opened=True)
        self._failures = 0
        return None

    async def _stay_away(self, connection: Connection, ending: Ending) -> None:
        why = ending.trouble
        proven = connection.live_since is not None and time.monotonic() - connection.live_since > self.pace.proven
        self._failures = 1 if proven else self._failures + 1
        pause = self.pace.pause(self._failures, refused=why.refused)
        self._again_at = time.monotonic() + pause
        self._trouble = why
        self.log.debug("%s %s", self._sentence(why), why.detail)
        self._report(why)
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
        """Nothing until it is known: what was wrong stays wrong until the camera is live again."""
        if connection.ending:
            return  # nobody wants more of it: what the look said is what there is to say
        now = time.monotonic()
        if connection.opened_at is None:
            if connection.resolving and now - connection.began > self.pace.quiet:
                self._report(trouble.NO_NAME_SERVER)
            elif self._told is None:
                self._tell(CameraState.CONNECTING, "")
        elif why := trouble_of(connection, self.pace, now):
            self._report(why)
        elif connection.last_key is not None and connection.last_fresh is not None:
            self._report(trouble.DAMAGED if self._damaged else None)

    def _report(self, why: Trouble | None) -> None:
        if why is None:
            self._tell(CameraState.LIVE, "")
        else:
            self._tell(why.state, f"{self._told_of(why)}.")

    def _tell(self, state: CameraState, sentence: str) -> None:
        if (state, sentence) != self._told:
            self._told = (state, sentence)
            self.context.report(state, sentence)

    def _told_of(self, why: Trouble, more: str = "") -> str:
        text = f"The camera at {self._address.place} {why.what}{more}"
        return f"{text}; {why.advice.format(key=f'cameras.{self.context.name}.source')}" if why.advice else text

    def _sentence(self, why: Trouble, *, more: str = "") -> str:
        text = self._told_of(why, more)
        pause = ceil(self._again_at - time.monotonic())
        if self._connection is None and why is not trouble.PARKED:
            if not self._on_demand:
                text += f"; camscribe tries again in {max(1, pause)} s"
            elif pause > 0:
                text += f"; camscribe tries again at the first look in {pause} s or later"
        return f"{text}."

    # Looking

    async def take(self, timeout: float) -> Frame:
        now = time.monotonic()
        look = _Look(now, now + timeout)
        self._missed = None
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout):
                frame = await self._seen(look)
        except TimeoutError:
            why = self._missed = self._why_not(look, timeout)
            if self._on_demand:
                self._report(why)
            raise FrameUnavailable(why.kind, self._sentence(why, more=f" (within {timeout:g} s)")) from None
        finally:
            self._hang_up()
        self._damaged = False
        if self._on_demand:
            self._trouble = None
            self._report(None)
        elif self._connection is not None:  # else it broke meanwhile, and that is said already
            self._tell_state(self._connection)
        return frame

    def _hang_up(self) -> None:
        if self._on_demand:
            self._wanted.clear()
            if self._connection is not None:
                self._connection.end()

    async def _seen(self, look: _Look) -> Frame:
        while True:
            group, coded = await self._next(look)
            connection = self._connection
            try:
                frame, shown = await self._develop(group, coded)
            except Damaged:
                look.damaged += 1
                continue
            lag = shown.lag
            if connection is not None and shown.arrived - (connection.hurried or 0.0) < self.pace.settle:
                await asyncio.sleep(shown.arrived + self.pace.settle - time.monotonic())
                lag = connection.meter.in_hindsight(shown)
            if frame.taken.monotonic >= look.began and lag <= self.pace.most_lag:
                return frame

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

    async def _develop(self, group: Group, coded: Coded) -> tuple[Frame, Coded]:
        unwanted = threading.Event()
        if coded is group.key:
            work = partial(_develop_key_frame, group, self.context.long_edge)
        else:
            work = partial(_develop_newest, group, self.context.long_edge, unwanted.is_set)
        try:
            pixels, shown = await in_thread(f"decode {self.context.name}", work)
        finally:
            unwanted.set()
        behind = shown.arrived - group.key.arrived
        how = "key frame" if shown is group.key else f"{behind:.1f} s after a key frame"
        return Frame(self.context.name, pixels, shown.taken, how), shown

    def _why_not(self, look: _Look, timeout: float) -> Trouble:
        """Why there was no picture by the deadline."""
        connection, now = self._connection, time.monotonic()
        if look.damaged or (connection is not None and connection.damaged_since is not None):
            self._damaged = True
            return trouble.DAMAGED
        if connection is not None and connection.resolving:
            return trouble.NO_NAME_SERVER
        if connection is None or connection.opened_at is None:
            return self._trouble or trouble.NO_ANSWER
        return why_no_picture(connection, self.pace, now, timeout)


def _develop_key_frame(group: Group, long_edge: int) -> tuple[Pixels, Coded]:
    frame, shape = decode_key_frame(group)
    return to_pixels(frame, shape, long_edge), group.key


def _develop_newest(group: Group, long_edge: int, unwanted: Callable[[], bool]) -> tuple[Pixels, Coded]:
    frame, shape, coded = decode_newest(group, unwanted)
    return to_pixels(frame, shape, long_edge), coded
