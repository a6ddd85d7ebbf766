"""An HTTP camera: asked for a picture at each look, or watched where it sends a stream of them."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import aclosing, suppress
from functools import partial
from typing import ClassVar

from agent.plugin import CameraState, Context, Frame, FrameUnavailable, Moment, Source
from plugins.sources.http import trouble
from plugins.sources.http.age import FRESH, Ages
from plugins.sources.http.beat import Beat
from plugins.sources.http.body import Body
from plugins.sources.http.client import Client
from plugins.sources.http.config import HttpConfig
from plugins.sources.http.kept import Kept, NoStream
from plugins.sources.http.login import Login
from plugins.sources.http.pace import Pace
from plugins.sources.http.parts import Part
from plugins.sources.http.progress import Progress
from plugins.sources.http.sameness import Sameness
from plugins.sources.http.sniff import is_stream
from plugins.sources.http.stream import Stream
from plugins.sources.http.trouble import Trouble, Troubled
from plugins.sources.still import NotAPicture, decode_still
from plugins.sources.threads import in_thread

MOST_ASKED = 4
"""Requests in one look, where the picture is an old one and the next may be younger."""
OLD = 5.0
"""Seconds; a picture that its server calls so old makes the camera count as behind."""


class HttpSource(Source[HttpConfig]):
    schemes = ("http", "https")
    pace: ClassVar[Pace] = Pace()

    def __init__(self, config: HttpConfig, context: Context) -> None:
        super().__init__(config, context)
        self._address = config.address
        self._client = Client(self._address, Login(config), config.tls)
        self._ages = Ages()
        self._sameness = Sameness()
        self._said_same = False
        self._kept: Kept | None = None
        self._keeps = config.connect == "always"
        """Until the camera turns out to give single pictures."""
        self._away: Trouble | None = None
        self._away_until = 0.0
        self._damaged = 0
        """Pictures of this look that could not be shown."""
        self._told: tuple[CameraState, str] | None = None

    async def run(self) -> None:
        if self.config.tls.insecure:
            self.log.warning("tls.insecure: anybody on the network can pose as the camera at %s.", self._address.place)
        if self._keeps:
            self._report(CameraState.CONNECTING, "")
            kept = self._keep()
            try:
                await kept.run()
            except NoStream as error:
                self._keeps = False
                kept.give_up(error)

    def _keep(self) -> Kept:
        """Whoever comes first makes it: a look may begin before ``run`` does."""
        if self._kept is None:
            self._kept = Kept(self._client, self.pace, self._stream_is)
        return self._kept

    # Looking

    async def take(self, timeout: float) -> Frame:
        if self._away is not None and time.monotonic() < self._away_until:
            raise self._unavailable(self._away)
        self._away = None
        self._damaged = 0
        progress = Progress()
        try:
            async with asyncio.timeout(timeout):
                frame = await self._look(progress)
        except Troubled as error:
            if error.why.stay_away:
                self._stay_away(error.why, error.why.stay_away)
            raise self._failed(error.why) from None
        except TimeoutError:
            progress = self._keep().progress if self._keeps else progress
            why = trouble.ONLY_DAMAGED if self._damaged else trouble.overdue(progress)
            raise self._failed(why, f" (within {timeout:g} s)") from None
        return frame

    async def _look(self, progress: Progress) -> Frame:
        if self._keeps:
            with suppress(NoStream):
                return await self._from_kept(self._keep())
        while True:
            beat = Beat(self.pace.standstill)
            beating = asyncio.create_task(beat.keep())
            try:
                frame = await self._asked(progress)
            finally:
                beating.cancel()
            if not beat.missed():
                return frame

    async def _asked(self, progress: Progress) -> Frame:
        self._ages.new_look()
        for asked in range(1, MOST_ASKED + self.config.discard + 1):
            if asked > 1:
                await asyncio.sleep(self.pace.again)
            async with self._client.ask(progress) as body:
                if await is_stream(body):
                    return await self._from_stream(body)
                data = await body.whole()
            if asked <= self.config.discard:
                continue
            age = self._ages.seconds(body.headers, data, body.began.monotonic)
            if age < FRESH or self._sameness.is_known(data):
                break
        if age == math.inf:
            self._ages.distrust_stamps()
            age = 0.0
        return await self._frame(data, body.began, age)

    async def _from_stream(self, body: Body) -> Frame:
        async with aclosing(Stream(body, self.pace, self.config.discard).parts()) as parts:
            async for part, fresh in parts:
                if fresh and (frame := await self._frame_of_part(part)):
                    return frame
        raise AssertionError("a stream ends with a reason")

    async def _from_kept(self, kept: Kept) -> Frame:
        while True:
            if frame := await self._frame_of_part(await kept.next()):
                return frame

    async def _frame_of_part(self, part: Part) -> Frame | None:
        """None: it is damaged, and the next may not be."""
        try:
            return await self._frame(part.data, part.began, None)
        except Troubled:
            self._damaged += 1
            return None

    async def _frame(self, data: bytes, began: Moment, age: float | None) -> Frame:
        """``age`` is None for a stream's picture."""
        try:
            pixels = await in_thread(f"decode {self.context.name}", partial(decode_still, data, self.context.long_edge))
        except NotAPicture as error:
            raise Troubled(trouble.not_shown(str(error))) from None
        self._tell_of(data, age or 0.0)
        how = "stream" if age is None else "snapshot" if age < FRESH else f"snapshot, {age:.0f} s old by its server"
        return Frame(self.context.name, pixels, began.plus(-(age or 0.0)), how)

    # Telling

    def _tell_of(self, data: bytes, age: float) -> None:
        same = self._sameness.seconds(data, time.monotonic())
        text = ""
        if same >= self.pace.same:
            text = (
                f"The camera at {self._address.place} has sent the very same picture for {same / 60:.0f} minutes; "
                "it may hang, or be replaced by a drawing."
            )
        if bool(text) != self._said_same:
            self._said_same = bool(text)
            self.log.warning("%s", text or f"The camera at {self._address.place} sends another picture again.")
        if age >= OLD:
            old = f"The camera at {self._address.place} hands out a picture that it calls {age:.0f} s old itself."
            self._report(CameraState.BEHIND, old)
        else:
            self._report(CameraState.LIVE, text)

    def _stream_is(self, why: Trouble | None, pause: float) -> None:
        """What the kept stream has to tell."""
        if why is None:
            self._away = None
            self._report(CameraState.LIVE, "")
        else:
            if pause:
                self._stay_away(why, pause)
            self._failed(why)

    def _stay_away(self, why: Trouble, pause: float) -> None:
        self._away, self._away_until = why, time.monotonic() + pause

    def _failed(self, why: Trouble, more: str = "") -> FrameUnavailable:
        error = self._unavailable(why, more)
        self._report(why.state, str(error))
        return error

    def _unavailable(self, why: Trouble, more: str = "") -> FrameUnavailable:
        text = f"The camera at {why.place or self._address.place} {why.what}{more}"
        if why.advice:
            text += f"; {why.advice.format(key=f'cameras.{self.context.name}.source')}"
        if self._away is not None:
            text += f"; camscribe tries again in {max(1, math.ceil(self._away_until - time.monotonic()))} s"
        return FrameUnavailable(why.kind, text + ".")

    def _report(self, state: CameraState, sentence: str) -> None:
        if (state, sentence) != self._told:
            self._told = (state, sentence)
            self.log.debug("%s: %s", state.value, sentence)
            self.context.report(state, sentence)
