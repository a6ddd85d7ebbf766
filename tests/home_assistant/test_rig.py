"""The rig itself: a publisher that does everything right is understood, and one that doesn't is complained of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.broker import Broker, Listener
from tests.fakes.home_assistant import HomeAssistant, Refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAPTION = "camscribe_front_door_caption"
SNAPSHOT = "camscribe_front_door_snapshot"
DESCRIBE = "camscribe_front_door_describe"
MINUTES = "camscribe_front_door_minutes"
UNIQUE_IDS = {CAPTION, SNAPSHOT, DESCRIBE, MINUTES}
PICTURE = bytes.fromhex("ffd8ffe0") + bytes(range(256)) * 40 + bytes.fromhex("ffd9")

TOPIC = "homeassistant/device/camscribe_front_door/config"
DEVICE: dict[str, Any] = {
    "dev": {"ids": ["camscribe_front_door"], "name": "Front Door", "mf": "camscribe", "mdl": "Camera", "sw": "0.1.0"},
    "o": {"name": "camscribe", "sw": "0.1.0", "url": "https://example.org/camscribe"},
    "availability": [{"topic": "camscribe/status"}, {"topic": "camscribe/front_door/availability"}],
    "availability_mode": "all",
    "cmps": {
        "caption": {
            "p": "sensor",
            "unique_id": CAPTION,
            "name": "Caption",
            "qos": 1,
            "state_topic": "camscribe/front_door/caption",
            "value_template": "{{ value_json.short }}",
            "json_attributes_topic": "camscribe/front_door/caption",
        },
        "snapshot": {
            "p": "image",
            "unique_id": SNAPSHOT,
            "name": "Snapshot",
            "image_topic": "camscribe/front_door/snapshot",
            "content_type": "image/jpeg",
        },
        "describe": {
            "p": "button",
            "unique_id": DESCRIBE,
            "name": "Describe now",
            "qos": 1,
            "command_topic": "camscribe/front_door/describe/set",
        },
        "minutes": {
            "p": "sensor",
            "unique_id": MINUTES,
            "name": "Minutes",
            "qos": 1,
            "state_topic": "camscribe/front_door/minutes",
            "enabled_by_default": False,
        },
    },
}

BLUEPRINT = """\
blueprint:
  name: Tell what a camera sees
  domain: automation
  input:
    caption:
      name: Caption
      selector:
        entity:
          filter: {domain: sensor}
triggers:
  - trigger: state
    entity_id: !input caption
    to: A cat
actions:
  - action: mqtt.publish
    data: {topic: told, payload: "{{ trigger.to_state.attributes.text }}"}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def publisher(broker: Broker, ha: HomeAssistant) -> AsyncIterator[Listener]:
    """Front Door is announced, available, and has told and shown something."""
    async with Listener.at(broker) as publisher:
        await publisher.publish(TOPIC, json.dumps(DEVICE), retain=True)
        await publisher.publish("camscribe/front_door/caption", '{"short": "A dog", "text": "A dog runs"}', retain=True)
        await publisher.publish("camscribe/front_door/snapshot", PICTURE, retain=True)
        await publisher.publish("camscribe/front_door/minutes", "7", retain=True)
        await publisher.publish("camscribe/status", "online", retain=True)
        await publisher.publish("camscribe/front_door/availability", "online", retain=True)
        await ha.until(lambda: _is(ha, CAPTION, "A dog"))
        yield publisher


async def test_a_device_and_its_entities_are_there_by_their_unique_ids(ha: HomeAssistant, publisher: Listener) -> None:
    (device,) = await ha.devices()
    assert device["name"] == "Front Door"
    assert {entry["unique_id"] for entry in await ha.entities()} == UNIQUE_IDS
    entry = await ha.entity(CAPTION)
    assert entry
    assert entry["original_name"] == "Caption"
    assert entry["device_id"] == device["id"]
    assert await ha.entity("no such") is None


async def test_states_and_attributes(ha: HomeAssistant, publisher: Listener) -> None:
    state = await ha.state(CAPTION)
    assert state
    assert state["state"] == "A dog"
    assert state["attributes"]["text"] == "A dog runs"
    assert set(await ha.states()) == UNIQUE_IDS - {MINUTES}
    assert await ha.state("no such") is None


async def test_a_picture_has_the_bytes_that_were_sent(ha: HomeAssistant, publisher: Listener) -> None:
    assert await ha.picture(SNAPSHOT) == PICTURE


async def test_a_pressed_button_arrives_at_the_broker(ha: HomeAssistant, publisher: Listener) -> None:
    await ha.call("button", "press", DESCRIBE)
    await publisher.until(lambda heard: heard.text("camscribe/front_door/describe/set") == ["PRESS"])


async def test_a_change_is_watched(ha: HomeAssistant, publisher: Listener) -> None:
    async with ha.watching() as seen:
        await publisher.publish("camscribe/front_door/caption", '{"short": "A fox", "text": "A fox sits"}', retain=True)
        await seen.until(lambda seen: seen.of(CAPTION))
    (change,) = seen.of(CAPTION)
    assert change
    assert (change["state"], change["attributes"]["text"]) == ("A fox", "A fox sits")


async def test_a_disabled_entity_is_enabled(ha: HomeAssistant, publisher: Listener) -> None:
    assert await ha.state(MINUTES) is None
    await ha.enable(MINUTES)
    await ha.until(lambda: _is(ha, MINUTES, "7"))


async def test_what_it_refuses_is_told(ha: HomeAssistant, publisher: Listener) -> None:
    with pytest.raises(Refused, match="no_such"):
        await ha.call("button", "no_such", DESCRIBE)
    with pytest.raises(AssertionError, match=r"not within 0\.1 s"):
        await ha.until(lambda: _is(ha, CAPTION, "A horse"), 0.1)


async def test_an_automation_made_from_a_blueprint_runs(ha: HomeAssistant, publisher: Listener, tmp_path: Path) -> None:
    file = tmp_path / "tell.yaml"
    file.write_text(BLUEPRINT)
    path = await ha.blueprint(file)
    caption = await ha.entity(CAPTION)
    assert caption
    await ha.automation({"use_blueprint": {"path": path, "input": {"caption": caption["entity_id"]}}}, "tell")
    await publisher.publish("camscribe/front_door/caption", '{"short": "A cat", "text": "A cat sleeps"}', retain=True)
    await publisher.until(lambda heard: heard.text("told") == ["A cat sleeps"])


async def test_a_restart_keeps_everything(ha: HomeAssistant, publisher: Listener) -> None:
    before = {entry["unique_id"]: entry["entity_id"] for entry in await ha.entities()}
    await ha.stop()
    await ha.start()
    assert {entry["unique_id"]: entry["entity_id"] for entry in await ha.entities()} == before
    await ha.until(lambda: _is(ha, CAPTION, "A cat"))
    await ha.until(lambda: _is(ha, MINUTES, "7"))
    assert await ha.picture(SNAPSHOT) == PICTURE


async def test_it_comes_back_after_it_was_killed(ha: HomeAssistant, publisher: Listener) -> None:
    await ha.kill()
    await ha.start()
    await ha.until(lambda: _is(ha, CAPTION, "A cat"))
    assert {entry["unique_id"] for entry in await ha.entities()} == UNIQUE_IDS


async def test_nothing_is_complained_of(ha: HomeAssistant, publisher: Listener) -> None:
    """The last of the tests that do everything right."""
    assert ha.complaints == []
    assert await ha.issues() == []


async def test_a_broken_device_is_complained_of(ha: HomeAssistant, publisher: Listener) -> None:
    await publisher.publish("homeassistant/device/broken/config", json.dumps({**DEVICE, "no_such": 1}))
    await ha.until(lambda: ha.complaints)
    assert all("no_such" in complaint for complaint in ha.complaints)


async def test_a_state_that_a_template_cannot_read_is_complained_of(ha: HomeAssistant, publisher: Listener) -> None:
    before = len(ha.complaints)
    await publisher.publish("camscribe/front_door/caption", '{"text": "no short one"}')
    await ha.until(lambda: ha.complaints[before:])
    assert "'dict object' has no attribute 'short'" in ha.complaints[before]


async def _is(ha: HomeAssistant, unique_id: str, state: str) -> bool:
    found = await ha.state(unique_id)
    return found is not None and found["state"] == state
