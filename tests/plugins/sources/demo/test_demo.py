"""The demo's camera."""

import asyncio
import logging
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agent.plugin import CameraState, Context, Moment
from plugins.sources.demo import DemoConfig, DemoSource
from plugins.sources.demo.scenes import caption


class HandClock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.moment = Moment.now()

    def __call__(self) -> Moment:
        return self.moment

    def pass_seconds(self, seconds: float) -> None:
        self.moment = self.moment.plus(seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def camera(clock, request):
    states: list[tuple[CameraState, str]] = []

    def make(**options) -> DemoSource:
        context = Context(
            "doorstep", logging.getLogger("test.demo"), Path(), Path(), report=lambda *state: states.append(state)
        )
        source = DemoSource(DemoConfig(**options), context, clock)
        request.addfinalizer(source._artist.shutdown)
        source.states = states
        return source

    return make


def _scenes(caplog) -> list[tuple[int, str]]:
    return [(record.scene, record.truth) for record in caplog.records if hasattr(record, "truth")]


async def test_a_frame_shows_the_scene_of_its_time(camera, clock):
    source = camera(seconds_a_scene=5)
    first = await source.take(1)
    clock.pass_seconds(4.9)
    assert (await source.take(1)).how == "scene 0"
    clock.pass_seconds(0.2)
    second = await source.take(1)
    assert (first.how, second.how) == ("scene 0", "scene 1")
    assert (first.camera, first.pixels.shape, first.pixels.dtype) == ("doorstep", (480, 640, 3), np.uint8)
    assert np.abs(first.pixels.astype(int) - second.pixels).mean() > 5
    clock.pass_seconds(500)
    assert (await source.take(1)).how == "scene 101"


async def test_frames_are_taken_when_they_are_asked_for(camera):
    source = camera()
    source._now = Moment.now
    before = Moment.now()
    frame = await source.take(1)
    assert before.monotonic <= frame.taken.monotonic <= Moment.now().monotonic


async def test_each_scene_is_told_once_before_its_first_frame(camera, clock, caplog):
    caplog.set_level(logging.INFO)
    source = camera(seconds_a_scene=5, seed=3)
    for _ in range(6):
        frame = await source.take(1)
        assert frame.how == f"scene {_scenes(caplog)[-1][0]}"
        clock.pass_seconds(2.5)
    assert _scenes(caplog) == [(number, caption(source.scene(number))) for number in range(3)]
    assert caplog.records[0].getMessage() == f"scene 0: {caption(source.scene(0))}"
    assert {record.levelname for record in caplog.records} == {"INFO"}


async def test_a_scene_began_when_its_turn_came_not_when_it_was_looked_at(camera, clock, caplog):
    caplog.set_level(logging.INFO)
    source = camera(seconds_a_scene=5)
    start = (await source.take(1)).taken
    clock.pass_seconds(13)
    await source.take(1)
    began = [datetime.fromisoformat(record.began_at) for record in caplog.records]
    assert abs((began[0] - start.wall).total_seconds()) < 0.002
    assert abs((began[1] - start.wall).total_seconds() - 10) < 0.002
    assert began[0] <= start.wall


async def test_the_same_seed_shows_the_same_and_another_seed_another(camera):
    one, same, other = camera(seed=1), camera(seed=1), camera(seed=2)
    assert [one.scene(n) for n in range(20)] == [same.scene(n) for n in range(20)]
    assert [one.scene(n) for n in range(20)] != [other.scene(n) for n in range(20)]
    assert ((await one.take(1)).pixels == (await same.take(1)).pixels).all()


async def test_things_move_a_little_and_an_empty_yard_stays_still(camera, clock):
    source = camera(seconds_a_scene=60)
    busy = next(number for number in range(50) if source.scene(number).things)
    empty = next(number for number in range(50) if not source.scene(number).things)
    changes = {}
    await source.take(1)
    for number in (busy, empty):
        clock.moment = source._began.plus(60 * number + 1)  # not at the very edge: clocks are no whole numbers
        before = (await source.take(1)).pixels
        clock.pass_seconds(0.7)
        changes[number] = np.abs((await source.take(1)).pixels.astype(int) - before).mean()
    assert 0 < changes[busy] < 5
    assert changes[empty] == 0


async def test_scenes_vary_and_mostly_hold_one_thing(camera):
    source = camera()
    scenes = [source.scene(number) for number in range(300)]
    assert len({caption(scene) for scene in scenes}) > 100
    assert sum(len(scene.things) <= 1 for scene in scenes) > 0.75 * len(scenes)
    assert {scene.time for scene in scenes} == {"day", "night"}


async def test_the_picture_has_the_size_asked_for(camera):
    assert (await camera(width=320, height=180).take(1)).pixels.shape == (180, 320, 3)


async def test_it_says_that_it_is_live(camera):
    source = camera()
    await source.take(1)
    await source.take(1)
    assert source.states == [(CameraState.LIVE, "")]


async def test_the_event_loop_runs_on_while_a_picture_is_drawn(camera):
    source = camera(width=1920, height=1920)
    steps = 0

    async def step() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    stepping = asyncio.create_task(step())
    await source.take(5)
    stepping.cancel()
    assert steps > 10


async def test_its_thread_ends_with_run(camera):
    source = camera()
    running = asyncio.create_task(source.run())
    await source.take(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (thread,) = source._artist._threads
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


@pytest.mark.parametrize(("text", "options"), [("demo", {}), ("demo:7", {"seed": "7"})])
def test_the_short_form_may_name_a_seed(text, options):
    assert DemoSource.from_short(text) == options
    assert DemoConfig.model_validate(options).seed == int(options.get("seed", 0))


def test_a_seed_that_is_no_number_is_a_fault():
    with pytest.raises(ValidationError, match="seed"):
        DemoConfig.model_validate(DemoSource.from_short("demo:seven"))
