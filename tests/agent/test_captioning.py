"""Captioners beside each other: never more at once than one has slots, fallbacks too, and what a switch moves."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from agent.camera import Camera
from agent.errors import CaptionUnavailable, Failure
from agent.steady import Steadiness
from agent.values import Answer, Caption, CaptionRequest, Detail, Geometry, ModelView
from tests.fakes.looking import Desk, NoConfig, ScriptedCaptioner, desk
from tests.fakes.waiting import eventually


class Counting(ScriptedCaptioner):
    """Knows how many it was asked at once."""

    now = most = 0

    async def caption(self, request: CaptionRequest) -> Caption:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().caption(request)
        finally:
            self.now -= 1


def down(_request):
    raise CaptionUnavailable(Failure.ENGINE, "It is down.")


def counting(house: Desk, name: str, slots: int) -> Counting:
    captioner = Counting(NoConfig(), house.context)
    captioner.say, captioner.slots = lambda request: f"{name} on {request.camera}", slots
    house.start(name, captioner)
    return captioner


@asynccontextmanager
async def running(*cameras: Camera):
    tasks = [asyncio.create_task(camera.run()) for camera in cameras]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.parametrize("slots", [1, 2])
async def test_a_fallback_is_never_asked_more_at_once_than_it_has_slots(tmp_path, slots):
    async with desk(tmp_path) as house, AsyncExitStack() as stack:
        first = counting(house, "first", 4)
        spare = counting(house, "spare", slots)
        first.say = down
        cameras = [house.camera(id=f"c{number}", captioner=["first", "spare"]) for number in range(6)]
        await stack.enter_async_context(running(*cameras))
        spare.gate.clear()
        for camera in cameras:
            camera.due()
        asked = cameras[5].ask("manual", "And now?")
        await eventually(lambda: spare.now == slots and len(house.queue) == 7 - slots, 10)
        assert len(first.requests) == 7
        spare.gate.set()
        assert (await asyncio.wait_for(asked, 10)).caption == "spare on c5"
        await eventually(lambda: len(spare.requests) == 7, 10)
        assert (first.most <= 4, spare.most) == (True, slots)
        assert [request.prompt for request in spare.requests].index("And now?") <= slots, "what is asked for goes first"


async def test_where_all_fail_each_reason_is_told(tmp_path):
    async with desk(tmp_path) as house:
        camera = house.camera(captioner=["default", "spare"])

        def busy(_request):
            raise CaptionUnavailable(Failure.REFUSED, "The day's budget is used up.")

        house.captioner.say = down
        house.spare(busy)
        async with running(camera):
            observation = await asyncio.wait_for(camera.ask("manual"), 10)
    assert observation.error.message == "default: It is down. spare: The day's budget is used up."
    assert observation.error.kind is Failure.REFUSED
    assert observation.picture is not None


async def test_a_slow_first_captioner_does_not_keep_a_camera_from_its_fallback_for_ever(tmp_path):
    """There is always a fresher frame by the time the first has failed: that one goes to the fallback then."""
    async with desk(tmp_path) as house:
        camera = house.camera(captioner=["default", "spare"])
        spare = house.spare(lambda _request: "A dog.")
        house.captioner.gate.clear()
        house.captioner.say = down
        async with running(camera):
            camera.due()
            await eventually(lambda: house.captioner.requests, 10)
            camera.due()
            await eventually(lambda: len(house.queue) == 1, 10)
            house.captioner.gate.set()
            await eventually(lambda: spare.requests, 10)
            await eventually(lambda: house.counters.value("observations_total") == 1, 10)
    assert len(house.captioner.requests) == 1
    assert house.counters.value("frames_dropped_total", reason="overtaken", camera="door") == 1
    assert house.counters.value("captions_total", camera="door", captioner="spare") == 1


async def test_that_a_fallback_has_to_answer_is_said_once_and_so_is_its_end(tmp_path, caplog):
    caplog.set_level("INFO", "camscribe.captions")
    async with desk(tmp_path) as house:
        camera = house.camera(captioner=["default", "spare"])
        house.spare(lambda _request: "A dog.")
        house.captioner.say = down
        async with running(camera):
            for _ in range(3):
                assert (await asyncio.wait_for(camera.ask("manual"), 10)).caption == "A dog."
            house.captioner.say = lambda _request: "A cat."
            assert (await asyncio.wait_for(camera.ask("manual"), 10)).caption == "A cat."
    assert [record.getMessage() for record in caplog.records] == [
        "captioner default: It is down. Its looks go to spare.",
        "captioner default: works again after 0 s (3 looks failed)",
    ]


async def test_a_captioner_that_leaves_ends_what_it_is_busy_with_and_takes_nothing_more(tmp_path):
    async with desk(tmp_path) as house:
        camera = house.camera(captioner="leaving")
        captioner = Counting(NoConfig(), house.context)
        captioner.say, captioner.slots = lambda _request: "A cat.", 2
        captioning = house.start("leaving", captioner)
        slots = house._tasks[-2:]
        async with running(camera):
            captioner.gate.clear()
            busy = camera.ask("manual", "One?")
            await eventually(lambda: captioner.now == 1, 10)
            captioning.leave(slots)
            later = camera.ask("manual", "Two?")
            await eventually(lambda: len(house.queue) == 1, 10)
            captioner.gate.set()
            assert (await asyncio.wait_for(busy, 10)).caption == "A cat."
            await asyncio.wait_for(asyncio.wait(slots), 10)
            assert len(house.queue) == 1
            house.queue.move("door", "default")  # as a switch does
            assert (await asyncio.wait_for(later, 10)).captioner == "default"


@pytest.mark.parametrize("how", ["raises", "hangs", "cancels itself"])
async def test_a_captioner_with_a_bug_in_ready_keeps_nobody_waiting(tmp_path, monkeypatch, how):
    monkeypatch.setattr("agent.captioning.READY_WITHIN", 0.1)
    monkeypatch.setattr("agent.captioning.GRACE", 0.1)

    async def ready(_timeout):
        if how == "raises":
            raise ZeroDivisionError
        if how == "cancels itself":
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    async with desk(tmp_path) as house:
        camera = house.camera(captioner=["default", "spare"])
        house.spare(lambda _request: "A dog.")
        house.captioner.ready, house.captioner.say = ready, down
        async with running(camera):
            assert (await asyncio.wait_for(camera.ask("manual"), 10)).captioner == "spare"
        assert house.counters.value("bugs_total") == (0 if how == "hangs" else 1)


async def test_a_prompt_of_ones_own_asks_no_questions(tmp_path):
    async with desk(tmp_path) as house:
        camera = house.camera(questions={"person": "Is anybody there?"}, language="de")
        async with running(camera):
            own, other = camera.ask("manual"), camera.ask("manual", camera.prompt)
            await asyncio.wait_for(asyncio.gather(own, other), 10)
            camera.due()
            await eventually(lambda: len(house.captioner.requests) == 3, 10)
    asked = [[(name, question.ask) for name, question in r.questions.items()] for r in house.captioner.requests]
    assert asked == [[("person", "Is anybody there? Answer in German.")], [], asked[0]]


async def test_only_what_is_answered_in_words_is_asked_for_in_a_language(tmp_path):
    questions = {
        "dog": {"type": "boolean", "ask": "Is there a dog?"},
        "cars": {"type": "number", "ask": "How many cars?"},
        "bin": {"type": "choice", "ask": "Which bin?", "options": ["blau", "grün"]},
        "sign": {"type": "text", "ask": "What does it say?", "max_tokens": 7},
    }
    async with desk(tmp_path) as house:
        camera = house.camera(questions=questions, language="de")
        async with running(camera):
            await asyncio.wait_for(camera.ask("manual"), 10)
    (request,) = house.captioner.requests
    assert request.prompt.endswith("Answer in German.")
    asked = [question.ask for question in request.questions.values()]
    assert asked == ["Is there a dog?", "How many cars?", "Which bin?", "What does it say? Answer in German."]
    assert request.questions["sign"].max_tokens == 7


class Sure(ScriptedCaptioner):
    """Answers each question with yes, as sure as ``yes`` says."""

    yes = 0.9

    async def caption(self, request: CaptionRequest) -> Caption:
        answers = {name: Answer(value=True, confidence=self.yes) for name in request.questions}
        return replace(await super().caption(request), answers=answers)


async def test_what_is_steady_is_told_with_each_look_by_the_cameras_own_questions(tmp_path):
    options = {
        "captioner": "sure",
        "questions": {"dog": {"type": "boolean", "ask": "Is there a dog?"}, "sign": "What does it say?"},
    }
    async with desk(tmp_path) as house:
        sure = Sure(NoConfig(), house.context)
        sure.say = lambda _request: "A cat."
        house.start("sure", sure)
        camera = house.camera(**options)

        async def look(yes, prompt=None):
            sure.yes = yes
            seen = await asyncio.wait_for(camera.ask("manual", prompt), 10)
            return seen.answers["dog"].steady if seen.answers else "nothing asked"

        async with running(camera):
            assert [await look(0.5), await look(0.8), await look(0.2, "Is there a dog?"), await look(0.5)] == [
                *(None, True, "nothing asked", True),
            ]
        last = camera.last_good
        assert last.answers["sign"].steady is None
        assert (await house.recorded())[-1].answers["dog"].steady is True
        # As after a restart: the last good look comes from the journal.
        house.observer._steadiness = Steadiness()
        camera = house.camera(**options)
        camera.remember(last)
        async with running(camera):
            assert await look(0.5) is True
            house.observer.forget(camera.id)
            assert await look(0.5) is None


async def test_the_camera_says_how_much_detail_the_model_gets(tmp_path):
    class Detailed(ScriptedCaptioner):
        def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
            return ModelView(Geometry.SQUARE, {Detail.LOW: 32, Detail.MEDIUM: 64, Detail.HIGH: 128}[detail])

    async with desk(tmp_path) as house:
        captioner = Detailed(NoConfig(), house.context)
        captioner.say = lambda _request: "A cat."
        house.start("detailed", captioner)
        cameras = [house.camera(id=d.value, captioner="detailed", detail=d) for d in Detail]
        async with running(*cameras):
            looks = await asyncio.wait_for(asyncio.gather(*(camera.ask("manual") for camera in cameras)), 10)
    assert {look.camera: look.sent.width for look in looks} == {"low": 32, "medium": 64, "high": 128}
