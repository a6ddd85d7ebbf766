"""A real camscribe with the tiny model, a real mosquitto and a real Home Assistant that nobody touches."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.broker import Broker, Listener
from tests.fakes.home_assistant import HomeAssistant
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.scenes import known_scenes
from tests.fakes.service import Service, camscribe, write_config

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

QUESTIONS = {
    "person": {"type": "boolean", "ask": "Is there a person?", "device_class": "occupancy"},
    "things": {"type": "number", "ask": "How many things are there?", "max": 9, "unit": "things"},
    "light": {"type": "choice", "ask": "Is it day or night?", "options": ["day", "night"], "name": "Day or night"},
    "what": "What is there?",
}
SEEN = {"caption", "picture", "answer_person", "answer_things", "answer_light", "answer_what"}
CONTROLS = {"look", "ask", "enabled", "every", "prompt", "captioner"}
TOLD = {"seen", "answer", "last_look", "problem", "camera_state", "errors", "latency"}
PARTS = {"capture", "queue", "encode", "image", "generate", "other"}
HUB = {"paused", "log_level", "restart", "version", "model", "engine", "rate", "queued", "dropped"}


@asynccontextmanager
async def service(folder: Path, broker: Broker, cameras: dict[str, Any], **more: Any) -> AsyncIterator[Service]:
    config = {
        "model": {"preset": "tiny"},
        "outputs": {"mqtt": broker.config | more.pop("mqtt", {})},
        "cameras": cameras,
    }
    async with camscribe("run", "--config", str(write_config(folder, config | more))) as running:
        yield running
        if running.process.returncode is None:
            assert await running.stop() == 0


def door(**more: Any) -> dict[str, Any]:
    return {"source": "demo", "every": "1s", "questions": QUESTIONS, **more}


def ids(camera: str, *groups: set[str]) -> set[str]:
    return {f"camscribe_{camera}_{key}" for group in groups for key in group}


async def has(ha: HomeAssistant, unique_id: str, state: str | Callable[[str], bool], seconds: float = 20) -> dict:
    """Wait until the entity has this state; the whole of it."""

    async def reached() -> dict[str, Any] | None:
        found = await ha.state(f"camscribe_{unique_id}")
        if not found:
            return None
        good = state(found["state"]) if callable(state) else found["state"] == state
        return found if good else None

    return await ha.until(reached, seconds)


def known(state: str) -> bool:
    return state not in ("unknown", "unavailable", "")


async def test_everything_is_there_without_touching_home_assistant(ha, broker, tmp_path):
    cameras = {"door": door(area="Entrance", name="Haustür 🚪"), "yard": {"source": "demo", "every": "1s"}}
    async with Listener.at(broker) as listener, service(tmp_path, broker, cameras):
        caption = await has(ha, "door_caption", known, 60)
        assert 0 < len(caption["state"]) <= 255
        assert caption["attributes"]["caption"].startswith(caption["state"].rstrip("…"))
        assert caption["attributes"]["model"] == "tiny"
        assert caption["attributes"]["answers"]["person"]["confidence"] > 0.5

        entities = {one["unique_id"]: one for one in await ha.entities()}
        door_ids = ids("door", SEEN, CONTROLS, TOLD)
        assert set(entities) == door_ids | ids("yard", {"caption", "picture"}, CONTROLS, TOLD) | ids("hub", HUB)
        for unique_id, one in entities.items():
            assert one["entity_id"].partition(".")[2] == unique_id, "blueprints and cards rely on it"
            assert (
                bool(one["disabled_by"]) == (unique_id.removeprefix("camscribe_door_") in PARTS) or "yard" in unique_id
            )

        states = await ha.states()
        units = {key: states[f"camscribe_door_{key}"]["attributes"].get("unit_of_measurement") for key in TOLD | SEEN}
        assert (units["latency"], units["answer_things"]) == ("ms", "things")
        person = states["camscribe_door_answer_person"]
        assert person["state"] in ("on", "off")
        assert person["attributes"]["device_class"] == "occupancy"
        assert states["camscribe_door_answer_light"]["state"] in ("day", "night", "unknown")
        assert states["camscribe_door_answer_light"]["attributes"]["options"] == ["day", "night"]
        things = states["camscribe_door_answer_things"]["state"]
        assert things == "unknown" or 0 <= float(things) <= 9
        assert known(states["camscribe_door_answer_what"]["state"])
        assert states["camscribe_door_problem"]["state"] == "off"
        assert states["camscribe_door_camera_state"]["state"] == "live"
        assert states["camscribe_door_errors"]["state"] == "0"
        assert datetime.fromisoformat(states["camscribe_door_last_look"]["state"]).tzinfo
        latency = states["camscribe_door_latency"]
        assert float(latency["state"]) == sum(latency["attributes"][part] for part in PARTS) > 0
        assert (states["camscribe_door_enabled"]["state"], float(states["camscribe_door_every"]["state"])) == ("on", 1)
        assert states["camscribe_door_captioner"]["state"] == "default"
        assert states["camscribe_hub_engine"]["state"] == "ready"
        assert states["camscribe_hub_model"]["state"] == "tiny"
        assert float((await has(ha, "hub_rate", lambda state: state not in ("0", "0.0")))["state"]) > 0
        assert states["camscribe_hub_paused"]["state"] == "off"

        devices = {next(iter(one["identifiers"]))[1]: one for one in await ha.devices()}
        assert set(devices) == {"camscribe", "camscribe_door", "camscribe_yard"}
        assert devices["camscribe_door"]["name"] == "Haustür 🚪"
        assert devices["camscribe_door"]["via_device_id"] == devices["camscribe"]["id"]
        areas = {one["area_id"]: one["name"] for one in await ha.api.ask("config/area_registry/list")}
        assert areas[devices["camscribe_door"]["area_id"]] == "Entrance"
        assert devices["camscribe"]["sw_version"]
        # A test that finds no complaint must be one that finds them: see test_rig.
        assert ha.complaints == []
        await listener.until(lambda heard: heard.on("camscribe/door/picture"))


async def test_the_image_is_the_very_jpeg_and_one_look_is_one_change(ha, broker, tmp_path):
    async with (
        Listener.at(broker, "camscribe/door/#") as listener,
        service(tmp_path, broker, {"door": door(every="1h")}),
    ):
        before = (await has(ha, "door_caption", known, 60))["attributes"]["id"]
        await asyncio.sleep(1)
        async with ha.watching() as seen:
            await ha.call("button", "press", "camscribe_door_look")
            await listener.until(lambda heard: len(heard.json("camscribe/door/observation")) == 2)
            look = listener.heard.json("camscribe/door/observation")[-1]
            await seen.until(lambda seen: seen.of("camscribe_door_seen"))
            await asyncio.sleep(1)
        assert look["reason"] == "mqtt"
        assert [one["attributes"]["id"] for one in seen.of("camscribe_door_caption")] == [look["id"]] != [before]
        assert seen.of("camscribe_door_seen")[-1]["attributes"]["event_type"] in ("caption", "person")
        picture = await ha.picture("camscribe_door_picture")
        assert picture == listener.heard.on("camscribe/door/picture")[-1].payload
        assert hashlib.sha256(picture).hexdigest() == look["picture"]["sha256"]


async def test_controls_act_at_once_and_are_echoed(ha, broker, tmp_path):
    spare = {"captioners": {"spare": {"preset": "tiny"}}}
    async with (
        Listener.at(broker, "camscribe/door/observation") as listener,
        service(tmp_path, broker, {"door": door(every="400ms")}, **spare) as running,
    ):
        looks = listener.heard
        await has(ha, "door_caption", known, 60)

        await ha.call("switch", "turn_off", "camscribe_door_enabled")
        await has(ha, "door_enabled", "off")
        await asyncio.sleep(0.5)
        stopped = len(looks)
        await asyncio.sleep(2)
        assert len(looks) == stopped, "the switch stops the looks"
        await ha.call("button", "press", "camscribe_door_look")
        await listener.until(lambda heard: len(heard) == stopped + 1)
        await ha.call("switch", "turn_on", "camscribe_door_enabled")
        await listener.until(lambda heard: len(heard) >= stopped + 3)

        await ha.call("number", "set_value", "camscribe_door_every", value=3600)
        await has(ha, "door_every", lambda state: state != "unknown" and float(state) == 3600)
        await asyncio.sleep(0.6)
        slow = len(looks)
        await asyncio.sleep(1.5)
        assert len(looks) == slow, "the number changes the interval"

        await ha.call("text", "set_value", "camscribe_door_prompt", value="Is there a person?")
        await has(ha, "door_prompt", "Is there a person?")
        await ha.call("button", "press", "camscribe_door_look")
        answer = await has(ha, "door_caption", lambda state: state.lower().rstrip(".") in ("yes", "no"))
        assert answer["attributes"]["caption"]

        await ha.call("select", "select_option", "camscribe_door_captioner", option="spare")
        await has(ha, "door_captioner", "spare")
        await ha.call("button", "press", "camscribe_door_look")
        await listener.until(lambda heard: json.loads(heard[-1].payload)["captioner"] == "spare", 30)

        long = "Describe the image. " * 50
        await ha.call("notify", "send_message", "camscribe_door_ask", message=long.strip())
        asked = await has(ha, "door_answer", known)
        assert asked["attributes"]["question"] == long.strip()
        assert len(long) > 900

        await ha.call("switch", "turn_on", "camscribe_hub_paused")
        await has(ha, "hub_paused", "on")
        paused = len(looks)
        await ha.call("button", "press", "camscribe_door_look")
        await running.until(lambda: any("All cameras are paused: nobody looks through" in line for line in running.err))
        assert len(looks) == paused
        await ha.call("switch", "turn_off", "camscribe_hub_paused")
        await has(ha, "hub_paused", "off")

        await ha.call("select", "select_option", "camscribe_hub_log_level", option="DEBUG")
        await has(ha, "hub_log_level", "DEBUG")
        await ha.call("button", "press", "camscribe_hub_restart")
        await running.until(lambda: sum("watches door" in line for line in running.err) == 2)
        await has(ha, "door_every", lambda state: known(state) and float(state) == 3600)
        await has(ha, "door_prompt", "Is there a person?")
        assert ha.complaints == []


async def test_a_camera_that_is_down_takes_what_it_sees_along_and_nothing_else(ha, broker, tmp_path):
    pictures = [picture for _, picture in known_scenes(2)]
    async with rtsp_camera(pictures, seconds_each=2) as camera:
        cameras = {
            "gate": {"source": camera.url(), "every": "1s", "timeout": "3s", "questions": QUESTIONS},
            "yard": {"source": "demo", "every": "1s"},
        }
        async with service(tmp_path, broker, cameras):
            await has(ha, "gate_caption", known, 60)
            await camera.kill()
            await has(ha, "gate_caption", "unavailable")
            await has(ha, "gate_problem", "on")
            states = await ha.states()
            assert {states[one]["state"] for one in ids("gate", SEEN)} == {"unavailable"}
            assert all(states[one]["state"] != "unavailable" for one in ids("gate", CONTROLS, TOLD))
            assert states["camscribe_gate_problem"]["attributes"]["problem"]
            assert known(states["camscribe_yard_caption"]["state"])
            assert int(states["camscribe_gate_errors"]["state"]) >= 1
            await _camera_is_back(ha, camera)
        assert ha.complaints == []


async def _camera_is_back(ha: HomeAssistant, camera: RtspCamera) -> None:
    await camera.restart()
    await has(ha, "gate_caption", known, 40)
    await has(ha, "gate_problem", "off")
    assert known((await ha.state("camscribe_gate_answer_person"))["state"])


async def test_rename_and_removal_leave_nothing_behind(ha, broker, tmp_path):
    cameras = {"door": door(), "yard": {"source": "demo", "every": "1s"}}
    async with Listener.at(broker, "camscribe/#") as listener, service(tmp_path, broker, cameras):
        await has(ha, "door_caption", known, 60)
        await has(ha, "yard_caption", known, 60)
        entity_ids = {one["unique_id"]: one["entity_id"] for one in await ha.entities()}

        fewer = {id_: question for id_, question in QUESTIONS.items() if id_ != "things"} | {"light": "Is it day?"}
        _rewrite(tmp_path, broker, {"door": door(name="Back door", questions=fewer)})
        await ha.until(lambda: _names(ha, {"camscribe", "Back door"}), 30)
        await ha.until(lambda: _gone(ha, "camscribe_door_answer_things"), 20)
        left = {one["unique_id"]: one["entity_id"] for one in await ha.entities()}
        assert left == {
            id_: entity_id
            for id_, entity_id in entity_ids.items()
            if "_yard_" not in id_ and id_ != "camscribe_door_answer_things"
        }
        await has(ha, "door_answer_light", known)
        await listener.until(lambda heard: [one for one in heard.on("camscribe/yard/picture") if not one.payload])

    # Another key is another camera; the old one goes, though nobody ran when the file was changed.
    async with service(tmp_path, broker, {"back": {"source": "demo", "every": "1s"}}):
        await has(ha, "back_caption", known, 60)
        assert {id_ for id_ in [one["unique_id"] for one in await ha.entities()] if "door" in id_} == set()
        assert await _names(ha, {"camscribe", "Back"})
    async with Listener.at(broker) as late:
        await late.until(lambda heard: heard.on("camscribe/back/picture"))
        await asyncio.sleep(0.5)
        kept = {str(one.topic) for one in late.heard if one.retain and one.payload}
        assert not [topic for topic in kept if "door" in topic or "yard" in topic or topic.endswith(("event", "set"))]
    assert ha.complaints == []


def _rewrite(folder: Path, broker: Broker, cameras: dict[str, Any]) -> None:
    write_config(folder, {"model": {"preset": "tiny"}, "outputs": {"mqtt": broker.config}, "cameras": cameras})


async def _names(ha: HomeAssistant, names: set[str]) -> bool:
    return {one["name"] for one in await ha.devices()} == names


async def _gone(ha: HomeAssistant, unique_id: str) -> bool:
    return await ha.entity(unique_id) is None


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_the_last_will_is_heard_within_the_keep_alive(ha, broker, tmp_path, how):
    keepalive = 15
    async with service(tmp_path, broker, {"door": door()}, mqtt={"keepalive": f"{keepalive}s"}) as running:
        await has(ha, "door_caption", known, 60)
        began = asyncio.get_running_loop().time()
        if how == "killed":
            running.kill()
        else:
            running.freeze()
        await has(ha, "door_caption", "unavailable", keepalive)
        print(f"{how}: unavailable after {asyncio.get_running_loop().time() - began:.1f} s")
        await has(ha, "door_look", "unavailable")
        await has(ha, "hub_paused", "unavailable")
        if how == "killed":
            await running.process.wait()
        else:
            running.thaw()
            await has(ha, "door_caption", known, 30)
