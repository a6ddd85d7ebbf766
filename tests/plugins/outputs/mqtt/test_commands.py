"""Commands by MQTT: obeyed, echoed, or refused with a word about why."""

from __future__ import annotations

import asyncio
import logging

import pytest

from plugins.outputs.mqtt import MqttConfig, MqttOutput
from tests.fakes.broker import Listener
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
    assert home.commands == [("front_door", "look", "PRESS"), ("front_door", "every", "90s")]


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
        ("camscribe/front_door/colour/set", b"red", "A camera has look, enabled, every, prompt, captioner to set."),
        ("camscribe/front_door/prompt/set", b"x" * 20_000, "It is longer than 16,000 bytes."),
        ("camscribe/front_door/prompt/set", b"\xff\xfe", "It is not UTF-8 text."),
    ],
)
async def test_what_makes_no_sense_is_refused(home, listener, caplog, topic, payload, why):
    await listener.publish(topic, payload)
    await said(caplog, listener, topic, why)
    await listener.publish("camscribe/front_door/look/set", "")
    await listener.publish("camscribe/front_door/enabled/set", "OFF")  # and the next one is obeyed
    await listener.until(lambda heard: heard.json(STATE)[-1]["enabled"] == "OFF")
    assert [name for _, name, _ in home.commands] == ["look", "enabled"]


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
