"""Frames on their way to a captioner: the freshest of each camera, cameras in turn, asked-for ones first, and pictures
that visitors bring along between them."""

from __future__ import annotations

import asyncio
from bisect import insort
from dataclasses import dataclass, replace

from agent.camera import Camera, Look
from agent.errors import CaptionUnavailable
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
    captioner: str
    """Whose turn it is."""
    failures: tuple[tuple[str, CaptionUnavailable], ...] = ()
    """The captioners that could not, and why."""


class FrameQueue:
    """Holds one scheduled frame a camera, and every frame somebody asked for or brought along (they bound those).

    Overload has one rule: a scheduled frame that waits is replaced by the camera's next one, and counted. It keeps its
    place in the line, so a camera that looks often can't push the others back. All captioners share the line, each
    takes what is meant for it: no older frame of a camera waits at one while a fresher one passes at another.

    After a visitor's picture it is a camera's turn: who sends without a pause takes every second turn at most.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._scheduled: dict[str, Waiting] = {}
        self._asked: list[Waiting] = []
        self._brought: list[Waiting] = []
        """By visitors: looks that are not kept."""
        self._owing: set[str] = set()
        """Captioners whose last one was a visitor's."""
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._scheduled) + len(self._asked) + len(self._brought)

    def put(self, waiting: Waiting) -> None:
        """A new frame."""
        id_ = waiting.camera.id
        if not waiting.look.kept:
            self._brought.append(waiting)
        elif waiting.look.answer is not None:
            self._ask(waiting)
        elif before := self._scheduled.get(id_):
            self._dropped(id_, "overtaken")
            self._scheduled[id_] = replace(waiting, captioner=before.captioner, failures=before.failures)
        else:
            self._scheduled[id_] = waiting
        self._tell()

    def pass_on(self, waiting: Waiting) -> None:
        """To another captioner, after one could not. A fresher frame that came meanwhile goes there in its stead."""
        id_ = waiting.camera.id
        if waiting.look.answer is not None:
            self._ask(waiting)
        elif fresher := self._scheduled.get(id_):
            self._dropped(id_, "overtaken")
            self._scheduled[id_] = replace(fresher, captioner=waiting.captioner, failures=waiting.failures)
        else:
            self._scheduled[id_] = waiting
        self._tell()

    async def wait(self, captioner: str) -> None:
        """Returns once something waits for this captioner."""
        while self._first(captioner) is None:
            await self._news.wait()

    def pop(self, captioner: str) -> Waiting | None:
        """The next in turn for this captioner, or None."""
        waiting = self._first(captioner)
        if waiting is None:
            return None
        if not waiting.look.kept:
            self._brought.remove(waiting)
            self._owing.add(captioner)
        elif waiting.look.answer is not None:
            self._asked.remove(waiting)
        else:
            del self._scheduled[waiting.camera.id]
            self._owing.discard(captioner)
        return waiting

    def withdraw(self, look: Look) -> None:
        """The visitor has gone."""
        for waiting in [each for each in self._brought if each.look is look]:
            self._brought.remove(waiting)
            self._dropped(waiting.camera.id, "abandoned")

    def move(self, camera: str, captioner: str) -> None:
        """What waits of this camera waits for that captioner from now on."""
        self._asked = [_moved(each, captioner) if each.camera.id == camera else each for each in self._asked]
        if waiting := self._scheduled.get(camera):
            self._scheduled[camera] = _moved(waiting, captioner)
        self._tell()

    def remove(self, camera: str, reason: str) -> None:
        """Forget the scheduled frame of a camera that has been switched off."""
        if self._scheduled.pop(camera, None):
            self._dropped(camera, reason)

    def remove_all(self, camera: str, reason: str) -> list[Look]:
        """The asked-for ones too, of a camera that is no more; the looks for somebody to answer."""
        self.remove(camera, reason)
        looks = [each.look for each in self._asked if each.camera.id == camera]
        for _ in looks:
            self._dropped(camera, reason)
        self._asked = [each for each in self._asked if each.camera.id != camera]
        return looks

    def _ask(self, waiting: Waiting) -> None:
        """In the order they were asked in, with those that another captioner could not do: nobody waits for ever."""
        insort(self._asked, waiting, key=lambda each: each.look.began.monotonic)

    def _first(self, captioner: str) -> Waiting | None:
        turns = [self._brought, self._scheduled.values()]
        if captioner in self._owing:
            turns.reverse()
        lines = (self._asked, *turns)
        return next((each for line in lines for each in line if each.captioner == captioner), None)

    def _dropped(self, camera: str, reason: str) -> None:
        self._counters.add("frames_dropped_total", reason=reason, camera=camera)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _moved(waiting: Waiting, captioner: str) -> Waiting:
    return replace(waiting, captioner=captioner, failures=())
