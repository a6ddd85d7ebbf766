"""A USB camera: a process of its own keeps it open, and hands out the next picture when somebody looks."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from agent.plugin import CameraState, Context, Frame, FrameUnavailable, Moment, Pixels, Source
from plugins.sources.jpeg import Damaged
from plugins.sources.threads import in_thread
from plugins.sources.usb import mac, nodes, trouble
from plugins.sources.usb.capture import Wishes
from plugins.sources.usb.config import UsbConfig
from plugins.sources.usb.nodes import Places
from plugins.sources.usb.pace import Pace
from plugins.sources.usb.picture import decode
from plugins.sources.usb.process import Message, Process
from plugins.sources.usb.trouble import Failed, sentence


class _Look:
    """One call of ``take``: the owner of the process answers it."""

    def __init__(self, timeout: float) -> None:
        self.began = time.monotonic()
        self.deadline = self.began + timeout
        self.answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.retried = False
        self.damaged = 0

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    def settle(self, frame: Frame) -> None:
        if not self.answer.done():
            self.answer.set_result(frame)

    def refuse(self, error: FrameUnavailable) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class UsbSource(Source[UsbConfig]):
    schemes = ("usb",)
    pace: ClassVar[Pace] = Pace()
    places: ClassVar[Places] = Places()
    command: ClassVar[tuple[str, ...]] = (sys.executable, "-P", "-m", "plugins.sources.usb.child")

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        """``usb:`` and the camera's number, path, or name in /dev/v4l/by-id."""
        return {"device": text.removeprefix("usb:")}

    @classmethod
    def attached(cls) -> Mapping[str, str]:
        if sys.platform == "darwin":
            return {f"usb:{number}": name for number, name in enumerate(mac.cameras())}
        return {f"usb:{device}": name for device, name in nodes.cameras(cls.places).items()}

    def attached_as(self) -> str | None:
        if sys.platform == "darwin":
            return f"usb:{self.config.device}"
        mine = self.config.on_linux(self.places.dev).resolve()
        return next((text for text in self.attached() if _resolved(text) == mine), None)

    def __init__(self, config: UsbConfig, context: Context) -> None:
        super().__init__(config, context)
        self._look: _Look | None = None
        self._looked_for = asyncio.Event()
        self._down: Failed | None = None
        """The camera could not be had, and it is not yet time to try again."""
        self._again_at = 0.0
        self._last: Failed | None = None
        """What went wrong last; None once it works again."""
        self._failures = 0
        self._seen = False
        """It worked once: from then on it is not missing, but gone."""
        self._told: tuple[CameraState, str] | None = None

    # Keeping the process

    async def run(self) -> None:
        if self.config.connect == "always":
            self._report(CameraState.CONNECTING, "")
        while True:
            if self.config.connect == "on_demand":
                await self._wanted()
            self._down = None
            began = time.monotonic()
            failed = await self._session()
            if failed is not None:
                await self._stay_away(failed, time.monotonic() - began)

    async def _session(self) -> Failed | None:
        """One process from its start to its end; None where it did what it was there for."""
        pace = self.pace
        process = await Process.start(self.command, self._wishes(), pace.grace, self.log)
        try:
            await process.opened(pace.open_timeout)
            self._live()
            while self.config.connect == "always" or self._look is not None:
                await self._wanted(process)
                await self._serve(process)
        except Failed as failed:
            return failed
        else:
            return None
        finally:
            await process.stop()

    async def _wanted(self, process: Process | None = None) -> None:
        """Until somebody looks. Raises Failed: the process ended meanwhile."""
        if self._look is not None:
            return
        self._looked_for.clear()
        asked = asyncio.ensure_future(self._looked_for.wait())
        news: set[asyncio.Future[Any]] = {asked} if process is None else {asked, process.over}
        try:
            await asyncio.wait(news, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if process is not None and process.over.done():
            raise process.over.result()

    async def _serve(self, process: Process) -> None:
        look = self._look
        if look is None:
            return
        # Where the process hangs, time is left for another one; but no look is so short that it kills a healthy one.
        patience = max(min(self.pace.hung, look.left / 2), self.pace.stalled + 1.0)
        message = await process.look(look.began, patience)
        try:
            look.settle(await self._frame(message, look))
        except Damaged:
            look.damaged += 1
            self._report(CameraState.DAMAGED, sentence(self.config.place, Failed(trouble.DAMAGED)))
        else:
            self._answered(look)
            self._live()

    async def _stay_away(self, failed: Failed, lasted: float) -> None:
        pace = self.pace
        if failed.why is trouble.MISSING and self._seen:
            failed = Failed(trouble.UNPLUGGED)
        self._last = failed
        self._failures = 1 if lasted > pace.proven else self._failures + 1
        look = self._look
        if failed.why.passing and look is not None and not look.retried and look.left > 0:
            look.retried = True
            return
        pause = pace.pause(self._failures)
        self._again_at = time.monotonic() + pause
        self.log.debug("%s", self._sentence(failed))
        self._report(failed.why.state, self._sentence(failed))
        if look is not None:
            look.refuse(FrameUnavailable(failed.why.kind, self._sentence(failed)))
            self._answered(look)
        if self.config.connect == "on_demand":
            return
        self._down = failed
        if failed.why.absent and sys.platform != "darwin":
            await self._until_there(pause)
        else:
            await asyncio.sleep(pause)

    async def _until_there(self, pause: float) -> None:
        path = self.config.on_linux(self.places.dev)
        while not await in_thread(f"look for {self.context.name}", path.exists):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(self.pace.glance)
        if self._failures > 1:  # its node is there, and did not help
            await asyncio.sleep(pause)

    def _wishes(self) -> Wishes:
        config, pace, places = self.config, self.pace, self.places
        return Wishes(
            device=config.device if sys.platform == "darwin" else str(config.on_linux(places.dev)),
            long_edge=self.context.long_edge,
            width=config.width,
            height=config.height,
            fps=config.fps,
            mjpeg=config.format == "mjpeg",
            settle=pace.settle,
            stalled=pace.stalled,
            dev=str(places.dev),
            sys=str(places.sys),
            proc=str(places.proc),
        )

    # Telling

    def _live(self) -> None:
        self._seen = True
        self._last = None
        self._report(CameraState.LIVE, "")

    def _report(self, state: CameraState, text: str) -> None:
        if (state, text) != self._told:
            self._told = (state, text)
            self.context.report(state, text)

    def _sentence(self, failed: Failed, more: str = "") -> str:
        again = ""
        if failed.why.absent:
            again = "; camscribe goes on by itself then"
        elif self.config.connect == "always":
            again = f"; camscribe tries again in {max(1, ceil(self._again_at - time.monotonic()))} s"
        return sentence(self.config.place, failed, more=more, again=again)

    # Looking

    async def take(self, timeout: float) -> Frame:
        if self._down is not None:
            raise FrameUnavailable(self._down.why.kind, self._sentence(self._down))
        look = self._look = _Look(timeout)
        self._looked_for.set()
        try:
            async with asyncio.timeout(timeout):
                return await look.answer
        except TimeoutError:
            raise self._why_not(look, timeout) from None
        finally:
            self._answered(look)

    def _answered(self, look: _Look) -> None:
        if self._look is look:  # else the next one is waiting already
            self._look = None

    def _why_not(self, look: _Look, timeout: float) -> FrameUnavailable:
        failed = self._last or Failed(trouble.SLOW if self._told != (CameraState.LIVE, "") else trouble.STALLED)
        if look.damaged:
            failed = Failed(trouble.DAMAGED)
        text = sentence(self.config.place, failed, more=f" (within {timeout:g} s)")
        return FrameUnavailable(failed.why.kind, text)

    async def _frame(self, message: Message, look: _Look) -> Frame:
        now = Moment.now()
        try:
            taken = float(message.header["taken"])
            if not look.began <= taken <= now.monotonic:
                raise Failed(trouble.GARBLED)
            pixels = await self._pixels(message)
        except (KeyError, TypeError, ValueError) as error:
            raise Failed(trouble.GARBLED) from error
        return Frame(self.context.name, pixels, now.plus(taken - now.monotonic), "next picture")

    async def _pixels(self, message: Message) -> Pixels:
        header, body, long_edge = message.header, message.body, self.context.long_edge
        if header["form"] == "jpeg":
            return await in_thread(f"decode {self.context.name}", lambda: decode(body, long_edge))
        return np.frombuffer(body, np.uint8).reshape(int(header["height"]), int(header["width"]), 3)


def _resolved(text: str) -> Path:
    return Path(text.removeprefix("usb:")).resolve()
