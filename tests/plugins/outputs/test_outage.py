"""The outputs in the agent's own hands: a real journal, real couriers, real targets that go away and come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.delivery import Courier
from agent.journal import Journal
from agent.plugin import Output
from agent.status import Counters
from plugins.outputs.mqtt import MqttConfig, MqttOutput
from plugins.outputs.webhook import WebhookConfig, WebhookOutput
from tests.fakes.broker import Broker
from tests.fakes.clock import START, FakeClock
from tests.fakes.deliveries import PICTURE, OneHome, context, observation
from tests.fakes.receiver import Answer, Receiver
from tests.fakes.waiting import eventually

TOPIC = "camscribe/front_door"


@dataclass
class House:
    """A journal, couriers on it, and a clock that the test moves where it has to."""

    journal: Journal
    clock: FakeClock | SystemClock
    counters: Counters
    folder: Path
    running: list[tuple[Courier, asyncio.Task[None]]] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)

    async def record(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.recorded) + 1
            at = self.clock.now().wall
            look = observation(number, f"Look {number}.", taken_at=at, finished_at=at)
            await self.journal.record(look, PICTURE)
            self.recorded.append(look.id)

    def run(self, output: Output, name: str, *, timeout: float = 20.0) -> Courier:
        courier = Courier(
            output,
            name,
            self.journal,
            backlog="all",
            expire=86400.0,
            timeout=timeout,
            cameras=None,
            clock=self.clock,
            counters=self.counters,
            log=logging.getLogger(f"camscribe.output.{name}"),
        )
        self.running.append((courier, asyncio.create_task(courier.run())))
        return courier

    async def stop(self) -> None:
        for courier, _ in self.running:
            courier.stop()
        async with asyncio.timeout(30):
            await asyncio.gather(*(task for _, task in self.running))

    def mqtt(self, broker: Broker) -> MqttOutput:
        return MqttOutput(MqttConfig.model_validate(broker.config), context(self.folder, "mqtt", OneHome()))

    def webhook(self, receiver: Receiver, **options) -> WebhookOutput:
        config = WebhookConfig.model_validate({"url": receiver.url, **options})
        return WebhookOutput(config, context(self.folder, "alerts"))


@pytest.fixture(params=["system"])
async def house(request, tmp_path) -> AsyncIterator[House]:
    clock = SystemClock() if request.param == "system" else FakeClock(START)
    counters = Counters()
    journal = await Journal.open(tmp_path / "data", clock=clock, counters=counters)
    made = House(journal, clock, counters, tmp_path)
    try:
        yield made
    finally:
        for _, task in made.running:
            task.cancel()
        await asyncio.gather(*(task for _, task in made.running), return_exceptions=True)
        await journal.close()


injected = pytest.mark.parametrize("house", ["injected"], indirect=True)


def ids(heard, what="observation"):
    """First arrivals: at least once may mean twice."""
    return list(dict.fromkeys(fields["id"] for fields in heard.json(f"{TOPIC}/{what}")))


async def test_a_broker_killed_in_mid_stream_loses_nothing_and_keeps_the_order(house, broker, listener, caplog):
    caplog.set_level(logging.INFO)
    house.run(house.mqtt(broker), "mqtt")
    for _ in range(2):
        await house.record(20)
        await listener.until(lambda heard: len(ids(heard)) >= len(house.recorded) - 15)
        await broker.kill()
        sessions = listener.sessions
        await house.record(20)
        await broker.start()
        await listener.until(lambda _, sessions=sessions: listener.sessions > sessions, 30)
        await house.record(20)
        await listener.until(lambda heard: house.recorded[-1] in ids(heard), 30)
    assert ids(listener.heard) == house.recorded
    await house.stop()
    await listener.until(lambda heard: heard.text("camscribe/status")[-1] == "offline")
    said = [r.getMessage() for r in caplog.records if r.name == "camscribe.output.mqtt"]
    began = f"Output mqtt: The MQTT broker at 127.0.0.1:{broker.port} closed the connection; trying again"
    assert len([line for line in said if line.startswith(began)]) == 2
    assert len([line for line in said if "works again" in line]) == 2


@injected
async def test_an_hour_without_a_broker(house, broker, listener):
    house.run(house.mqtt(broker), "mqtt")
    await house.record()
    await listener.until(lambda heard: heard.on(f"{TOPIC}/event"))
    await eventually(lambda: house.counters.value("delivered_total", output="mqtt") == 1)
    await broker.stop()
    before = len(listener.heard.on(f"{TOPIC}/picture"))
    for _ in range(60):
        await house.clock.advance(60)
        await house.record()
    await broker.start()
    await listener.until(lambda _: listener.sessions == 2, 30)

    await house.clock.advance(60)  # the longest pause
    await listener.until(lambda heard: house.recorded[-1] in ids(heard), 30)
    heard = await listener.until(lambda heard: heard.json(f"{TOPIC}/event")[-1]["id"] == house.recorded[-1] and heard)
    assert ids(heard) == house.recorded
    assert ids(heard, "event") == [house.recorded[0], house.recorded[-1]]
    assert [id_ for id_ in ids(heard, "state") if id_] == [house.recorded[0], house.recorded[-1]]
    # The broker repeats what it retained and what the listener had not acknowledged; the rest is ours: the last one
    # again at the connect, and the newest.
    pictures = [m for m in heard.on(f"{TOPIC}/picture")[before:] if not m.retain]
    assert len(pictures) <= 3
    await house.stop()


@injected
async def test_a_webhook_that_fails_three_times_gets_each_observation(house):
    async with Receiver.running() as receiver:
        receiver.answer(500, Answer(503, {"retry-after": "120"}), Answer(hang_up=True))
        courier = house.run(house.webhook(receiver), "alerts")
        await house.record(3)
        await receiver.until(lambda requests: len(requests) == 1)
        await eventually(lambda: house.clock.sleepers > 1)
        await house.clock.advance(5)
        await receiver.until(lambda requests: len(requests) == 2)
        await eventually(lambda: "503" in (courier.problem or ""))
        await house.clock.advance(119)
        assert len(receiver.requests) == 2  # it asked for two minutes
        await house.clock.advance(1)
        await receiver.until(lambda requests: len(requests) == 3)
        await eventually(lambda: "disconnected" in (courier.problem or ""))
        await house.clock.advance(60)
        await receiver.until(lambda requests: len(requests) == 6)
        assert [request.json["id"] for request in receiver.requests] == [house.recorded[0]] * 4 + house.recorded[1:]
        await house.stop()


async def test_a_refused_observation_is_skipped_and_the_next_one_follows(house, caplog):
    async with Receiver.running() as receiver:
        receiver.answer(200, Answer(422, body=b"no such field"), 200)
        house.run(house.webhook(receiver), "alerts")
        await house.record(3)
        await receiver.until(lambda requests: len(requests) == 3)
        assert [request.json["id"] for request in receiver.requests] == house.recorded
        await house.stop()
    assert "answered 422 Unprocessable" in caplog.text
    assert "no such field" in caplog.text


async def test_a_webhook_that_hangs_is_bounded_and_holds_up_no_other(house, broker, listener):
    async with Receiver.running() as receiver:
        receiver.answer(Answer(hang=True))
        slow = house.run(house.webhook(receiver), "alerts", timeout=1.0)
        house.run(house.mqtt(broker), "mqtt")
        await house.record(5)
        await listener.until(lambda heard: ids(heard) == house.recorded)
        await eventually(lambda: slow.problem == "no answer within 1 s")
        await receiver.until(lambda requests: len(requests) == 6, 30)
        assert [request.json["id"] for request in receiver.requests[1:]] == house.recorded
        await house.stop()
