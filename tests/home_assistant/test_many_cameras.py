"""Thirty cameras with five questions each: announced in time, in messages a broker takes, and no storm at a birth."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.fakes.broker import Broker, Heard, Listener
from tests.fakes.home_assistant import HomeAssistant
from tests.fakes.service import camscribe, write_config

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CAMERAS = 30
WITHIN = 5.0
"""Seconds for Home Assistant to have every entity, from the first announcement on."""
PACKET = 2_000_000
"""Bytes that mosquitto 2.1 takes."""
QUESTIONS = {
    "person": {"type": "boolean", "ask": "Is there a person?", "device_class": "occupancy"},
    "dog": {"type": "boolean", "ask": "Is there a dog?"},
    "things": {"type": "number", "ask": "How many things are there?", "max": 9},
    "light": {"type": "choice", "ask": "Is it day or night?", "options": ["day", "night"]},
    "what": "What is there?",
}
A_CAMERA = 15 + len(QUESTIONS)
A_HUB = 9


def _topics(heard: Heard, pattern: str) -> int:
    return len({str(one.topic) for one in heard.on(pattern)})


async def _quiet(listener: Listener) -> None:
    """Wait until nothing is said any more."""
    heard = -1
    while heard != len(listener.heard):
        heard = len(listener.heard)
        await asyncio.sleep(4)


async def test_thirty_cameras_with_five_questions(ha: HomeAssistant, broker: Broker, tmp_path: Path):
    cameras = {
        f"camera_{number}": {"source": "demo", "every": "1h", "area": f"Area {number % 5}", "questions": QUESTIONS}
        for number in range(CAMERAS)
    }
    config = {"model": {"preset": "tiny"}, "outputs": {"mqtt": broker.config}, "cameras": cameras}
    path = write_config(tmp_path, config)
    async with Listener.at(broker) as listener, camscribe("run", "--config", str(path)) as service:
        await listener.until(lambda heard: heard.on("homeassistant/device/#"), 30)
        began = time.monotonic()
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online"], 30)
        told = time.monotonic() - began

        async def all_there() -> bool:
            return len(await ha.entities()) == CAMERAS * A_CAMERA + A_HUB

        await ha.until(all_there, 60)
        known = time.monotonic() - began
        largest = max(listener.heard, key=lambda one: len(one.payload))
        print(f"{ha.version}: told after {told:.1f} s, {CAMERAS * A_CAMERA + A_HUB} entities after {known:.1f} s; ")
        print(f"the largest message: {largest.topic} with {len(largest.payload)} bytes")
        assert told < WITHIN
        assert known < WITHIN
        assert len(largest.payload) < PACKET / 4

        await listener.until(lambda heard: _topics(heard, "camscribe/+/picture") == CAMERAS, 90)
        await _quiet(listener)  # Home Assistant's own birth has been answered
        before, births = len(listener.heard), len(listener.heard.text("camscribe/status"))
        for _ in range(3):
            await listener.publish("homeassistant/status", "online")
        await listener.until(lambda heard: len(heard.text("camscribe/status")) > births, 20)
        await asyncio.sleep(2)
        answer = [one for one in listener.heard[before:] if str(one.topic) != "homeassistant/status"]
        size = sum(len(one.payload) for one in answer)
        print(f"a birth is answered with {len(answer)} messages, {size / 1e6:.2f} MB")
        # An announcement, a state, a health and an availability of each, and what is told of the hub.
        assert 4 * CAMERAS < len(answer) <= 4 * CAMERAS + 10
        assert size < 2_000_000
        assert await service.stop() == 0
    assert ha.complaints == []
