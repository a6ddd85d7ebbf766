"""Overload: the freshest frame of each camera wins, cameras take turns, asked-for looks go first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np

from agent.camera import Look
from agent.queue import FrameQueue, Waiting
from agent.status import Counters
from agent.values import Frame, Moment

BLACK = np.zeros((2, 2, 3), np.uint8)


def waiting(camera: str, prompt: str = "scheduled", *, asked: bool = False, captioner: str = "default") -> Waiting:
    answer = asyncio.get_running_loop().create_future() if asked else None
    look = Look("manual" if asked else "schedule", prompt, Moment.now(), answer)
    return Waiting(SimpleNamespace(id=camera), look, Frame(camera, BLACK, Moment.now()), 0.0, captioner)


def order(queue: FrameQueue, captioner: str = "default") -> list[str]:
    popped = []
    while (item := queue.pop(captioner)) is not None:
        popped.append(f"{item.camera.id}:{item.look.prompt}")
    return popped


async def test_a_fresher_frame_takes_the_older_ones_place_and_the_loss_is_counted():
    counters = Counters()
    queue = FrameQueue(counters)
    for item in (waiting("a", "1"), waiting("b", "1"), waiting("a", "2"), waiting("a", "3")):
        queue.put(item)
    assert order(queue) == ["a:3", "b:1"]
    assert counters.value("frames_dropped_total", reason="overtaken", camera="a") == 2
    assert counters.value("frames_dropped_total", reason="overtaken", camera="b") == 0


async def test_a_busy_camera_does_not_push_the_others_back():
    queue = FrameQueue(Counters())
    for item in (waiting("busy", "1"), waiting("calm", "1")):
        queue.put(item)
    first = queue.pop("default")
    queue.put(waiting("busy", "2"))
    assert first.camera.id == "busy"
    assert order(queue) == ["calm:1", "busy:2"]


async def test_what_somebody_asked_for_goes_first_and_is_never_replaced():
    queue = FrameQueue(Counters())
    for item in (waiting("a", "1"), waiting("b", "asked 1", asked=True), waiting("b", "asked 2", asked=True)):
        queue.put(item)
    queue.put(waiting("b", "2"))
    assert order(queue) == ["b:asked 1", "b:asked 2", "a:1", "b:2"]


async def test_what_is_passed_on_keeps_the_place_that_its_asking_has():
    """Or looks that fail elsewhere all the time would go before one that waits here for ever."""
    queue = FrameQueue(Counters())
    first, second, third = (waiting("a", text, asked=True) for text in ("1", "2", "3"))
    queue.pass_on(first)
    queue.pass_on(second)
    queue.put(third)
    assert order(queue) == ["a:1", "a:2", "a:3"]


async def test_waiting_ends_when_a_frame_comes_and_not_before():
    queue = FrameQueue(Counters())
    wait = asyncio.create_task(queue.wait("default"))
    await asyncio.sleep(0)
    assert not wait.done()
    queue.put(waiting("a"))
    await asyncio.wait_for(wait, 1)
    queue.pop("default")
    again = asyncio.create_task(queue.wait("default"))
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


async def test_a_camera_that_is_switched_off_leaves_the_line():
    queue = FrameQueue(Counters())
    queue.put(waiting("a"))
    queue.put(waiting("b"))
    queue.remove("a", "switched_off")
    assert order(queue) == ["b:scheduled"]
    assert queue._counters.value("frames_dropped_total", reason="switched_off", camera="a") == 1
