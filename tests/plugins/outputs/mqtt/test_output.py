"""The MQTT output against a real broker: what arrives, in which order, and what becomes of it in an outage."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from agent.plugin import ObservationRefused, OutputUnavailable
from plugins.outputs.mqtt import MqttConfig, MqttOutput
from tests.fakes.broker import Broker, Listener, needs_mosquitto
from tests.fakes.deliveries import PICTURE, Hand, OneHome, context, delivery, observation


def mqtt(broker: Broker, folder: Path, home: OneHome | None = None, **options) -> MqttOutput:
    config = MqttConfig.model_validate({**broker.config, **options})
    return MqttOutput(config, context(folder, "mqtt", home or OneHome()))


def numbers(heard, topic="camscribe/front_door/observation"):
    return [int(fields["id"][-12:]) for fields in heard.json(topic)]


async def test_everything_the_home_needs_is_there_in_order(broker, listener, tmp_path):
    hand = Hand([delivery(1)])
    await mqtt(broker, tmp_path).deliver(hand.__aiter__())
    heard = await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["offline"] and heard)
    assert hand.confirmed == [1]
    topics = [str(message.topic) for message in heard if "sync" not in str(message.topic)]
    assert topics == [
        "homeassistant/device/camscribe/hub/config",
        "homeassistant/device/camscribe/front_door/config",
        "camscribe/hub/state",
        "camscribe/front_door/state",
        "camscribe/front_door/health",
        "camscribe/front_door/availability",
        "camscribe/status",
        "camscribe/front_door/picture",
        "camscribe/front_door/state",
        "camscribe/front_door/observation",
        "camscribe/front_door/event",
        "camscribe/status",
    ]
    assert all(message.qos == 1 for message in heard)
    assert heard.text("camscribe/status") == ["online", "offline"]
    assert heard.text("camscribe/front_door/availability") == ["online"]
    assert heard.json("camscribe/front_door/observation") == [observation(1).model_dump(mode="json")]
    assert heard.on("camscribe/front_door/picture")[0].payload == PICTURE
    hub = heard.json("camscribe/hub/state")[0]
    assert (hub["version"], hub["engine"], hub["captions_per_minute"], hub["dropped"]) == ("0.1.0", "ready", 12.0, 3)


async def test_state_is_one_json_with_the_look_and_the_settings(broker, listener, tmp_path):
    words = "word " * 100
    await mqtt(broker, tmp_path).deliver(Hand([delivery(1, words)]).__aiter__())
    before, after = (await listener.until(lambda h: len(h.on("camscribe/+/state")) >= 3 and h)).json(
        "camscribe/front_door/state"
    )
    assert before.keys() == after.keys()
    assert before["short"] is None
    assert before["prompt"] == after["prompt"] == "Describe who is at the door."
    assert (after["enabled"], after["every"]) == ("ON", 30.0)
    assert after["caption"] == words
    assert len(after["short"]) <= 255
    assert after["short"].endswith("word…")
    assert after["latency_ms"]["total"] == 770
    assert after["picture"]["sha256"] == "ab" * 32


async def test_what_is_retained_and_what_is_not(broker, tmp_path):
    await mqtt(broker, tmp_path).deliver(Hand([delivery(1)]).__aiter__())
    async with Listener.at(broker) as late:
        heard = await late.until(lambda heard: len(heard) >= 8 and heard)
        assert {str(message.topic) for message in heard} == {
            "homeassistant/device/camscribe/hub/config",
            "homeassistant/device/camscribe/front_door/config",
            "camscribe/front_door/health",
            "camscribe/status",
            "camscribe/hub/state",
            "camscribe/front_door/state",
            "camscribe/front_door/picture",
            "camscribe/front_door/availability",
        }
        assert all(message.retain for message in heard)


async def test_mqtt_5_carries_content_types_and_expiry(broker, listener, tmp_path):
    needs_mosquitto("MQTT 5")
    await mqtt(broker, tmp_path).deliver(Hand([delivery(1)]).__aiter__())
    heard = await listener.until(lambda heard: heard.on("camscribe/front_door/event") and heard)
    assert heard.on("+/+/picture")[0].properties.ContentType == "image/jpeg"
    assert heard.on("+/+/state")[0].properties.ContentType == "application/json"
    assert heard.on("+/+/event")[0].properties.MessageExpiryInterval <= 60
    assert 80_000 < heard.on("+/+/observation")[0].properties.MessageExpiryInterval <= 86_400


async def test_mqtt_3_1_1_by_option(broker, listener, tmp_path):
    await mqtt(broker, tmp_path, protocol="3.1.1").deliver(Hand([delivery(1)]).__aiter__())
    heard = await listener.until(lambda heard: heard.on("camscribe/front_door/event") and heard)
    assert numbers(heard) == [1]
    if broker.protocol == "5":
        assert "p2" in broker.log  # mosquitto's word for it in its log of a new client


async def test_a_failed_look_is_told_but_leaves_the_last_good_state(broker, listener, tmp_path):
    await mqtt(broker, tmp_path).deliver(Hand([delivery(1), delivery(2, None)]).__aiter__())
    heard = await listener.until(lambda heard: len(heard.on("camscribe/front_door/event")) == 2 and heard)
    assert numbers(heard) == [1, 2]
    assert numbers(heard, "camscribe/front_door/event") == [1, 2]
    assert [event["event_type"] for event in heard.json("camscribe/front_door/event")] == ["caption", "error"]
    assert heard.json("camscribe/front_door/event")[1]["error"]["kind"] == "timeout"
    assert heard.json("camscribe/front_door/state")[-1]["caption"] == "A person stands at the door."
    assert len(heard.on("camscribe/front_door/picture")) == 1


async def test_a_backlog_is_told_as_observations_and_only_the_newest_as_state(broker, listener, tmp_path):
    old = [delivery(n, f"Look {n}.", newest=False) for n in range(1, 50)]
    await mqtt(broker, tmp_path).deliver(Hand([*old, delivery(50, "Look 50.")]).__aiter__())
    heard = await listener.until(lambda heard: heard.on("camscribe/front_door/event") and heard)
    assert numbers(heard) == list(range(1, 51))
    assert [s["caption"] for s in heard.json("camscribe/front_door/state")] == [None, "Look 50."]
    assert len(heard.on("camscribe/front_door/picture")) == 1
    assert numbers(heard, "camscribe/front_door/event") == [50]


async def test_a_camera_that_left_the_config_gets_its_leftovers_told_but_no_retained_ghost(broker, listener, tmp_path):
    await mqtt(broker, tmp_path).deliver(Hand([delivery(1, camera="garage")]).__aiter__())
    heard = await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["offline"] and heard)
    assert [str(message.topic) for message in heard.on("camscribe/garage/+")] == ["camscribe/garage/observation"]


async def test_a_long_caption_fits_home_assistants_recorder_and_says_that_it_was_cut(broker, listener, tmp_path):
    caption = 'Ein „Hund“ "bellt" 🐕‍🦺\n' * 1500
    await mqtt(broker, tmp_path).deliver(Hand([delivery(1, caption)]).__aiter__())
    heard = await listener.until(lambda heard: heard.on("camscribe/front_door/event") and heard)
    state = heard.on("camscribe/front_door/state")[-1].payload
    assert len(state) < 10_000
    assert json.loads(state)["caption_cut"] is True
    assert json.loads(state)["caption"].endswith("…")
    assert heard.json("camscribe/front_door/observation")[0]["caption"] == caption


async def test_availability_and_hub_follow_the_home(broker, listener, tmp_path, stopping):
    home, hand = OneHome("front_door", "garden"), Hand(stay=True)
    stopping.append(asyncio.create_task(mqtt(broker, tmp_path, home).deliver(hand.__aiter__())))
    await listener.until(lambda heard: heard.text("camscribe/status") == ["online"])
    home.set("garden", online=False)
    await listener.until(lambda heard: heard.text("camscribe/garden/availability") == ["online", "offline"])
    home.touch(engine="failed: no model")
    await listener.until(lambda heard: heard.json("camscribe/hub/state")[-1]["engine"] == "failed: no model")
    home.set("garden", online=True)
    await listener.until(lambda heard: heard.text("camscribe/garden/availability") == ["online", "offline", "online"])
    assert listener.heard.text("camscribe/front_door/availability") == ["online"]
    hand.stop()
    await asyncio.wait_for(stopping[0], 10)


async def test_the_last_look_is_shown_again_after_a_restart(broker, listener, tmp_path):
    home = OneHome()
    home.set("front_door", last=observation(7, "Seen before the restart."))
    await mqtt(broker, tmp_path, home).deliver(Hand().__aiter__())
    heard = await listener.until(lambda heard: heard.on("camscribe/front_door/state") and heard)
    assert heard.json("camscribe/front_door/state")[0]["caption"] == "Seen before the restart."


async def test_base_topic_and_no_retain(broker, listener, tmp_path):
    output = mqtt(broker, tmp_path, base_topic="home/two", retain=False)
    await output.deliver(Hand([delivery(1)]).__aiter__())
    heard = await listener.until(lambda heard: heard.text("home/two/status")[-1:] == ["offline"] and heard)
    assert numbers(heard, "home/two/front_door/observation") == [1]
    assert not heard.on("camscribe/#")
    async with Listener.at(broker) as late:
        await late.publish("mark", "")
        assert [str(m.topic) for m in await late.until(lambda heard: heard.on("mark") and heard)] == ["mark"]


# Outages


async def test_a_killed_broker_is_noticed_at_once_and_loses_nothing(broker, listener, tmp_path, caplog):
    output, hand = mqtt(broker, tmp_path), Hand(stay=True)
    running = asyncio.create_task(output.deliver(hand.__aiter__()))
    for number in range(1, 6):
        hand.give(delivery(number))
    await hand.confirms(4)
    await broker.kill()
    hand.give(delivery(6))
    begun = asyncio.get_running_loop().time()
    with pytest.raises(OutputUnavailable, match=f"The MQTT broker at 127.0.0.1:{broker.port} (closed|can't)"):
        await running
    assert asyncio.get_running_loop().time() - begun < 4  # and not after aiomqtt's time-out
    with pytest.raises(OutputUnavailable, match="refuses connections: is it switched on, and the port right"):
        await output.deliver(Hand().__aiter__())

    await broker.start()
    await listener.until(lambda _: listener.sessions == 2)
    left = [delivery(number) for number in range(len(hand.confirmed) + 1, 11)]
    await output.deliver(Hand(left).__aiter__())
    heard = await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["offline"] and heard)
    # A killed broker itself repeats what the listener had not acknowledged, so only first arrivals count.
    assert list(dict.fromkeys(numbers(heard))) == list(range(1, 11))
    assert not [r for r in caplog.records if r.name.startswith("camscribe") and r.levelno > logging.DEBUG]


async def test_a_broker_that_forgot_everything_gets_it_all_again(broker, tmp_path):
    output, hand = mqtt(broker, tmp_path), Hand([delivery(1)], stay=True)
    running = asyncio.create_task(output.deliver(hand.__aiter__()))
    await hand.confirms(1 if hand.confirmed else 0)
    async with Listener.at(broker) as listener:
        await listener.until(lambda heard: heard.on("camscribe/front_door/picture"))
        await listener.until(lambda heard: heard.json("camscribe/front_door/state")[-1]["caption"])
    await broker.kill()
    with pytest.raises(OutputUnavailable):
        await running
    broker.forget()
    await broker.start()
    await output.deliver(Hand().__aiter__())
    async with Listener.at(broker) as late:
        heard = await late.until(lambda heard: len(heard) == 5 and heard)
        assert heard.json("camscribe/front_door/state")[0]["caption"] == "A person stands at the door."
        assert heard.on("camscribe/front_door/picture")[0].payload == PICTURE


async def test_a_redelivery_after_a_reconnect_sends_its_picture_once(broker, listener, tmp_path):
    output = mqtt(broker, tmp_path)
    await output.deliver(Hand([delivery(1)]).__aiter__())
    await output.deliver(Hand([delivery(1)]).__aiter__())  # its confirmation was lost
    heard = await listener.until(lambda heard: len(heard.on("camscribe/front_door/event")) == 2 and heard)
    assert len(heard.on("camscribe/front_door/picture")) == 2  # once a connection


async def test_the_last_will_speaks_where_we_can_not(broker, listener, tmp_path):
    hand = Hand(stay=True)
    running = asyncio.create_task(mqtt(broker, tmp_path).deliver(hand.__aiter__()))
    await listener.until(lambda heard: heard.text("camscribe/status") == ["online"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await listener.until(lambda heard: heard.text("camscribe/status") == ["online", "offline"])


async def test_a_frozen_broker_holds_nobody_beyond_the_agents_deadline(broker, tmp_path, monkeypatch):
    monkeypatch.setattr("plugins.outputs.mqtt.link.CONNECT_TIME", 0.5)
    hand, output = Hand(stay=True), mqtt(broker, tmp_path)
    running = asyncio.create_task(output.deliver(hand.__aiter__()))
    async with Listener.at(broker) as listener:
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online"])
    broker.freeze()
    hand.give(delivery(1))
    assert await asyncio.wait({running}, timeout=0.5) == (set(), {running})
    running.cancel()  # the deadline
    assert await asyncio.wait({running}, timeout=4) == ({running}, set())
    assert hand.confirmed == []
    with pytest.raises(OutputUnavailable, match="does not answer"):
        await asyncio.wait_for(output.deliver(Hand().__aiter__()), 15)


async def listening(meet):
    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    return server, {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}


async def test_a_connection_that_failed_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("plugins.outputs.mqtt.link.CONNECT_TIME", 0.5)
    hung_up = asyncio.Event()

    async def accept(reader, writer):
        while await reader.read(1000):
            pass
        hung_up.set()
        writer.close()

    silent, address = await listening(accept)
    async with silent:
        output = MqttOutput(MqttConfig(**address), context(tmp_path, home=OneHome()))
        with pytest.raises(OutputUnavailable, match="does not answer"):
            await output.deliver(Hand().__aiter__())
        await asyncio.wait_for(hung_up.wait(), 10)


async def test_a_server_that_hangs_up_is_noticed_at_once(tmp_path):
    async def accept(_reader, writer):
        writer.close()

    rude, address = await listening(accept)
    async with rude:
        output = MqttOutput(MqttConfig(**address), context(tmp_path, home=OneHome()))
        with pytest.raises(OutputUnavailable, match="closed the connection"):
            await asyncio.wait_for(output.deliver(Hand().__aiter__()), 8)  # aiomqtt itself would wait for 10 s


# What a broker may refuse


async def test_a_picture_too_large_is_left_out_and_said_once(tmp_path, caplog):
    needs_mosquitto("MQTT 5's Maximum Packet Size")
    async with (
        Broker.running(tmp_path / "small", extra="max_packet_size 20000") as broker,
        Listener.at(broker) as listener,
    ):
        looks = [delivery(1, picture=bytes(30_000)), delivery(2, picture=bytes(30_000)), delivery(3)]
        await mqtt(broker, tmp_path).deliver(Hand(looks).__aiter__())
        heard = await listener.until(lambda heard: len(heard.on("+/+/event")) == 3 and heard)
    assert numbers(heard) == [1, 2, 3]
    assert [m.payload for m in heard.on("+/+/picture")] == [PICTURE]
    assert [bool(s["picture"]) for s in heard.json("camscribe/front_door/state")] == [False, False, False, True]
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == 1
    assert said[0].startswith("camscribe/front_door/picture is not sent to MQTT: 30000 bytes, and messages may have 20")


async def test_an_observation_too_large_is_refused(broker, tmp_path):
    with pytest.raises(ObservationRefused, match="takes messages of 5,000 bytes at most"):
        await mqtt(broker, tmp_path, max_packet_size=5000).deliver(Hand([delivery(1, "word " * 2000)]).__aiter__())


async def test_a_wrong_password_is_said_and_given_time(tmp_path):
    needs_mosquitto("a login")
    async with Broker.running(tmp_path / "locked", users={"cam": "right"}) as broker:
        for protocol in ("5", "3.1.1"):
            output = mqtt(broker, tmp_path, username="cam", password="wrong-s3cret", protocol=protocol)
            with pytest.raises(OutputUnavailable, match="refused the user name or password") as caught:
                await output.deliver(Hand([delivery(1)]).__aiter__())
            assert (caught.value.retry_after, caught.value.act) == (60, True)
            assert "s3cret" not in str(caught.value)
        with pytest.raises(OutputUnavailable, match="wants a login"):
            await mqtt(broker, tmp_path).deliver(Hand().__aiter__())
        hand = Hand([delivery(1)])
        await mqtt(broker, tmp_path, username="cam", password="right").deliver(hand.__aiter__())
        assert hand.confirmed == [1]
        url = f"mqtt://cam:right@127.0.0.1:{broker.port}"
        output = MqttOutput(MqttConfig.model_validate({"url": url}), context(tmp_path, home=OneHome()))
        await output.deliver(Hand([delivery(1)]).__aiter__())


async def test_a_message_that_the_broker_refuses_is_not_confirmed(tmp_path, caplog):
    needs_mosquitto("a broker with rights")
    rights = "topic readwrite camscribe/hub/#\ntopic readwrite camscribe/status\ntopic readwrite camscribe/+/state\n"
    rights += "topic readwrite camscribe/+/health\n"
    async with Broker.running(tmp_path / "strict", rights=rights) as broker:
        hand = Hand([delivery(1)])
        with pytest.raises(OutputUnavailable, match="refused a message to camscribe/front_door/availability") as caught:
            await mqtt(broker, tmp_path).deliver(hand.__aiter__())
    assert "Nothing is announced to Home Assistant, because the MQTT broker refused a message" in caplog.text
    assert hand.confirmed == []
    assert caught.value.retry_after == 60


async def test_the_client_id_is_made_up_once(broker, tmp_path):
    needs_mosquitto("the broker's log")
    await mqtt(broker, tmp_path / "data").deliver(Hand().__aiter__())
    made = (tmp_path / "data" / "mqtt.client_id").read_text()
    assert made.startswith("camscribe_")
    await mqtt(broker, tmp_path / "data").deliver(Hand().__aiter__())
    assert (tmp_path / "data" / "mqtt.client_id").read_text() == made
    assert broker.log.count(f"as {made} ") == 2


# Bugs are not outages


async def test_a_bug_in_the_home_comes_out_as_itself(broker, tmp_path):
    class Broken(OneHome):
        async def changes(self):
            yield self.state
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(mqtt(broker, tmp_path, Broken()).deliver(Hand(stay=True).__aiter__()), 15)
