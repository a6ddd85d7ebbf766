"""What Home Assistant is told, and that what has gone is taken back."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Self

import pytest

from agent.plugin import BooleanQuestion, CameraInfo, ChoiceQuestion, NumberQuestion, TextQuestion
from plugins.outputs.mqtt import MqttConfig, MqttOutput, announcing, payloads
from plugins.outputs.mqtt.discovery import Announcer
from plugins.outputs.mqtt.topics import Topics
from tests.fakes.broker import Broker, Listener, needs_mosquitto
from tests.fakes.deliveries import Hand, OneHome, context, delivery

QUESTIONS = {
    "person": BooleanQuestion(type="boolean", ask="Is there a person?", device_class="occupancy"),
    "cars": NumberQuestion(type="number", ask="How many cars?", max=10, unit="cars"),
    "gate": ChoiceQuestion(type="choice", ask="Is the gate open?", options=("open", "closed")),
    "items": TextQuestion(ask="What lies there?"),
}
CONFIG = "homeassistant/device/camscribe/{}/config"
DOOR = CONFIG.format("front_door")
ROOT = {"device", "origin", "components", "availability", "availability_mode", "qos"}
"""What Home Assistant of 2024.11 takes there."""


def devices(home: OneHome, base: str = "camscribe"):
    return Announcer(Topics(base), 1).devices(home.state)


def questioned(**fields: object) -> OneHome:
    home = OneHome()
    home.set("front_door", questions=QUESTIONS, fresh_for=130.0, **fields)
    return home


class Running:
    """An output that talks to the broker until the test ends."""

    def __init__(self, broker: Broker, folder, home: OneHome, **options) -> None:
        self.hand = Hand(stay=True)
        self.output = MqttOutput(MqttConfig.model_validate({**broker.config, **options}), context(folder, "mqtt", home))

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.output.deliver(self.hand.__aiter__()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hand.stop()
        _, left = await asyncio.wait({self.task}, timeout=10)
        for task in left:  # a test that gave it other deliveries
            task.cancel()


async def retained(broker: Broker, *, until: int) -> dict[str, bytes]:
    """What the broker keeps, once there are so many topics."""
    async with Listener.at(broker) as late:
        await late.until(lambda heard: len({str(one.topic) for one in heard if one.retain}) >= until)
        await asyncio.sleep(0.3)
        return {str(one.topic): one.payload for one in late.heard if one.retain}


def test_the_root_is_closed_and_every_entity_is_identified():
    for whole in devices(questioned()).values():
        assert whole.keys() <= ROOT
        assert whole["origin"]["name"] == "camscribe"
        assert whole["device"].keys() <= {
            "identifiers", "name", "manufacturer", "model", "sw_version", "via_device", "suggested_area"
        }  # fmt: skip
        for key, one in whole["components"].items():
            assert one["unique_id"].endswith(key)
            assert re.fullmatch(rf"{one['platform']}\.[a-z0-9_]+", one["default_entity_id"])
            assert one["qos"] == 1
            assert one["name"]
            if one["platform"] in ("sensor", "binary_sensor"):
                assert one.get("entity_category") in (None, "diagnostic")
    ids = [one["unique_id"] for whole in devices(questioned()).values() for one in whole["components"].values()]
    assert len(set(ids)) == len(ids)


def test_each_question_becomes_the_entity_that_fits():
    components = devices(questioned())["front_door"]["components"]
    person, cars, gate, items = (components[f"answer_{id_}"] for id_ in QUESTIONS)
    assert (person["platform"], person["device_class"]) == ("binary_sensor", "occupancy")
    assert (cars["state_class"], cars["unit_of_measurement"]) == ("measurement", "cars")
    assert (gate["device_class"], gate["options"]) == ("enum", ["open", "closed"])
    assert items["platform"] == "sensor"
    assert all(one["expire_after"] == 160 for one in (person, cars, gate, items))
    assert components["seen"]["event_types"] == ["caption", "error", "person"]


def test_what_is_seen_follows_agent_and_camera_and_the_rest_the_agent_alone():
    whole = devices(questioned())["front_door"]
    both = {key for key, one in whole["components"].items() if "availability" in one}
    assert both == {"caption", "picture", "answer_person", "answer_cars", "answer_gate", "answer_items"}
    assert all(whole["components"][key]["availability_mode"] == "all" for key in both)
    assert whole["availability"] == [{"topic": "camscribe/status"}]


def test_a_camera_without_an_interval_has_answers_that_do_not_expire():
    home = questioned()
    home.set("front_door", fresh_for=None)
    assert "expire_after" not in devices(home)["front_door"]["components"]["answer_person"]


def test_names_change_and_ids_stay():
    home = questioned()
    before = devices(home)["front_door"]
    home.set("front_door", name="Haustür/+# 🚪", area="Entrance")
    after = devices(home)["front_door"]
    assert after["device"]["name"] == "Haustür/+# 🚪"
    assert after["device"]["suggested_area"] == "Entrance"
    assert after["device"]["identifiers"] == before["device"]["identifiers"]
    assert after["components"] == before["components"]


@pytest.mark.parametrize("base", ["camscribe", "home/camscribe", "home_camscribe", "Über uns", "+".replace("+", "ü")])
def test_two_camscribes_share_no_id(base):
    assert re.fullmatch("[a-z0-9_]+", Topics(base).node)
    others = {Topics(one).node for one in ("camscribe2", "home/camscribe/", "home-camscribe", "über uns")}
    assert Topics(base).node not in others


async def test_a_camera_that_goes_leaves_nothing_behind(broker, tmp_path):
    home = OneHome("front_door", "garage")
    async with Running(broker, tmp_path, home) as running:
        running.hand.give(delivery(1, camera="garage"))
        await running.hand.confirms(1)
        home.touch(cameras={"front_door": home.state.cameras["front_door"]})
        for _ in range(50):
            kept = await retained(broker, until=7)
            if not (left := [topic for topic in kept if "garage" in topic]):
                break
        assert not left


async def test_what_an_earlier_run_announced_is_taken_back(broker, tmp_path):
    async with Running(broker, tmp_path, OneHome("front_door", "garage")) as running:
        running.hand.give(delivery(1, camera="garage"))
        await running.hand.confirms(1)
    assert any("garage" in topic for topic in await retained(broker, until=12))
    async with Listener.at(broker) as listener, Running(broker, tmp_path / "other", questioned()):
        await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["online"])
        cleared = [str(one.topic) for one in listener.heard if not one.payload and not one.retain]
        # The entity goes before its picture: an empty one can't be shown.
        assert cleared[0] == CONFIG.format("garage")
        assert {f"camscribe/garage/{what}" for what in ("state", "picture", "health", "availability")} <= {*cleared}
    assert not [topic for topic in await retained(broker, until=7) if "garage" in topic]


async def test_a_question_that_goes_or_changes_its_kind_takes_its_entity_along(broker, listener, tmp_path):
    home = questioned()
    async with Running(broker, tmp_path, home):
        await listener.until(lambda heard: heard.on(DOOR))
        cars = TextQuestion(ask="Which cars?")
        home.set("front_door", questions={"person": QUESTIONS["person"], "cars": cars, "gate": cars})
        first, stubs, last = await listener.until(lambda heard: len(heard.on(DOOR)) == 3 and heard.json(DOOR))
    assert stubs["components"]["answer_items"] == {"platform": "sensor"}
    assert "answer_items" not in last["components"]
    assert first["components"]["answer_items"]["platform"] == "sensor"
    # The same platform is changed in place.
    assert stubs["components"]["answer_gate"] == last["components"]["answer_gate"]


async def test_a_component_of_another_platform_is_taken_back_first(broker, listener, tmp_path):
    home = questioned()
    async with Running(broker, tmp_path, home):
        await listener.until(lambda heard: heard.on(DOOR))
    async with Running(broker, tmp_path / "other", home) as _:
        home.set("front_door", questions={**QUESTIONS, "person": TextQuestion(ask="Who?")})
        told = await listener.until(
            lambda heard: (
                heard.json(DOOR)[-1]["components"]["answer_person"].get("platform") == "sensor" and heard.json(DOOR)
            )
        )
    assert told[-2]["components"]["answer_person"] == {"platform": "binary_sensor"}


async def test_without_discovery_nothing_is_announced_and_the_old_is_taken_back(broker, listener, tmp_path):
    async with Running(broker, tmp_path, OneHome()):
        await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["online"])
    async with Running(broker, tmp_path, OneHome(), discovery=False):
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online", "offline", "online"])
    kept = await retained(broker, until=5)
    assert not [topic for topic in kept if topic.startswith("homeassistant/")]
    assert "camscribe/front_door/state" in kept


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"base_topic": "barn"}, {"camscribe/", "homeassistant/device/camscribe/"}),
        ({"discovery_prefix": "ha"}, {"homeassistant/"}),
    ],
)
async def test_another_base_topic_or_prefix_leaves_no_ghost(broker, listener, tmp_path, change, gone):
    async with Running(broker, tmp_path, OneHome()) as running:
        running.hand.give(delivery(1))
        await running.hand.confirms(1)
    async with Running(broker, tmp_path, OneHome(), **change) as running:
        running.hand.give(delivery(2))
        await running.hand.confirms(1)
    kept = await retained(broker, until=8)
    assert not [topic for topic in kept if topic.startswith(tuple(gone))]
    assert f"{change.get('base_topic', 'camscribe')}/front_door/picture" in kept
    device = f"device/{change.get('base_topic', 'camscribe')}/front_door/config"
    assert f"{change.get('discovery_prefix', 'homeassistant')}/{device}" in kept


async def test_what_others_announce_is_left_alone(broker, listener, tmp_path):
    ours = Topics("camscribe").announcement("mine")
    foreign = {"device": {}, "origin": {"name": "somebody"}, "components": {}, "availability": []}
    await listener.publish(ours, json.dumps(foreign), retain=True)
    await listener.publish("homeassistant/device/zigbee/lamp/config", "{}", retain=True)
    async with Running(broker, tmp_path, OneHome()):
        await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["online"])
    kept = await retained(broker, until=9)
    assert {ours, "homeassistant/device/zigbee/lamp/config"} <= kept.keys()


@pytest.mark.parametrize("payload", [b"ON", b"{}", b'{"camera": "plug"}', b"[", b"\xff"])
async def test_what_others_keep_below_the_same_base_is_left_alone(broker, listener, tmp_path, payload):
    for what in ("state", "availability", "picture"):
        await listener.publish(f"home/plug/{what}", payload, retain=True)
    async with Running(broker, tmp_path, OneHome(), base_topic="home"):
        await listener.until(lambda heard: heard.text("home/status")[-1:] == ["online"])
    kept = await retained(broker, until=10)
    assert {kept[f"home/plug/{what}"] for what in ("state", "availability", "picture")} == {payload}


async def test_two_camscribes_on_one_broker_take_nothing_from_each_other(broker, listener, tmp_path):
    async with Running(broker, tmp_path / "a", OneHome("front_door"), base_topic="a"):
        await listener.until(lambda heard: heard.text("a/status")[-1:] == ["online"])
        async with Running(broker, tmp_path / "b", OneHome("garage"), base_topic="b"):
            await listener.until(lambda heard: heard.text("b/status")[-1:] == ["online"])
    assert not [one for one in listener.heard if not one.payload]


@pytest.mark.parametrize("payload", ["online", "ONLINE", " Online "])
async def test_home_assistants_birth_is_answered_once_with_everything(broker, listener, tmp_path, monkeypatch, payload):
    monkeypatch.setattr(announcing, "BIRTH_PAUSE", (0.3, 0.3))
    async with Running(broker, tmp_path, OneHome("front_door", "garage")) as running:
        running.hand.give(delivery(1))
        await listener.until(lambda heard: heard.on("camscribe/front_door/event"))
        before = len(listener.heard)
        for _ in range(5):
            await listener.publish("homeassistant/status", payload)
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online", "online"])
        await asyncio.sleep(0.5)
        said = [str(one.topic) for one in listener.heard[before:] if one.topic.value != "homeassistant/status"]
    said = said[: said.index("camscribe/status") + 1]
    assert sorted(said) == sorted(
        [
            *(CONFIG.format(device) for device in ("hub", "front_door", "garage")),
            *(
                f"camscribe/{c}/{what}"
                for c in ("front_door", "garage")
                for what in ("state", "health", "availability")
            ),
            "camscribe/hub/state",
            "camscribe/status",
        ]
    )


async def test_a_broker_that_keeps_nothing_gets_the_pictures_again_too(broker, listener, tmp_path, monkeypatch):
    monkeypatch.setattr(announcing, "BIRTH_PAUSE", (0.0, 0.0))
    async with Running(broker, tmp_path, OneHome(), retain=False) as running:
        running.hand.give(delivery(1))
        await listener.until(lambda heard: heard.on("camscribe/front_door/event"))
        await listener.publish("homeassistant/status", "online")
        await listener.until(lambda heard: len(heard.on("camscribe/front_door/picture")) == 2)


async def test_another_prefix_and_birth_topic(broker, listener, tmp_path, monkeypatch):
    monkeypatch.setattr(announcing, "BIRTH_PAUSE", (0.0, 0.0))
    options = {"discovery_prefix": "ha/found", "birth_topic": "ha/born", "birth_payload": "hello"}
    topic = "ha/found/device/camscribe/front_door/config"
    async with Running(broker, tmp_path, OneHome(), **options):
        await listener.until(lambda heard: heard.on(topic))
        await listener.publish("ha/born", "bye")
        await listener.publish("ha/born", "hello")
        await listener.until(lambda heard: len(heard.on(topic)) == 2)


async def test_thirty_cameras_with_five_questions_are_announced_in_time_and_size(broker, listener, tmp_path):
    home = OneHome(*(f"camera_{number}" for number in range(30)))
    asked = {**QUESTIONS, "dog": BooleanQuestion(type="boolean", ask="Is there a dog on the lawn or on the path?")}
    for id_ in [*home.state.cameras]:
        home.set(id_, questions=asked, fresh_for=100.0, area="Somewhere outside", prompt="x" * 4000)
    began = asyncio.get_running_loop().time()
    async with Running(broker, tmp_path, home):
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online"])
        took = asyncio.get_running_loop().time() - began
        sizes = [len(one.payload) for one in listener.heard.on("homeassistant/#")]
    print(f"30 cameras announced in {took:.2f} s; {max(sizes)} bytes the largest of {len(sizes)} announcements")
    assert len(sizes) == 31
    assert max(sizes) < 60_000
    assert took < 5


async def test_an_announcement_too_large_is_said_and_the_rest_goes_on(tmp_path, caplog):
    needs_mosquitto("a limit on packets")
    async with (
        Broker.running(tmp_path / "small", extra="max_packet_size 6000") as broker,
        Listener.at(broker) as listener,
        Running(broker, tmp_path, questioned()),
    ):
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online"])
    assert "front_door is not announced to Home Assistant: that takes" in caplog.text.replace(DOOR, "")


async def test_an_answer_that_turns_to_yes_is_an_event_once(broker, listener, tmp_path):
    home = questioned()

    def look(number: int, steady: bool | None):
        return delivery(number, answers={"person": {"value": steady, "steady": steady}})

    async with Running(broker, tmp_path, home) as running:
        for number, steady in enumerate([False, True, True, None, True, False, True], start=1):
            running.hand.give(look(number, steady))
        await running.hand.confirms(7)
        events = await listener.until(lambda h: len(h.on("camscribe/front_door/event")) >= 10 and h)
    kinds = " ".join(one["event_type"] for one in events.json("camscribe/front_door/event"))
    assert kinds == "caption caption person caption caption caption person caption caption person"


async def test_a_question_that_turned_is_told_again_where_it_was_not_confirmed(broker, listener, tmp_path):
    home = questioned()
    off, on = ({"person": {"value": one, "steady": one}} for one in (False, True))
    async with Running(broker, tmp_path, home) as running:
        running.hand.give(delivery(1, answers=off))
        await running.hand.confirms(1)
        output = running.output
        broker.freeze()
        running.hand.give(delivery(2, answers=on))
        await asyncio.sleep(0.3)
        running.task.cancel()
        await asyncio.wait({running.task})
        broker.thaw()
        again = Hand([delivery(2, answers=on)])
        running.task = asyncio.create_task(output.deliver(again.__aiter__()))
        await listener.until(
            lambda heard: "person" in [one["event_type"] for one in heard.json("camscribe/front_door/event")]
        )


async def test_a_look_that_is_told_late_is_no_event(broker, listener, tmp_path):
    async with Running(broker, tmp_path, OneHome()) as running:
        running.hand.give(delivery(1, age=61))
        running.hand.give(delivery(2, age=59))
        await running.hand.confirms(2)
        events = await listener.until(lambda heard: heard.json("camscribe/front_door/event"))
    assert [one["id"][-1] for one in events] == ["2"]


async def test_somebody_elses_goodbye_on_our_status_is_put_right(broker, listener, tmp_path):
    async with Running(broker, tmp_path, OneHome()):
        await listener.until(lambda heard: heard.text("camscribe/status"))
        await listener.publish("camscribe/status", "offline", retain=True)
        await listener.until(lambda heard: heard.text("camscribe/status")[-1] == "online")


async def test_a_look_of_before_the_start_that_is_told_now_turns_the_answer(broker, listener, tmp_path):
    home = questioned()
    late = delivery(1, answers={"person": {"value": True, "steady": True}})
    home.set("front_door", last=late.observation)
    async with Running(broker, tmp_path, home) as running:
        running.hand.give(late)
        await listener.until(
            lambda heard: "person" in [one["event_type"] for one in heard.json("camscribe/front_door/event")]
        )


async def test_a_newer_look_that_waits_behind_a_backlog_is_shown_without_its_picture(broker, listener, tmp_path):
    home = OneHome()
    async with Running(broker, tmp_path, home) as running:
        running.hand.give(delivery(1))
        await running.hand.confirms(1)
        home.set("front_door", last=delivery(9, "A dog.").observation)
        state = await listener.until(
            lambda heard: [one for one in heard.json("camscribe/front_door/state") if one["caption"] == "A dog."]
        )
    assert state[0]["picture"] is None


def test_answers_that_are_not_fresh_are_none():
    camera = questioned().state.cameras["front_door"]
    look = delivery(1, answers={"person": {"value": True, "confidence": 0.9, "steady": True}}).observation
    told = payloads.state(camera, look, picture=True, fresh=False)
    assert told["answers"]["person"] == {"value": None, "confidence": None, "steady": None}
    assert told["caption"] == look.caption


async def test_the_hubs_counters_are_no_stream(broker, listener, tmp_path):
    home = OneHome()
    async with Running(broker, tmp_path, home):
        await listener.until(lambda heard: heard.text("camscribe/status"))
        for rate in range(20):
            home.touch(captions_per_minute=float(rate))
            await asyncio.sleep(0.05)
        assert len(listener.heard.on("camscribe/hub/state")) == 1
        home.touch(paused=True)
        hub = await listener.until(lambda heard: heard.json("camscribe/hub/state")[1:])
    assert (hub[-1]["paused"], hub[-1]["captions_per_minute"]) == ("ON", 19)


async def test_a_broker_that_keeps_nothing_more_still_forgets_what_it_kept(broker, listener, tmp_path):
    async with Running(broker, tmp_path, OneHome("front_door", "garage")) as running:
        running.hand.give(delivery(1, camera="garage"))
        await running.hand.confirms(1)
    async with Running(broker, tmp_path, OneHome("front_door"), retain=False):
        await listener.until(lambda heard: heard.text("camscribe/status") == ["online", "offline", "online"])
    assert not [topic for topic in await retained(broker, until=7) if "garage" in topic]


def test_what_the_file_may_say_home_assistant_takes():
    home = questioned()
    home.set("front_door", every=864_000.0, captioner=("small",), configured=("big", "small"))
    home.touch(captioners=("big", "small"))
    components = devices(home)["front_door"]["components"]
    assert components["every"]["max"] == 864_000
    assert components["captioner"]["options"] == ["big", "small", "big, small"]


async def test_a_free_question_is_an_answer_and_no_state(broker, listener, tmp_path):
    home = questioned()
    home.set("front_door", fresh_for=None)
    async with Running(broker, tmp_path, home) as running:
        running.hand.give(delivery(1, answers={"person": {"value": True, "confidence": 0.9, "steady": True}}))
        running.hand.give(delivery(2, "It is blue. " * 40, prompt="Which colour?", ad_hoc=True, newest=False))
        running.hand.give(delivery(3, None, prompt="Which size?", ad_hoc=True))
        await running.hand.confirms(3)
        told = (await listener.until(lambda h: len(h.on("camscribe/front_door/answer")) == 2 and h)).json(
            "camscribe/front_door/answer"
        )
    assert told[0]["question"] == "Which colour?"
    assert told[0]["answer"] == "It is blue. " * 40
    assert len(told[0]["short"]) <= 255
    assert (told[1]["short"], told[1]["error"]["kind"]) == (None, "timeout")
    states = listener.heard.json("camscribe/front_door/state")
    assert states[-1]["caption"] == "A person stands at the door."
    assert states[-1]["answers"]["person"] == {"value": True, "confidence": 0.9, "steady": True}
    assert states[-1]["answers"]["gate"] == {"value": None, "confidence": None, "steady": None}
    assert not [one for one in listener.heard.json("camscribe/front_door/event") if one["event_type"] == "error"]


def test_every_key_a_template_reads_is_there_before_the_first_look():
    home = questioned()
    camera: CameraInfo = home.state.cameras["front_door"]
    messages = {
        "state": payloads.state(camera, None, picture=False),
        "health": payloads.health(camera),
        "hub": payloads.hub(home.state),
    }
    for device, whole in devices(home).items():
        for one in whole["components"].values():
            what = one.get("state_topic", "").rpartition("/")[2]
            message = messages["hub" if device == "hub" else what] if what in ("state", "health") else None
            for template in (one.get("value_template", ""), one.get("json_attributes_template", "")):
                for key in re.findall(r"value_json\.(\w+)", template) if message else ():
                    assert key in message, template
            for id_ in re.findall(r"answers.get\('(\w+)'", one.get("value_template", "")):
                assert id_ in messages["state"]["answers"]


@pytest.mark.parametrize(
    ("id_", "value", "fits"),
    [
        ("person", True, True),
        ("person", "yes", False),
        ("cars", 3, True),
        ("cars", True, False),
        ("cars", 11, False),
        ("gate", "open", True),
        ("gate", "ajar", False),
        ("items", "a box", True),
        ("items", 3, False),
    ],
)
def test_an_answer_of_an_earlier_question_is_none(id_, value, fits):
    camera = questioned().state.cameras["front_door"]
    look = delivery(1, answers={id_: {"value": value, "confidence": 0.5}}).observation
    assert payloads.state(camera, look, picture=True)["answers"][id_]["value"] == (value if fits else None)


async def test_an_answer_is_told_after_the_question_it_answers(broker, listener, tmp_path):
    home = OneHome()
    async with Running(broker, tmp_path, home) as running:
        await listener.until(lambda heard: heard.text("camscribe/status"))
        home.set("front_door", questions=QUESTIONS)
        running.hand.give(delivery(1, answers={"gate": {"value": "open"}}))
        await running.hand.confirms(1)
        await listener.until(lambda heard: heard.on("camscribe/front_door/event"))
    order = [
        "config" if str(one.topic) == DOOR else json.loads(one.payload)["answers"]["gate"]["value"]
        for one in listener.heard
        if str(one.topic) == DOOR or (b'"gate"' in one.payload and str(one.topic).endswith("/state"))
    ]
    assert order[:2] == ["config", "config"]


def test_a_home_that_is_the_same_is_announced_the_same():
    assert devices(questioned()) == devices(questioned())
