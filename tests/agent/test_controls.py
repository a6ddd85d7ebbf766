"""What was set by command outlives a restart, unless config.yaml says something new of it."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from agent import logs
from agent.controls import FILE, AgentControls, Controls
from agent.errors import CommandRefused, Failure
from agent.house import House
from agent.values import LookError
from agent.view import View
from tests.fakes.looking import Desk, desk
from tests.fakes.observations import observation


@pytest.fixture(autouse=True)
def loudness():
    before = logging.getLogger().level
    logging.getLogger().setLevel("INFO")
    yield
    logging.getLogger().setLevel(before)


async def house(desk: Desk, folder, *, keep: bool = True, **options) -> House:
    """As a start makes it, with one camera."""
    made = House("1", desk.queue, lambda: ("ready", "tiny"), Controls(folder, keep=keep), desk.clock, desk.counters)
    made.captioners = ("default", "spare")
    await made.begin()
    made.receive(desk.camera(**{"every": "30s", "prompt": "What is there?", **options}))
    return made


async def test_what_was_set_is_there_after_a_restart(tmp_path):
    async with desk(tmp_path) as at:
        before = await house(at, tmp_path)
        for name, value in (("every", "90s"), ("prompt", "Wer? 🐕"), ("captioner", "spare"), ("enabled", "OFF")):
            await before.command("door", name, value)
        await before.command(None, "paused", "ON")
        await before.command(None, "log_level", "DEBUG")
        logs.set_level("INFO")
        after = (await house(at, tmp_path)).state
        door = after.cameras["door"]
        assert (door.every, door.prompt, door.captioner, door.enabled) == (90, "Wer? 🐕", ("spare",), False)
        assert (after.paused, after.log_level, logs.level()) == (True, "DEBUG", "DEBUG")


async def test_reset_goes_back_to_the_file_and_writes_nothing(tmp_path):
    async with desk(tmp_path) as at:
        before = await house(at, tmp_path, keep=False)
        await before.command("door", "every", "90s")
        assert before.state.cameras["door"].every == 90
        assert not (tmp_path / FILE).exists()
        await (await house(at, tmp_path)).command("door", "every", "90s")
        assert (await house(at, tmp_path, keep=False)).state.cameras["door"].every == 30


async def test_a_file_that_says_something_new_wins_for_that_value(tmp_path):
    async with desk(tmp_path) as at:
        before = await house(at, tmp_path)
        await before.command("door", "every", "90s")
        await before.command("door", "prompt", "Who?")
        door = (await house(at, tmp_path, every="10s")).state.cameras["door"]
        assert (door.every, door.prompt) == (10, "Who?")


async def test_an_interval_takes_the_place_of_a_cron_until_that_is_another(tmp_path):
    async with desk(tmp_path) as at:
        cron = {"every": None, "cron": "0 8 * * *"}
        await (await house(at, tmp_path, **cron)).command("door", "every", "90s")
        assert (await house(at, tmp_path, **cron)).state.cameras["door"].every == 90
        other = await house(at, tmp_path, every=None, cron="0 9 * * *")
        assert other.state.cameras["door"].every is None


async def test_what_was_reset_does_not_come_back(tmp_path):
    async with desk(tmp_path) as at:
        await (await house(at, tmp_path)).command("door", "every", "90s")
        await house(at, tmp_path, keep=False)
        assert (await house(at, tmp_path)).state.cameras["door"].every == 30


async def test_an_end_of_the_pause_is_no_reason_to_call_a_camera_offline(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        made.cameras["door"].looked(observation())
        await made.command(None, "paused", "ON")
        await at.clock.advance(5000)
        await made.command(None, "paused", "OFF")
        assert made.state.cameras["door"].online
        await made.command("door", "every", "1h")
        await at.clock.advance(3000)
        await made.command("door", "every", "5s")
        assert made.state.cameras["door"].online


async def test_a_captioner_that_is_no_more_is_not_asked(tmp_path):
    async with desk(tmp_path) as at:
        await (await house(at, tmp_path)).command("door", "captioner", "spare")
        made = House("1", at.queue, lambda: ("ready", ""), Controls(tmp_path, keep=True), at.clock, at.counters)
        made.captioners = ("default",)
        await made.begin()
        made.receive(at.camera())
        assert made.state.cameras["door"].captioner == ("default",)


async def test_a_value_set_back_is_forgotten(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        await made.command("door", "every", "90s")
        await made.command("door", "every", "30s")
        assert json.loads((tmp_path / FILE).read_text())["cameras"] == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b'{"cameras": {"door": {"every": {"set": -5, "over": 30}}}}',
        b'{"cameras": {"door": {"prompt": {"set": "", "over": "What is there?"}}}}',
        b'{"agent": {"log_level": {"set": "/etc/passwd", "over": "INFO"}}}',
    ],
)
async def test_a_file_that_makes_no_sense_is_said_and_the_config_holds(tmp_path, caplog, content):
    (tmp_path / FILE).write_bytes(content)
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        assert (made.state.cameras["door"].every, made.state.log_level) == (30, "INFO")
        assert "controls.json can't be read (it makes no sense), so everything is as config.yaml says." in caplog.text
        await made.command("door", "every", "90s")  # and the next command mends it
        assert (await house(at, tmp_path)).state.cameras["door"].every == 90


async def test_a_disk_that_takes_nothing_is_told_once_and_the_command_holds(tmp_path, caplog):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path / "missing")
        for every in ("90s", "91s"):
            await made.command("door", "every", every)
        assert made.state.cameras["door"].every == 91
        assert caplog.text.count("so what is set by command ends with this run") == 1


async def test_a_pause_keeps_everybody_from_looking(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        door = made.cameras["door"]
        looking = asyncio.create_task(door.run())
        await made.command(None, "paused", "ON")
        door.due()
        with pytest.raises(CommandRefused, match="All cameras are paused"):
            await made.look("door")
        await asyncio.sleep(0.2)
        assert at.counters.value("frames_total") == 0
        await made.command(None, "paused", "OFF")
        assert (await made.look("door")).caption == "A cat."
        looking.cancel()


@pytest.mark.parametrize(
    ("camera", "name", "value", "says"),
    [
        (None, "paused", "yes", "paused is ON or OFF."),
        (None, "log_level", "LOUD", "log_level is one of DEBUG, INFO, WARNING, ERROR."),
        (None, "volume", "1", "There is no 'volume' to set of camscribe itself"),
        (None, "restart", "", "just starting or stopping"),
        ("door", "every", "0s", "every is a duration"),
        ("door", "every", "8d", "at most 7d"),
        ("door", "look", "", "There is no 'look' to set of a camera"),
        ("gate", "every", "5s", "There is no camera 'gate'."),
    ],
)
async def test_what_is_wrong_is_refused_and_changes_nothing(tmp_path, camera, name, value, says):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        before = made.state
        with pytest.raises(CommandRefused, match=says):
            await made.command(camera, name, value)
        assert made.state == before


async def test_a_look_that_is_too_old_makes_its_camera_unavailable(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path, timeout="20s")
        door = made.cameras["door"]
        assert made.state.cameras["door"].fresh_for == 3 * 30 + 2 * 20
        door.looked(observation())
        await at.clock.advance(129)
        assert made.state.cameras["door"].online
        await at.clock.advance(2)
        info = made.state.cameras["door"]
        assert not info.online
        assert info.problem.startswith("No caption since ")
        await made.command("door", "enabled", "OFF")
        await at.clock.advance(1000)
        assert made.state.cameras["door"].online, "nobody expects a look of one that is switched off"
        await made.command("door", "enabled", "ON")
        await at.clock.advance(129)
        assert made.state.cameras["door"].online, "nor of one that has had no time to look again"
        await at.clock.advance(2)
        assert not made.state.cameras["door"].online
        door.looked(observation())
        assert made.state.cameras["door"].online


async def test_a_look_of_an_earlier_run_is_as_old_as_it_is(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        now = at.clock.now().wall
        made.cameras["door"].remember(observation(taken_at=now))
        assert made.state.cameras["door"].online
        made.cameras["door"].remember(observation(taken_at=now.replace(year=now.year - 1)))
        assert not made.state.cameras["door"].online


async def test_a_look_aside_is_no_news_of_how_the_camera_sees_things(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        door = made.cameras["door"]
        looking = asyncio.create_task(door.run())
        own = await made.look("door")
        aside = await made.look("door", "Is the gate open?")
        looking.cancel()
        assert (own.ad_hoc, aside.ad_hoc) == (False, True)
        assert door.last_good.id == own.id
        assert (await at.journal.last_good("door")).id == own.id
        assert at.journal.newest("door", good=True) < at.journal.newest("door", good=False)


async def test_the_last_failure_is_told_until_a_look_is_good(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        door = made.cameras["door"]
        error = LookError(kind=Failure.ENGINE, message="It is down.")
        door.looked(observation(caption=None).model_copy(update={"error": error}))
        assert made.state.cameras["door"].failing == error
        assert made.state.cameras["door"].problem
        door.looked(observation(ad_hoc=True))
        assert made.state.cameras["door"].failing == error, "what somebody asks is no look of its own"
        door.looked(observation())
        assert made.state.cameras["door"].failing is None
        assert made.state.cameras["door"].failures == 1


async def test_an_output_of_some_cameras_sees_and_commands_these_alone(tmp_path):
    async with desk(tmp_path) as at:
        made = await house(at, tmp_path)
        view = View(made, ("gate",))
        assert view.state.cameras == {}
        with pytest.raises(CommandRefused, match="no camera 'door' here"):
            await view.command("door", "every", "5s")
        with pytest.raises(CommandRefused, match="no camera 'door' here"):
            await view.look("door")
        await View(made, ("door",)).command("door", "every", "5s")
        assert made.state.cameras["door"].every == 5


def test_agent_controls_know_the_levels_of_the_log():
    for level in logs.LEVELS:
        assert AgentControls.model_validate({"log_level": level}).log_level == level
