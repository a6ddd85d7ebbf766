"""Commands by MQTT: obeyed, echoed, or refused with a word about why."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from agent.plugin import OutputUnavailable
from plugins.outputs.mqtt import MqttConfig, MqttOutput
from plugins.outputs.mqtt.commands import BURST, PER_SECOND
from tests.fakes.broker import Broker, Listener, needs_mosquitto
from tests.fakes.deliveries import Hand, OneHome, context

STATE = "camscribe/front_door/state"


@pytest.fixture
async def home(broker, listener, tmp_path, stopping):
    home = OneHome()
    output = MqttOutput(MqttConfig.model_validate(broker.config), context(tmp_path, "mqtt", home))
    stopping.append(asyncio.create_task(output.deliver(Hand(stay=True).__aiter__())))
    await listener.until(lambda heard: heard.text("camscribe/status"))
    return home


async def said(caplog, listener: Listener, *words: str) -> None:
    """Wait until a warning holds all ``words``; a command has no other answer."""
    async with asyncio.timeout(10):
        while not any(all(w in r.getMessage() for w in words) for r in caplog.records if r.levelno == logging.WARNING):
            await listener.publish("tick", "")


async def test_a_look_is_asked_for(home, listener):
    await listener.publish("camscribe/front_door/look/set", "PRESS")
    await listener.publish("camscribe/front_door/every/set", "90s")
    await listener.until(lambda heard: heard.json(STATE)[-1]["every"] == 90)
    assert home.commands == [("front_door", "every", "90s")]
    assert home.asked == [("front_door", None)]


@pytest.mark.parametrize(
    ("name", "value", "echo"),
    [("enabled", "OFF", "OFF"), ("every", "5s", 5.0), ("prompt", "Wer steht da? 🐕", "Wer steht da? 🐕")],
)
async def test_an_accepted_value_is_echoed(home, listener, name, value, echo):
    await listener.publish(f"camscribe/front_door/{name}/set", value)
    await listener.until(lambda heard: heard.json(STATE)[-1][name] == echo)


async def test_a_value_that_changes_nothing_is_echoed_too(home, listener):
    await listener.publish("camscribe/front_door/enabled/set", "ON")
    states = await listener.until(lambda heard: len(heard.json(STATE)) == 2 and heard.json(STATE))
    assert states[0] == states[1]


async def test_a_refused_value_is_said_and_the_old_one_stands(home, listener, caplog):
    await listener.publish("camscribe/front_door/every/set", "soon")
    states = await listener.until(lambda heard: len(heard.json(STATE)) == 2 and heard.json(STATE))
    assert states[1]["every"] == 30.0
    await said(caplog, listener, "camscribe/front_door/every/set", "every is a duration such as 30s")


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("camscribe/garage/look/set", b"", "There is no camera 'garage'."),
        ("camscribe/front_door/colour/set", b"red", "There is no 'colour' to set of a camera; there is: look, ask,"),
        ("camscribe/hub/colour/set", b"red", "There is no 'colour' to set of camscribe itself; there is: paused,"),
        ("camscribe/front_door/look/set", b'{"prompt": 5}', "The prompt in it is no text."),
        ("camscribe/front_door/look/set", b"{prompt: x}", "It begins as JSON and is none"),
        ("camscribe/front_door/look/set", b"{" * 15_000, "It begins as JSON and is none"),
        ("camscribe/front_door/ask/set", b" ", "A prompt is a text of 1 to 4000 characters."),
        ("camscribe/front_door/prompt/set", b"x" * 20_000, "It is longer than 16,000 bytes."),
        ("camscribe/front_door/prompt/set", b"\xff\xfe", "It is not UTF-8 text."),
    ],
)
async def test_what_makes_no_sense_is_refused(home, listener, caplog, topic, payload, why):
    await listener.publish(topic, payload)
    await said(caplog, listener, topic, why)
    (refused,) = await listener.until(lambda heard: heard.json("camscribe/hub/refused"))
    assert (refused["ok"], refused["topic"]) == (False, topic)
    assert why in refused["error"]
    home.asked.clear()
    await listener.publish("camscribe/front_door/look/set", "")
    await listener.publish("camscribe/front_door/enabled/set", "OFF")  # and the next one is obeyed
    await listener.until(lambda heard: heard.json(STATE)[-1]["enabled"] == "OFF")
    assert home.commands == [("front_door", "enabled", "OFF")]
    assert home.asked == [("front_door", None)]


async def test_something_else_may_be_asked_and_is_answered_on_the_response_topic(home, listener):
    needs_mosquitto("MQTT 5")
    await listener.publish(
        "camscribe/front_door/look/set", '{"prompt": "Is the gate open? 🐕"}', reply="me/here", correlation=b"\x01\xff"
    )
    (reply,) = await listener.until(lambda heard: heard.on("me/here"))
    assert home.asked == [("front_door", "Is the gate open? 🐕")]
    assert reply.properties.CorrelationData == b"\x01\xff"
    told = json.loads(reply.payload)
    assert told["ok"] is True
    assert told["observation"]["prompt"] == "Is the gate open? 🐕"


async def test_a_refusal_goes_to_the_response_topic_too(home, listener):
    needs_mosquitto("MQTT 5")
    await listener.publish("camscribe/front_door/every/set", "soon", reply="me/here", correlation=b"7")
    await listener.publish("camscribe/front_door/ask/set", " ", reply="me/here", correlation=b"8")
    await listener.publish("camscribe/front_door/enabled/set", "OFF", reply="me/here", correlation=b"9")
    replies = await listener.until(lambda heard: len(heard.on("me/here")) == 3 and heard.on("me/here"))
    told = {reply.properties.CorrelationData: json.loads(reply.payload) for reply in replies}
    assert told[b"7"]["error"].startswith("every is a duration")
    assert told[b"8"]["error"].startswith("A prompt is")
    assert told[b"9"] == {"ok": True}
    assert not listener.heard.on("camscribe/hub/refused")


async def test_a_topic_that_camscribe_may_not_write_to_takes_nothing_down(tmp_path, stopping, caplog):
    needs_mosquitto("a broker with rights")
    rights = "topic readwrite camscribe/#\ntopic readwrite homeassistant/#\n"
    async with Broker.running(tmp_path / "strict", rights=rights) as broker, Listener.at(broker) as listener:
        home = OneHome()
        output = MqttOutput(MqttConfig.model_validate(broker.config), context(tmp_path, "mqtt", home))
        stopping.append(asyncio.create_task(output.deliver(Hand(stay=True).__aiter__())))
        await listener.until(lambda heard: heard.text("camscribe/status"))
        for topic in ("enabled/set", "look/set"):
            await listener.publish(f"camscribe/front_door/{topic}", "OFF", reply="me/here")
        await listener.publish("camscribe/front_door/every/set", "90s")
        await listener.until(lambda heard: heard.json(STATE)[-1]["every"] == 90)
        assert listener.heard.text("camscribe/status") == ["online"]
        assert caplog.text.count("An answer could not be given, because the MQTT broker refused a message") == 1


async def test_a_restart_that_is_deleted_from_the_broker_is_none(home, listener):
    await listener.publish("camscribe/hub/restart/set", "", retain=True)
    await listener.publish("camscribe/front_door/every/set", "90s")
    await listener.until(lambda heard: heard.json(STATE)[-1]["every"] == 90)
    assert [name for _, name, _ in home.commands] == ["every"]


async def test_a_broker_that_goes_while_a_command_is_echoed_is_noticed(broker, listener, tmp_path):
    home = OneHome()
    output = MqttOutput(MqttConfig.model_validate(broker.config), context(tmp_path, "mqtt", home))
    running = asyncio.create_task(output.deliver(Hand(stay=True).__aiter__()))
    await listener.until(lambda heard: heard.text("camscribe/status"))
    await listener.publish("camscribe/front_door/enabled/set", "OFF")
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while not home.commands:  # noqa: ASYNC110  no event tells of it
            await asyncio.sleep(0)
    await broker.kill()
    with pytest.raises(OutputUnavailable):
        await asyncio.wait_for(running, 10)


@pytest.mark.parametrize("freeze", [False, True])
async def test_an_output_that_is_cancelled_while_a_command_is_answered_ends(broker, listener, tmp_path, freeze):
    needs_mosquitto("MQTT 5")
    home = OneHome()
    output = MqttOutput(MqttConfig.model_validate(broker.config), context(tmp_path, "mqtt", home))
    running = asyncio.create_task(output.deliver(Hand(stay=True).__aiter__()))
    await listener.until(lambda heard: heard.text("camscribe/status"))
    await listener.publish("camscribe/front_door/enabled/set", "OFF", reply="me/here")
    if freeze:
        broker.freeze()
    await asyncio.sleep(0.3)
    running.cancel()
    _, left = await asyncio.wait({running}, timeout=10)
    assert not left


@pytest.mark.parametrize(
    "topic", ["camscribe/front_door/enabled/set", "homeassistant/device/x/config", "$SYS/x", "camscribe", "a" * 501]
)
async def test_nobody_makes_us_speak_in_our_own_name(home, listener, caplog, topic):
    needs_mosquitto("MQTT 5")
    await listener.publish("camscribe/front_door/enabled/set", "OFF", reply=topic)
    await said(caplog, listener, "may not go to its response topic")
    assert not [one for one in listener.heard.on(topic) if one.payload == b'{"ok":true}']


async def test_a_look_under_way_holds_up_no_other_command(home, listener):
    home.may_look.clear()
    await listener.publish("camscribe/front_door/ask/set", "Who is there?")
    await listener.publish("camscribe/front_door/every/set", "90s")
    await listener.until(lambda heard: heard.json(STATE)[-1]["every"] == 90)
    assert home.asked == [("front_door", "Who is there?")]


async def test_the_hub_is_commanded_and_echoes(home, listener):
    await listener.publish("camscribe/hub/paused/set", "ON")
    await listener.until(lambda heard: heard.json("camscribe/hub/state")[-1]["paused"] == "ON")
    await listener.publish("camscribe/hub/log_level/set", "DEBUG")
    await listener.until(lambda heard: heard.json("camscribe/hub/state")[-1]["log_level"] == "DEBUG")
    assert home.commands == [(None, "paused", "ON"), (None, "log_level", "DEBUG")]


async def test_a_flood_of_commands_is_dropped_and_said_once(home, listener, caplog):
    for number in range(BURST + 150):
        await listener.publish("camscribe/front_door/prompt/set", f"Number {number}")
    await said(caplog, listener, "commands a second come by MQTT; the rest is dropped")
    assert len([one for one in caplog.records if "the rest is dropped" in one.getMessage()]) == 1
    assert BURST <= len(home.commands) < BURST + 150
    await asyncio.sleep(BURST / 10 / PER_SECOND + 0.5)
    await listener.publish("camscribe/front_door/every/set", "90s")  # and after a while the next is obeyed
    await listener.until(lambda heard: heard.json(STATE)[-1]["every"] == 90)
    dropped = BURST + 150 - len([name for _, name, _ in home.commands if name == "prompt"])
    await said(caplog, listener, f"{dropped} commands by MQTT were dropped")


async def test_a_retained_command_is_old_and_ignored(broker, listener, tmp_path, caplog):
    await listener.publish("camscribe/front_door/enabled/set", "OFF", retain=True)
    home = OneHome()
    output = MqttOutput(MqttConfig.model_validate(broker.config), context(tmp_path, "mqtt", home))
    for _ in range(2):  # also after a reconnect, and then without another word
        hand = Hand(stay=True)
        running = asyncio.create_task(output.deliver(hand.__aiter__()))
        await said(caplog, listener, "A command kept by the broker was ignored", "camscribe/front_door/enabled/set")
        hand.stop()
        await asyncio.wait_for(running, 10)
    assert home.commands == []
    assert len([r for r in caplog.records if "kept by the broker" in r.getMessage()]) == 1
