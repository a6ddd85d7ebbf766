"""What a look waits for: made on the loop, met in the connection's thread."""

from __future__ import annotations

import asyncio

from agent.plugin import FrameUnavailable
from plugins.sources.rtsp.packets import Coded, Group
from plugins.sources.threads import hand_to


class Wish:
    """A picture whose first byte arrived after ``after`` (monotonic)."""

    def __init__(self, after: float, *, key_frame: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._after = after
        self._key_frame = key_frame
        self._met = False
        self.granted: asyncio.Future[tuple[Group, Coded]] = self._loop.create_future()

    def offer(self, group: Group, coded: Coded) -> None:
        """In the connection's thread."""
        if self._met or coded.taken.monotonic < self._after or (self._key_frame and coded is not group.key):
            return
        self._met = True
        hand_to(self._loop, self._grant, group, coded)

    def _grant(self, group: Group, coded: Coded) -> None:
        if not self.granted.done():
            self.granted.set_result((group, coded))

    def refuse(self, why: FrameUnavailable) -> None:
        """On the loop: there will be none."""
        if not self.granted.done():
            self.granted.set_exception(why)
