"""What people do by MQTT, on a real service: pause, set, ask, start again; and what of it outlives the restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest
import yaml

from tests.fakes.broker import Broker, Listener, needs_mosquitto
from tests.fakes.service import camscribe, write_config

pytestmark = pytest.mark.slow
DOOR = "camscribe/door/{}"
HUB = "camscribe/hub/state"


def config(broker: Broker) -> dict:
    return {
        "model": {"preset": "tiny"},
        "cameras": {
            "door": {
                "source": "demo",
                "every": "500ms",
                "questions": {
                    "person": {"type": "boolean", "ask": "Is there a person?"},
                    "colour": {"type": "choice", "ask": "Which colour is it?", "options": ["red", "blue"]},
                },
            }
        },
        "outputs": {"mqtt": broker.config},
    }


@pytest.mark.timeout(120)
async def test_set_by_mqtt_and_started_again_by_mqtt(tmp_path: Path):
    async with Broker.running(tmp_path / "broker") as broker, Listener.at(broker) as listener:
        path = write_config(tmp_path, config(broker))
        async with camscribe("run", "--config", str(path)) as service:
            await listener.until(lambda heard: heard.on(DOOR.format("picture")), 60)
            engines = {child.pid for child in service.children()}
            await listener.publish(DOOR.format("every/set"), "1h")
            await listener.publish(DOOR.format("prompt/set"), "What is new?")
            await listener.publish("camscribe/hub/log_level/set", "DEBUG")
            await listener.publish("camscribe/hub/paused/set", "ON")
            await listener.until(lambda heard: heard.json(HUB)[-1]["paused"] == "ON")

            path.write_text("cameras: [")
            await listener.publish("camscribe/hub/restart/set", "PRESS")
            (refused,) = await listener.until(lambda heard: heard.json("camscribe/hub/refused"))
            assert "The config has faults that are to be mended first." in refused["error"]

            path.write_text(yaml.safe_dump({"data_dir": str(tmp_path / "data"), "web": False, **config(broker)}))
            await listener.publish("camscribe/hub/restart/set", "PRESS")
            expected = ["online", "offline", "online"]
            await listener.until(lambda heard: heard.text("camscribe/status") == expected, 30)
            assert service.process.returncode is None, "the process is the same for whoever supervises it"
            await service.until(lambda: sum("watches door" in line for line in service.err) == 2)
            assert not [pid for pid in engines if psutil.pid_exists(pid)]
            assert any("All cameras are paused, as they were before the restart" in line for line in service.err)
            hub, state = (listener.heard.json(topic)[-1] for topic in (HUB, DOOR.format("state")))
            assert (hub["paused"], hub["log_level"], hub["model"]) == ("ON", "DEBUG", "tiny")
            assert (state["every"], state["prompt"]) == (3600, "What is new?")

            await listener.publish(DOOR.format("look/set"), "PRESS")
            refused = await listener.until(lambda heard: heard.json("camscribe/hub/refused")[1:])
            assert "All cameras are paused" in refused[0]["error"]
            await listener.publish("camscribe/hub/paused/set", "OFF")
            await listener.publish(DOOR.format("look/set"), "PRESS")
            reasons = DOOR.format("observation")
            await listener.until(lambda heard: "mqtt" in [one["reason"] for one in heard.json(reasons)], 30)
            await listener.publish("camscribe/hub/restart/set", "PRESS")
            await service.until(lambda: any("starts again" in line for line in service.err[-40:]))
            assert await service.stop() == 0, "who is told to end while it starts again ends"
            assert sum("watches door" in line for line in service.err) == 2


@pytest.mark.timeout(120)
async def test_a_free_question_is_answered_and_changes_no_state(tmp_path: Path):
    needs_mosquitto("MQTT 5")
    async with Broker.running(tmp_path / "broker") as broker, Listener.at(broker) as listener:
        made = config(broker)
        made["cameras"]["door"]["every"] = "1h"
        async with camscribe("run", "--config", str(write_config(tmp_path, made))):
            await listener.until(lambda heard: heard.on(DOOR.format("event")), 60)
            state = listener.heard.json(DOOR.format("state"))[-1]
            assert state["answers"]["person"]["confidence"] > 0.5
            assert state["answers"]["person"]["steady"] in (True, False)
            assert state["answers"]["colour"]["value"] in ("red", "blue", None)
            question = {"prompt": "Is there a dog?"}
            await listener.publish(DOOR.format("look/set"), json.dumps(question), reply="me", correlation=b"1")
            (reply,) = await listener.until(lambda heard: heard.json("me"), 30)
            assert reply["observation"]["ad_hoc"] is True
            (answer,) = await listener.until(lambda heard: heard.json(DOOR.format("answer")))
            assert (answer["question"], answer["answer"]) == ("Is there a dog?", reply["observation"]["caption"])
            await asyncio.sleep(0.5)
            assert listener.heard.json(DOOR.format("state"))[-1] == state
