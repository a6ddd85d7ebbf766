"""A look from the camera to the journal: what is told, what is only counted, and who gets an answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from agent.camera import MOST_ASKED, Camera
from agent.errors import CaptionUnavailable, CommandRefused, Failure, FrameUnavailable
from agent.observing import REMIND, Timing, finish_sentence, latency
from agent.values import CameraState, Caption, Moment
from tests.fakes.looking import Desk, desk
from tests.fakes.waiting import eventually


@asynccontextmanager
async def running(camera: Camera):
    task = asyncio.create_task(camera.run())
    try:
        yield camera
    finally:
        task.cancel()
        await asyncio.wait({task})


async def look(house: Desk, camera: Camera):
    """A scheduled look, to its end."""
    before = _ends(house)
    camera.due()
    await eventually(lambda: _ends(house) > before, 10)


def _ends(house: Desk) -> int:
    return house.counters.value("observations_total") + house.counters.value("looks_failed_untold_total")


def unavailable(kind: Failure):
    def give():
        raise FrameUnavailable(kind, f"It is {kind.value}.")

    return give


async def test_a_good_look_is_recorded_with_everything_about_it(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(prompt="What is there?", language="de")) as camera:
        await look(house, camera)
        (observation,) = await house.recorded()
        assert observation.caption == "A cat."
        assert observation.prompt == "What is there? Answer in German."
        assert house.captioner.requests[0].prompt == observation.prompt
        assert observation.reason == "schedule"
        assert (observation.picture.width, observation.picture.height) == (64, 48)
        assert (observation.sent.width, observation.sent.height) == (96, 96)
        assert observation.picture.sha256 != observation.sent.sha256
        assert camera.last_good.id == observation.id


async def test_a_caption_that_hit_its_limit_is_cut_at_a_sentence_and_marked(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        answer = Caption("A man stands there. He is wearing a", True, 60, 10.0, 2.0, "scripted")

        async def caption(request):
            house.captioner.requests.append(request)
            return answer

        house.captioner.caption = caption
        await look(house, camera)
        (observation,) = await house.recorded()
        assert (observation.caption, observation.truncated) == ("A man stands there.", True)
        assert house.captioner.requests[0].max_tokens == 60


async def test_a_failure_is_told_first_then_when_its_kind_changes_then_every_ten_minutes(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(every="30s")) as camera:
        camera.source.give = unavailable(Failure.TIMEOUT)
        for _ in range(4):
            await look(house, camera)
        camera.source.give = unavailable(Failure.UNAUTHORIZED)
        await look(house, camera)
        await look(house, camera)
        await house.clock.advance(REMIND + 1)
        await look(house, camera)
        kinds = [observation.error.kind for observation in await house.recorded()]
        assert kinds == [Failure.TIMEOUT, Failure.UNAUTHORIZED, Failure.UNAUTHORIZED]
        assert house.counters.value("looks_failed_total", camera="door") == 7
        assert house.counters.value("looks_failed_untold_total", camera="door") == 4
        assert not camera.online
        camera.source.give = house.frame
        await look(house, camera)
        assert camera.online
        camera.source.give = unavailable(Failure.UNAUTHORIZED)
        await look(house, camera)  # after a good look the same failure is news again
        assert (await house.recorded())[-1].error.kind == Failure.UNAUTHORIZED


async def test_a_frame_older_than_max_age_is_refused_as_stale(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(max_age="5s")) as camera:
        camera.source.give = lambda: house.frame(age=6)
        await look(house, camera)
        (observation,) = await house.recorded()
        assert observation.error.kind == Failure.STALE
        assert "6 s old" in observation.error.message


async def test_a_frame_that_grew_old_in_the_queue_is_taken_again(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(max_age="5s")) as camera:
        house.captioner.gate.clear()
        camera.due()
        await eventually(lambda: house.captioner.requests, 10)
        answer = camera.ask("manual", "asked")
        await eventually(lambda: len(house.queue), 10)
        await house.clock.advance(8)
        house.captioner.gate.set()
        observation = await asyncio.wait_for(answer, 10)
        assert observation.caption == "A cat."
        assert observation.taken_at == house.clock.now().wall
        assert house.counters.value("frames_dropped_total", reason="stale", camera="door") == 1


async def test_somebody_who_asks_always_gets_an_answer_and_two_alike_share_it(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        camera.source.give = unavailable(Failure.NOT_FOUND)
        one, two, other = camera.ask("manual"), camera.ask("mqtt"), camera.ask("manual", "And now?")
        results = await asyncio.wait_for(asyncio.gather(one, two, other), 10)
        assert results[0].id == results[1].id != results[2].id
        assert {result.error.kind for result in results} == {Failure.NOT_FOUND}
        assert len(await house.recorded()) == 2
        assert camera.source.takes == 1


async def test_one_who_gives_up_waiting_takes_nothing_from_the_others(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        house.captioner.gate.clear()
        impatient, patient = camera.ask("manual"), camera.ask("manual")
        impatient.cancel()
        house.captioner.gate.set()
        assert (await asyncio.wait_for(patient, 10)).caption == "A cat."


async def test_asking_is_bounded(tmp_path):
    async with desk(tmp_path) as house:
        camera = house.camera()  # not running: nothing is taken
        for number in range(MOST_ASKED):
            camera.ask("manual", f"prompt {number}")
        with pytest.raises(CommandRefused):
            camera.ask("manual", "one more")


async def test_a_camera_that_is_switched_off_does_not_look_by_itself_but_when_asked(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(enabled=False)) as camera:
        camera.due()
        assert (await asyncio.wait_for(camera.ask("manual"), 10)).reason == "manual"
        assert len(await house.recorded()) == 1


async def test_a_bug_in_a_source_costs_its_look_and_no_other(tmp_path, caplog):
    def bug():
        raise ZeroDivisionError

    async with desk(tmp_path) as house, running(house.camera()) as camera:
        camera.source.give = bug
        await look(house, camera)
        camera.source.give = house.frame
        await look(house, camera)
        first, second = await house.recorded()
        assert first.error.kind == Failure.INTERNAL
        assert second.caption == "A cat."
        assert "ZeroDivisionError" in caplog.text


async def test_a_camera_that_never_looks_by_itself_is_told_away_and_back_by_its_source_alone(tmp_path, caplog):
    """A folder of uploads: nobody would find out by looking that it is gone, nor that it is back."""
    caplog.set_level("INFO", "camscribe.camera.door")
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        camera.report(CameraState.LIVE, "")
        camera.source.give = unavailable(Failure.STALE)
        await asyncio.wait_for(camera.ask("manual"), 5)
        assert (camera.online, camera.problem) == (True, None), "asked out of its time: nothing is wrong with it"
        for _ in range(3):
            camera.report(CameraState.NOT_FOUND, "There is no folder.")
        assert (camera.online, camera.problem) == (False, "There is no folder.")
        camera.report(CameraState.LIVE, "")
        assert (camera.online, camera.problem) == (True, None)
    said = [record.getMessage() for record in caplog.records if "caption" not in record.getMessage()]
    assert said == ["door: not found. There is no folder.", "door: live again."]


async def test_what_the_source_has_to_say_outlives_a_good_look(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(every="30s")) as camera:
        camera.report(CameraState.LIVE, "It has sent the very same picture for 10 minutes.")
        await look(house, camera)
        assert (camera.online, camera.problem) == (True, "It has sent the very same picture for 10 minutes.")


async def test_the_second_captioner_answers_where_the_first_can_not(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(captioner=["default", "spare"])) as camera:
        spare = house.spare(lambda _request: "A dog.")

        def down(_request):
            raise CaptionUnavailable(Failure.ENGINE, "The engine is down.")

        house.captioner.say = down
        await look(house, camera)
        (observation,) = await house.recorded()
        assert (observation.caption, observation.captioner) == ("A dog.", "spare")
        spare.say = down
        await look(house, camera)
        failed = (await house.recorded())[-1]
        assert (failed.error.kind, failed.caption) == (Failure.ENGINE, None)
        assert failed.picture is not None  # the camera is fine, and people may look at what it saw
        assert camera.online


async def test_a_camera_that_is_another_one_now_fails_anew(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        camera.source.give = unavailable(Failure.TIMEOUT)
        await look(house, camera)
        house.observer.forget("door")
        await look(house, camera)
        assert len(await house.recorded()) == 2


async def test_a_camera_that_goes_leaves_no_look_to_answer_that_is_answered_already(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        told = asyncio.Event()

        async def slowly(_camera, look, *_why):
            if look.prompt == "Two?":
                await told.wait()  # as on a slow disk
            look.answer.set_result(None)

        camera._failed = slowly
        camera.source.give = unavailable(Failure.TIMEOUT)
        first, second = camera.ask("manual", "One?"), camera.ask("manual", "Two?")
        await asyncio.wait_for(first, 10)
        assert [look.prompt for look in camera.retire()] == ["Two?"]
        told.set()
        await asyncio.wait_for(second, 10)


async def test_overload_leaves_each_camera_its_freshest_frame(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        house.captioner.gate.clear()
        camera.due()
        await eventually(lambda: house.captioner.requests, 10)
        for shade in (10, 20, 30):
            camera.source.give = lambda shade=shade: house.frame(shade=shade)
            takes = camera.source.takes
            camera.due()
            await eventually(lambda takes=takes: camera.source.takes > takes and len(house.queue) == 1, 10)
        assert house.queue._scheduled["door"].frame.pixels[0, 0, 0] == 30
        assert house.counters.value("frames_dropped_total", reason="overtaken", camera="door") == 2


def test_the_parts_of_the_latency_add_up_whatever_the_engine_says():
    taken = Moment.now()
    start = taken.monotonic
    for image, generate, end in ((0.4, 0.2, 1.0), (400.4, 320.3, 0.77), (900.0, 500.0, 0.5)):
        caption = Caption("x", False, 3, image, generate, "m")
        result = latency(Timing(taken, start + 0.0084, start + 0.0112, start + 0.0157), caption, start + end)
        parts = result.model_dump()
        total = parts.pop("total")
        assert sum(parts.values()) == total == round(end * 1000)
        assert min(parts.values()) >= 0


def test_a_caption_that_hit_its_limit_ends_with_a_sentence():
    assert finish_sentence("A man stands. He is wearing a") == "A man stands."
    assert finish_sentence("A man who is wearing a") == "A man who is wearing a"
    assert finish_sentence("It is late. The sign says 12.5 km to") == "It is late."
    assert finish_sentence("\u9580\u306e\u524d\u3002\u8d64\u3044") == "\u9580\u306e\u524d\u3002"


async def test_a_camera_that_looks_rarely_gets_its_turn_whatever_the_others_do(tmp_path):
    async with (
        desk(tmp_path) as house,
        running(house.camera(id="busy")) as busy,
        running(house.camera(id="rare")) as rare,
    ):
        house.captioner.gate.clear()
        busy.due()
        await eventually(lambda: house.captioner.requests, 10)
        rare.due()
        busy.due()
        await eventually(lambda: len(house.queue) == 2, 10)
        await house.clock.advance(25)  # a slow model: everything that waits is older than max_age
        house.captioner.gate.set()
        await eventually(lambda: _ends(house) == 3, 10)
        observations = await house.recorded()
        assert [observation.camera for observation in observations] == ["busy", "rare", "busy"]
        assert all(observation.caption for observation in observations)
        assert all(observation.taken_at == house.clock.now().wall for observation in observations[1:])


async def test_a_long_outage_of_the_first_captioner_leaves_the_work_to_the_second(tmp_path):
    async with desk(tmp_path) as house, running(house.camera(captioner=["default", "spare"])) as camera:
        house.spare(lambda _request: "A dog.")

        async def never(timeout):
            await house.clock.sleep(timeout)
            raise CaptionUnavailable(Failure.ENGINE, "It loads for an hour.")

        def down(_request):
            raise CaptionUnavailable(Failure.ENGINE, "It loads for an hour.")

        house.captioner.ready, house.captioner.say = never, down
        camera.due()
        await eventually(lambda: house.clock.sleepers, 10)
        await house.clock.advance(21)
        await eventually(lambda: _ends(house) == 1, 10)
        await look(house, camera)  # from now on at once: the clock stands still
        assert [observation.caption for observation in await house.recorded()] == ["A dog.", "A dog."]


@pytest.mark.parametrize("where", ["source", "captioner"])
async def test_a_plugin_that_cancels_itself_costs_its_look_only(tmp_path, where):
    def cancelled(*_arguments):
        raise asyncio.CancelledError

    async with desk(tmp_path) as house, running(house.camera()) as camera:
        if where == "source":
            camera.source.give = cancelled
        else:
            house.captioner.say = cancelled
        await look(house, camera)
        camera.source.give, house.captioner.say = house.frame, lambda _request: "A cat."
        await look(house, camera)
        first, second = await house.recorded()
        assert (first.error.kind, second.caption) == (Failure.INTERNAL, "A cat.")


@pytest.mark.parametrize("prompt", ["", " ", "x" * 4001, "bad \udcff prompt", 5])
async def test_a_prompt_that_is_none_is_refused_at_the_door(tmp_path, prompt):
    async with desk(tmp_path) as house:
        with pytest.raises(CommandRefused):
            house.camera().ask("manual", prompt)


async def test_a_camera_switched_off_in_the_middle_of_a_look_shows_nothing_more(tmp_path):
    async with desk(tmp_path) as house:
        camera = house.camera()
        camera.due()
        camera.enabled = False
        async with running(camera):
            assert (await asyncio.wait_for(camera.ask("manual"), 10)).reason == "manual"
        assert len(await house.recorded()) == 1
        assert camera.source.takes == 1


async def test_looks_under_way_are_known_until_they_are_answered(tmp_path):
    async with desk(tmp_path) as house, running(house.camera()) as camera:
        house.captioner.gate.clear()
        answers = [camera.ask("manual")]
        await eventually(lambda: house.captioner.requests, 10)
        answers.append(camera.ask("manual"))
        await eventually(lambda: len(house.queue) == 1, 10)
        answers.append(camera.ask("manual"))
        assert len(camera.pending()) == 3  # with the captioner, in the line, and not yet taken
        house.captioner.gate.set()
        await asyncio.wait_for(asyncio.gather(*answers), 10)
        assert camera.pending() == []
