"""A picture that a visitor brings goes the way of all others, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest

from agent import visitor as module
from agent.camera import Look
from agent.errors import CaptionUnavailable, CommandRefused, Failure, PictureRefused, TooBusy
from agent.queue import FrameQueue, Waiting
from agent.status import Counters
from agent.values import Caption, CaptionRequest, Frame, Moment
from agent.visitor import KEPT_UP, LOOK_AROUND, MOST
from tests.fakes.accounts import unaccounted
from tests.fakes.looking import Desk, NoConfig, ScriptedCaptioner, desk
from tests.fakes.visiting import DeskEngines, jpeg, visitor
from tests.fakes.waiting import eventually

PICTURE = jpeg()


@asynccontextmanager
async def visiting(folder, **more):
    async with desk(folder) as house:
        guest = visitor(house, **more)
        try:
            yield house, guest
        finally:
            guest.close()
            assert guest._inside == 0
            assert guest.pending() == []


def captioner(house: Desk, name: str, engines: DeskEngines | None = None) -> ScriptedCaptioner:
    made = ScriptedCaptioner(NoConfig(), house.context)
    made.say = lambda _request: f"By {name}."
    house.start(name, made)
    if engines:
        engines.put(name, made)
    return made


async def test_the_caption_is_for_the_visitor_alone(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        seen = await guest.caption(PICTURE, "What is it?", None, 7)
        assert (seen.caption, seen.camera, seen.reason, seen.prompt) == ("A cat.", "live-page", "http", "What is it?")
        assert (seen.picture.width, seen.picture.height, seen.picture.path) == (64, 48, None)
        assert seen.ad_hoc
        assert house.captioner.requests[0].max_tokens == 7
        assert await house.recorded() == []
        assert house.counters.value("observations_total") == 0
        assert house.counters.value("captions_total", camera="live-page") == 1
        assert unaccounted(house.counters.snapshot()) == 0


async def test_a_caption_that_failed_is_an_answer_too_and_nobody_elses_news(tmp_path, caplog):
    def down(_request):
        raise CaptionUnavailable(Failure.ENGINE, "It is down.")

    async with visiting(tmp_path) as (house, guest):
        house.captioner.say = down
        seen = await guest.caption(PICTURE)
        assert (seen.caption, seen.error.kind, seen.error.message) == (None, Failure.ENGINE, "It is down.")
        assert seen.picture.width == 64
        assert await house.recorded() == []
        assert unaccounted(house.counters.snapshot()) == 0
    assert not caplog.records


async def test_another_captioner_may_be_chosen_and_an_unknown_one_is_refused(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        captioner(house, "spare", guest._engines)
        assert (await guest.caption(PICTURE, captioner="spare")).captioner == "spare"
        assert (await guest.caption(PICTURE)).captioner == "default"
        with pytest.raises(CommandRefused, match=r"no captioner 'sparse'\. There is: default, spare\."):
            await guest.caption(PICTURE, captioner="sparse")
        assert [(about.name, about.state, about.running) for about in guest.captioners()] == [
            ("default", "ready", True),
            ("spare", "ready", True),
        ]


async def test_a_bad_picture_and_a_bad_prompt_are_refused(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        with pytest.raises(PictureRefused, match="damaged"):
            await guest.caption(PICTURE[:100])
        with pytest.raises(CommandRefused, match="prompt"):
            await guest.caption(PICTURE, " ")
        assert house.captioner.requests == []


async def test_where_all_is_paused_nothing_is_captioned(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        await guest._house._pause("ON")
        with pytest.raises(CommandRefused, match="paused"):
            await guest.caption(PICTURE)
        assert house.captioner.requests == []


async def test_of_ten_at_once_as_many_are_served_as_there_are_places_and_the_others_are_told_when(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        house.captioner.gate.clear()
        asked = [asyncio.create_task(guest.caption(PICTURE)) for _ in range(10)]
        await eventually(lambda: sum(task.done() for task in asked) == 10 - MOST, 10)
        house.captioner.gate.set()
        came = await asyncio.gather(*asked, return_exceptions=True)
        busy = [each for each in came if isinstance(each, TooBusy)]
        assert (len(busy), busy[0].retry_after) == (10 - MOST, 1)
        assert [each.caption for each in came if each not in busy] == ["A cat."] * MOST
        assert (await guest.caption(PICTURE)).caption == "A cat."


async def test_one_who_goes_frees_the_place_the_line_and_the_captioner(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        ended = asyncio.Event()

        class Slow(ScriptedCaptioner):
            async def caption(self, request: CaptionRequest) -> Caption:
                try:
                    return await super().caption(request)
                finally:
                    ended.set()

        slow = Slow(NoConfig(), house.context)
        slow.say = lambda _request: "Slow."
        house.start("spare", slow)
        guest._engines.put("spare", slow)
        slow.gate.clear()
        asked = [asyncio.create_task(guest.caption(PICTURE, captioner="spare")) for _ in range(MOST)]
        await eventually(lambda: slow.requests and len(house.queue) == MOST - 1, 10)
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        await asyncio.wait_for(ended.wait(), 10)
        assert len(house.queue) == 0
        assert guest._inside == 0
        slow.gate.set()
        assert (await guest.caption(PICTURE, captioner="spare")).caption == "Slow."
        assert len(slow.requests) == 2
        assert house.counters.value("frames_dropped_total", reason="abandoned") == MOST - 1
        assert house.counters.value("captions_failed_total", kind="stopped") == 1
        assert unaccounted(house.counters.snapshot()) == 0


async def test_cameras_keep_every_second_turn_beside_a_visitor_that_sends_without_a_pause(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        turns: list[str] = []
        cameras = {id_: house.camera(id=id_) for id_ in ("c0", "c1", "c2")}
        tasks = [asyncio.create_task(camera.run()) for camera in cameras.values()]

        class Slow(ScriptedCaptioner):
            async def caption(self, request: CaptionRequest) -> Caption:
                """It takes so long that all the others stand in the line by then."""
                turns.append(request.camera)
                if request.camera in cameras:
                    cameras[request.camera].due()
                await eventually(lambda: len(house.queue) >= len(cameras) + MOST - 1, 10)
                return await super().caption(request)

        slow = Slow(NoConfig(), house.context)
        slow.say = lambda _request: "A cat."
        house.start("spare", slow)
        guest._engines.put("spare", slow)

        async def send() -> None:
            while True:
                await guest.caption(PICTURE, captioner="spare")

        for camera in cameras.values():
            camera.captioner = ("spare",)
            camera.due()
        tasks += [asyncio.create_task(send()) for _ in range(MOST)]
        await eventually(lambda: len(turns) > 26, 30)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert {turns[at] for at in range(2, 26, 2)} in ({"live-page"}, set(cameras))
        assert Counter(turns[2:26]) == {"live-page": 12, "c0": 4, "c1": 4, "c2": 4}


def waiting(camera: str, *, kept: bool = True, asked: bool = False, captioner: str = "default") -> Waiting:
    answer = asyncio.get_running_loop().create_future() if asked or not kept else None
    look = Look("manual", "?", Moment.now(), answer, kept=kept)
    camera_ = type("Named", (), {"id": camera})()
    return Waiting(camera_, look, Frame(camera, np.zeros((2, 2, 3), np.uint8), Moment.now()), 0.0, captioner)


async def test_the_line_lets_visitors_and_cameras_take_turns_for_each_captioner_and_what_is_asked_for_goes_first():
    queue = FrameQueue(Counters())
    for number in range(3):
        queue.put(waiting(f"v{number}", kept=False))
        queue.put(waiting(f"s{number}"))
    queue.put(waiting("other", kept=False, captioner="spare"))
    queue.put(waiting("asked", asked=True))
    order = [queue.pop("default").camera.id for _ in range(7)]
    assert order == ["asked", "v0", "s0", "v1", "s1", "v2", "s2"]
    assert queue.pop("default") is None
    assert queue.pop("spare").camera.id == "other"
    alone = [waiting("v", kept=False) for _ in range(2)]
    for each in alone:
        queue.put(each)
    assert [queue.pop("default"), queue.pop("default")] == alone, "where no camera waits, one follows the other"


async def test_a_captioner_that_nobody_asks_is_started_for_a_visitor_and_stays_ten_minutes(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        asked_for: list[list[str]] = []
        guest._house.engines_wanted = lambda: asked_for.append(guest.wanted())
        watching = asyncio.create_task(guest.watch())
        assert guest.captioners()[1].state == "not running"
        waits = asyncio.create_task(guest.caption(PICTURE, captioner="spare"))
        await eventually(lambda: asked_for == [["spare"]], 10)
        assert not waits.done()
        captioner(house, "spare", guest._engines)  # as the app starts it
        assert (await asyncio.wait_for(waits, 10)).caption == "By spare."
        await house.clock.advance(KEPT_UP - 1)
        await guest.caption(PICTURE, captioner="spare")
        await house.clock.advance(KEPT_UP - 1)
        assert (guest.wanted(), asked_for) == (["spare"], [["spare"]])
        await house.clock.advance(LOOK_AROUND + 1)
        assert asked_for == [["spare"], []]
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@pytest.mark.parametrize("state", ["starting: downloading it, 45 %", "failed: There is no PyTorch here."])
async def test_a_model_that_is_not_loaded_says_how_far_it_is(tmp_path, monkeypatch, state):
    monkeypatch.setattr(module, "LOADED_WITHIN", 0.05)

    class Loading(ScriptedCaptioner):
        async def ready(self, timeout):
            if state.startswith("failed"):
                raise CaptionUnavailable(Failure.ENGINE, "no hope")
            await asyncio.Event().wait()

        @property
        def state(self):
            return state

    async with visiting(tmp_path) as (house, guest):
        guest._engines.put("spare", Loading(NoConfig(), house.context))
        seen = await guest.caption(PICTURE, captioner="spare")
        assert seen.error.kind is Failure.ENGINE
        if state.startswith("starting"):
            assert seen.error.message.startswith("The model is still loading: downloading it, 45 %.")
        else:
            assert seen.error.message == "The model can't be used. There is no PyTorch here."
        guest._engines._running.clear()
        late = await guest.caption(PICTURE, captioner="spare")
        assert late.error.message.startswith("The model is still loading")


async def test_one_that_gave_up_is_told_at_once_and_not_kept_up(tmp_path):
    async with visiting(tmp_path) as (_, guest):
        guest._engines._running["default"].gave_up = True
        seen = await guest.caption(PICTURE)
        assert seen.error.message.startswith("The model can't be used.")
        assert guest.wanted() == []


async def test_one_whose_turn_does_not_come_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWERED_WITHIN", 0.2)
    async with visiting(tmp_path) as (house, guest):
        guest._engines.put("spare", ScriptedCaptioner(NoConfig(), house.context))  # and nobody captions with it
        seen = await guest.caption(PICTURE, captioner="spare")
        assert seen.error.kind is Failure.ENGINE_TIMEOUT
        assert "others were before it" in seen.error.message
        assert len(house.queue) == 0


async def test_at_the_end_those_who_wait_are_answered(tmp_path):
    async with visiting(tmp_path) as (house, guest):
        waits = asyncio.create_task(guest.caption(PICTURE, captioner="spare"))
        (pending,) = await eventually(guest.pending, 10)
        await house.observer.failed(*pending, Failure.STOPPED, "camscribe was stopped before this look was done.")
        assert (await asyncio.wait_for(waits, 10)).error.kind is Failure.STOPPED


def test_no_camera_of_a_config_can_have_its_id():
    from agent.config.grammar import name_fault

    assert name_fault(module.CAMERA, "camera")
