"""Frames on their way to a captioner: the freshest of each camera, cameras in turn, asked-for ones first."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from agent.camera import Camera, Look
from agent.status import Counters
from agent.values import Frame


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame and the look it was taken for."""

    camera: Camera
    look: Look
    frame: Frame
    handed_over: float
    """Monotonic seconds at which the source gave the frame."""


class FrameQueue:
    """Holds one scheduled frame a camera, and every frame somebody asked for (the cameras bound those).

    Overload has one rule: a scheduled frame that waits is replaced by the camera's next one, and counted. It keeps its
    place in the line, so a camera that looks often can't push the others back.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._scheduled: dict[str, Waiting] = {}
        self._asked: deque[Waiting] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._scheduled) + len(self._asked)

    def put(self, waiting: Waiting) -> None:
        if waiting.look.answer is not None:
            self._asked.append(waiting)
        else:
            if waiting.camera.id in self._scheduled:
                self._counters.add("frames_dropped_total", reason="overtaken", camera=waiting.camera.id)
            self._scheduled[waiting.camera.id] = waiting
        self._filled.set()

    async def wait(self) -> None:
        """Returns once something waits."""
        await self._filled.wait()

    def pop(self) -> Waiting | None:
        """The next in turn, or None."""
        if self._asked:
            waiting = self._asked.popleft()
        elif self._scheduled:
            waiting = self._scheduled.pop(next(iter(self._scheduled)))
        else:
            return None
        if not self:
            self._filled.clear()
        return waiting

    def remove(self, camera: str) -> None:
        """Forget the scheduled frame of a camera that has been switched off."""
        if self._scheduled.pop(camera, None) and not self:
            self._filled.clear()
