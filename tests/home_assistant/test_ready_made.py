"""The blueprint and the dashboard in home-assistant/, and docs/home-assistant.md, at a real Home Assistant."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from plugins.outputs.mqtt.commands import OF_A_CAMERA, OF_THE_HUB
from tests.fakes.broker import Broker, Listener
from tests.fakes.home_assistant import INSTALLED, HomeAssistant, Version
from tests.fakes.scenes import known_scenes
from tests.fakes.service import ROOT, Service, camscribe, write_config

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

BLUEPRINT = ROOT / "home-assistant/blueprints/automation/camscribe/tell_me_when.yaml"
DASHBOARD = ROOT / "home-assistant/dashboard.yaml"
DOCS = ROOT / "docs/home-assistant.md"
SEEN = "camscribe_front_door_seen"
CAPTION = "camscribe_front_door_caption"
IMAGE = "/api/image_proxy/image.camscribe_front_door_picture"
BROKER_GONE = r"failed to receive on socket|not currently connected|The connection was lost"
NEVER = {"hours": 0, "minutes": 0, "seconds": 0}
MESSAGE = """\
{{ {'camera': camera, 'caption': caption, 'seen': seen, 'image': image, 'error': error, 'message': message,
    'at': now().timestamp()} | to_json }}"""


def questions() -> dict[str, Any]:
    """What the dashboard says that the camera is asked."""
    commented = re.search(r"^#   (questions:\n(?:#  .*\n)+)", DASHBOARD.read_text(), re.MULTILINE)[1]
    return yaml.safe_load(commented.replace("\n#   ", "\n"))["questions"]


class House:
    """A camera whose next picture comes at each look, with somebody and with nobody on it in turn."""

    def __init__(self, folder: Path, broker: Broker, ha: HomeAssistant, listener: Listener) -> None:
        self.broker, self.ha, self.listener = broker, ha, listener
        self.service: Service | None = None
        scenes = known_scenes(12)
        people = [scene for scene in scenes if "person" in scene[0]]
        others = [scene for scene in scenes if "person" not in scene[0]]
        self.truths = [caption for pair in zip(others, people, strict=False) for caption, _ in pair]
        (folder / "pictures").mkdir()
        for number, (_, picture) in enumerate(scene for pair in zip(others, people, strict=False) for scene in pair):
            picture.save(folder / f"pictures/{number}.png")
        camera = {
            "name": "Front door",
            "source": {"use": "file", "path": str(folder / "pictures"), "pace": "step"},
            "every": "1h",
            "questions": questions(),
        }
        outputs = {"mqtt": broker.config}
        self._config = write_config(
            folder, {"model": {"preset": "tiny"}, "outputs": outputs, "cameras": {"front_door": camera}}
        )
        self._running = AsyncExitStack()
        self._ids = count(1)

    async def start(self) -> None:
        """Until Home Assistant knows of its first look, on which nobody is."""
        before = {look["id"] for look in self.looks}
        self.service = await self._running.enter_async_context(camscribe("run", "--config", str(self._config)))
        # A look of before a power cut may be delivered once more: what is waited for is a new one.
        await self.listener.until(lambda _: self.looks and self.looks[-1]["id"] not in before, 60)
        # The event itself may be too early for who is only just told of it.
        await self.shows(self.looks[-1]["id"], CAPTION)

    async def stop(self) -> None:
        assert self.service
        assert await self.service.stop() == 0
        await self._running.aclose()

    async def kill(self) -> None:
        await self._running.aclose()

    @property
    def looks(self) -> list[dict[str, Any]]:
        return self.listener.heard.json("camscribe/front_door/observation")

    async def look(self) -> dict[str, Any]:
        """At the next picture."""
        before = len(self.looks)
        await self.ha.call("button", "press", "camscribe_front_door_look")
        await self.listener.until(lambda _: len(self.looks) > before, 30)
        await self.shows(self.looks[-1]["id"])
        return self.looks[-1]

    async def shows(self, id_: str, *entities: str) -> None:
        """The look is the last that Home Assistant has been told of."""
        await self.ha.until(lambda: self._show(id_, entities or (CAPTION, SEEN)), 40)

    async def _show(self, id_: str, entities: tuple[str, ...]) -> bool:
        states = [await self.ha.state(entity) for entity in entities]
        return all(state and state["attributes"].get("id") == id_ for state in states)

    async def seen(self, kind: str = "person", caption: str | None = "A person in red.", **more: Any) -> None:
        """What camscribe would tell of such a look."""
        real = self.listener.heard.json("camscribe/front_door/event")[-1]
        told = {"id": f"made-up-{next(self._ids)}", "taken_at": datetime.now(UTC).isoformat(), "error": None, **more}
        event = real | {"event_type": kind, "caption": caption, "short": caption} | told
        await self.listener.publish("camscribe/front_door/event", json.dumps(event))

    # Home Assistant remembers of an automation with the same name when it told something last.
    @asynccontextmanager
    async def automation(self, name: str, **inputs: Any) -> AsyncIterator[Told]:
        """One that is made of the blueprint, as its editor makes it; it tells an MQTT topic and the event bus."""
        topic = f"told/{name}/{next(self._ids)}"
        publish = {"action": "mqtt.publish", "data": {"topic": topic, "payload": MESSAGE}}
        fire = {"event": "told", "event_data": {"caption": "{{ caption }}", "image": "{{ image }}"}}
        seen = await self.ha.entity(SEEN)
        assert seen
        actions = {"seen": seen["entity_id"], "actions": [publish, fire]}
        path = await self.ha.blueprint(BLUEPRINT)
        await self.ha.automation({"use_blueprint": {"path": path, "input": actions | inputs}}, name)
        try:
            yield Told(self.listener, topic)
        finally:
            await self.ha.api.request("DELETE", f"/api/config/automation/config/{name}")


class Told:
    """What an automation has told so far."""

    def __init__(self, listener: Listener, topic: str) -> None:
        self._listener, self._topic = listener, topic

    @property
    def all(self) -> list[dict[str, Any]]:
        heard = self._listener.heard.json(self._topic)
        return [{key: value for key, value in one.items() if key != "at"} for one in heard]

    @property
    def times(self) -> list[float]:
        return [one["at"] for one in self._listener.heard.json(self._topic)]

    @property
    def captions(self) -> list[str]:
        return [one["caption"] for one in self.all]

    async def until(self, number: int) -> list[str]:
        """So many; the captions, of which there may be more."""
        await self._listener.until(lambda _: len(self.all) >= number, 10)
        return self.captions


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(broker: Broker, ha: HomeAssistant, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with Listener.at(broker) as listener:
        house = House(tmp_path_factory.mktemp("camscribe"), broker, ha, listener)
        try:
            await house.start()
            yield house
        finally:
            await house.kill()


async def test_it_tells_when_somebody_comes_and_not_while_they_stay(house: House) -> None:
    async with house.automation("person", what=["person"], quiet=NEVER) as told, house.ha.watching("told") as seen:
        look = await house.look()
        assert look["answers"]["person"]["value"] is True, "the picture is one of somebody"
        assert look["caption"] == house.truths[1]
        await told.until(1)
        await seen.until(lambda seen: seen.fired("told"))
        assert told.all == [
            {
                "camera": "Front door",
                "caption": look["caption"],
                "seen": "person",
                "image": IMAGE,
                "error": "",
                "message": look["caption"],
            }
        ]
        (fired,) = seen.fired("told")
        assert fired["data"] == {"caption": look["caption"], "image": IMAGE}
        assert (await house.ha.api.request("GET", IMAGE)).content[:2] == b"\xff\xd8"

        nobody = await house.look()
        assert nobody["answers"]["person"]["value"] is False
        again = await house.look()
        assert await told.until(2) == [look["caption"], again["caption"]]
    assert house.ha.complaints == []


async def test_every_caption_where_that_is_wanted(house: House) -> None:
    async with house.automation("every", what=["caption"], quiet=NEVER) as told:
        captions = [(await house.look())["caption"] for _ in range(3)]
        assert await told.until(3) == captions
        assert {one["seen"] for one in told.all} == {"caption"}


@pytest.mark.parametrize("what", [["Person "], "person", ["error", "person"]])
async def test_names_are_taken_as_people_write_them(house: House, what: Any) -> None:
    async with house.automation("names", what=what, quiet=NEVER) as told:
        await house.seen("caption", "An event of another kind.")
        await house.seen("person", "This one.")
        assert await told.until(1) == ["This one."]


async def test_two_things_seen_in_the_same_millisecond_are_two(house: House) -> None:
    """Home Assistant's state of an event is its time, so that of the second is the same."""
    async with house.automation("moment", what=["person"], quiet=NEVER) as told:
        await house.seen("caption", "A person.")
        await house.ha.until(lambda: _shows(house.ha, "A person."))
        state = await house.ha.state(SEEN)
        person = state["attributes"] | {"event_type": "person"}
        await house.ha.api.post(f"/api/states/{state['entity_id']}", {"state": state["state"], "attributes": person})
        assert await told.until(1) == ["A person."]


async def test_a_look_that_failed_has_no_caption_and_no_picture(house: House) -> None:
    error = {"kind": "timeout", "message": "The camera gave no picture within 5 s."}
    async with house.automation("error", what=["error"], quiet=NEVER, words=["person"]) as told:
        await house.seen("error", None, error=error)
        await told.until(1)
    (one,) = told.all
    assert (one["caption"], one["image"]) == ("", "")
    assert one["error"] == one["message"] == error["message"]


async def test_nothing_more_within_the_quiet_time(house: House) -> None:
    quiet = 3
    async with house.automation("quiet", what=["person"], quiet=NEVER | {"seconds": quiet}) as told:
        async with asyncio.timeout(30):
            for number in count():
                if len(told.all) == 3:
                    break
                await house.seen("person", f"Person {number}")
                await asyncio.sleep(0.1)
    assert [later - earlier >= quiet for earlier, later in pairwise(told.times)] == [True, True]


QUIET = {"default": {}, "form": {"quiet": {"minutes": 5}}, "text": {"quiet": "00:05:00"}, "seconds": {"quiet": 300}}


@pytest.mark.parametrize("how", QUIET)
async def test_a_flood_is_one_message(house: House, how: str) -> None:
    async with (
        house.automation(f"flood_{how}", what=["person"], **QUIET[how]) as told,
        house.automation(f"end_{how}", what=["caption"]) as end,
    ):
        await asyncio.gather(*(house.seen("person", f"Person {number}") for number in range(10)))
        await house.seen("caption", "The end.")
        await end.until(1)
        assert len(told.all) == 1


WORDS = [
    (["cat"], ["A cat sits.", "CAT!", "One (cat)"], ["A category.", "Two cats.", "A dog."]),
    (["Dog", "red car"], ["a dog", "A RED  CAR."], ["A car.", "A red cart.", "Hotdog."]),
    (["dog, cat"], ["A cat.", "A dog."], ["A bird."]),
    (["Ärztin", "C++"], ["Eine ÄRZTIN.", "It says C++ here."], ["Eine Notärztin.", "It says C here.", "ccc"]),
    ([".*"], ["It says .* here."], ["A dog."]),
    (["", " "], ["Anything."], []),
]


@pytest.mark.parametrize(("words", "good", "bad"), WORDS, ids=lambda value: "")
async def test_words(house: House, words: list[str], good: list[str], bad: list[str]) -> None:
    async with house.automation("words", what=["caption"], quiet=NEVER, words=words) as told:
        for caption in [*bad, *good]:
            await house.seen("caption", caption)
        assert await told.until(len(good)) == good


async def test_whatever_else_must_be_true(house: House) -> None:
    condition = {"condition": "template", "value_template": "{{ 'wanted' in caption and camera == 'Front door' }}"}
    async with house.automation("if", what=["person"], quiet=NEVER, conditions=[condition]) as told:
        await house.seen("person", "Not this one.")
        await house.seen("person", "This is wanted.")
        assert await told.until(1) == ["This is wanted."]


async def test_news_that_come_late_are_none(house: House) -> None:
    async with house.automation("late", what=["person"], quiet=NEVER) as told:
        await house.seen("person", "An hour ago.", taken_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
        await house.seen("person", "A minute ago.", taken_at=(datetime.now(UTC) - timedelta(minutes=1)).isoformat())
        assert await told.until(1) == ["A minute ago."]


async def test_what_comes_back_out_of_nowhere_is_no_news(house: House) -> None:
    """As a restart might show it that goes by "unknown"."""
    async with house.automation("nowhere", what=["person"], quiet=NEVER) as told:
        await house.seen("person", "Before.")
        await told.until(1)
        state = await house.ha.state(SEEN)
        old = (datetime.now(UTC) - timedelta(minutes=2)).isoformat(timespec="milliseconds")
        for value in ("unknown", old, "unavailable", state["state"]):
            changed = {"state": value, "attributes": state["attributes"]}
            await house.ha.api.post(f"/api/states/{state['entity_id']}", changed)
        await house.seen("person", "After.")
        assert await told.until(2) == ["Before.", "After."]


async def test_another_picture_and_another_name(house: House) -> None:
    device = next(one for one in await house.ha.devices() if one["name"] == "Front door")

    async def rename(name: str | None) -> None:
        await house.ha.api.ask("config/device_registry/update", device_id=device["id"], name_by_user=name)

    async with house.automation("other", what=["person"], quiet=NEVER, image="image.another") as told:
        await rename("Way in")
        try:
            await house.seen("person", "Before.")
            await told.until(1)
        finally:
            await rename(None)  # which changes the entity too, and nothing was seen
        await house.seen("person", "After.")
        assert await told.until(2) == ["Before.", "After."]
    assert [one["camera"] for one in told.all] == ["Way in", "Front door"]
    assert {one["image"] for one in told.all} == {"/api/image_proxy/image.another"}


async def test_run_by_hand_it_tells_what_was_seen_last(house: House) -> None:
    async with house.automation("hand", what=["person"], quiet=NEVER) as told:
        await house.seen("caption", "What was seen last.")
        await house.ha.until(lambda: _shows(house.ha, "What was seen last."))
        await house.ha.call("automation", "trigger", "hand")
        assert await told.until(1) == ["What was seen last."]
        await house.ha.call("automation", "trigger", "hand", skip_condition=False)
        await house.seen("person", "A person.")
        assert (await told.until(2))[1:] == ["A person."]


async def _shows(ha: HomeAssistant, caption: str) -> bool:
    return (await ha.state(SEEN))["attributes"].get("caption") == caption


async def test_without_an_action_home_assistant_shows_it_by_itself(house: House) -> None:
    path = await house.ha.blueprint(BLUEPRINT)
    inputs = {"seen": (await house.ha.entity(SEEN))["entity_id"], "what": ["person"]}
    await house.ha.automation({"use_blueprint": {"path": path, "input": inputs}}, "default")
    await house.seen("person", "A person in green.")

    async def shown() -> bool:
        notes = await house.ha.api.ask("persistent_notification/get")
        return [(one["title"], one["message"]) for one in notes] == [("Front door", "A person in green.")]

    await house.ha.until(shown)
    await house.ha.call("persistent_notification", "dismiss_all")
    await house.ha.api.request("DELETE", "/api/config/automation/config/default")


async def test_restarts_are_no_news(house: House) -> None:
    """Whatever restarts, what was seen before stays told, and what is seen then is told."""
    ha = house.ha
    async with (
        house.automation("restarts", what=["person", "error"], quiet=NEVER) as told,
        house.automation("long", what=["person"], quiet=NEVER | {"hours": 1}) as long,
    ):
        expected: list[str] = []

        async def news(caption: str) -> None:
            await house.seen("person", caption)
            expected.append(caption)
            assert await told.until(len(expected)) == expected

        await house.look()
        while "person" not in house.looks[-1]["caption"]:
            await house.look()
        expected += await told.until(1)

        # Home Assistant, with camscribe there all the time.
        await ha.stop()
        await ha.start()
        await house.shows(house.looks[-1]["id"])
        await news("After Home Assistant.")

        # camscribe. Its first look is a real one, on which nobody is.
        await house.stop()
        await ha.until(lambda: _is_away(ha))
        await house.start()
        assert house.looks[-1]["caption"] == house.truths[0]
        await news("After camscribe.")

        # camscribe once more, by a power cut while Home Assistant is away too.
        await ha.stop()
        await house.kill()
        await ha.start()
        await ha.until(lambda: _is_away(ha))
        await house.start()
        await news("After both.")
        assert long.captions == expected[:1], "a restart does not end the quiet time"
    assert ha.complaints == []


async def _is_away(ha: HomeAssistant) -> bool:
    state = await ha.state(SEEN)
    return state is not None and state["state"] == "unavailable"


# The dashboard


def dashboard() -> dict[str, Any]:
    return yaml.safe_load(DASHBOARD.read_text())


def cards(node: Any) -> Iterator[dict[str, Any]]:
    for view in node["views"]:
        for section in view["sections"]:
            yield from section["cards"]


async def test_the_dashboard_is_taken_and_its_entities_are_there(house: House) -> None:
    place = {"url_path": "camscribe-example"}
    await house.ha.api.ask("lovelace/dashboards/create", **place, title="Example", require_admin=False)
    await house.ha.api.ask("lovelace/config/save", **place, config=dashboard())
    assert await house.ha.api.ask("lovelace/config", **place, force=True) == dashboard()

    named = set(re.findall(r"\b[a-z_]+\.camscribe_\w+", json.dumps(dashboard())))
    states = {state["entity_id"]: state for state in await house.ha.api.ask("get_states")}
    assert len(named) > 10
    assert named - set(states) == set()
    assert {one for one in named if states[one]["state"] == "unavailable"} == set()
    answers = {one for one in named if "_answer_" in one}
    assert {one.partition("_answer_")[2] for one in answers} == set(questions()), "each question has its tile"


async def test_its_cards_come_with_home_assistant(version: Version) -> None:
    (frontend,) = (INSTALLED / version).glob("venv/lib/python3*/site-packages/hass_frontend/frontend_latest")
    programs = "\n".join(program.read_text() for program in frontend.glob("*.js"))
    types = {card["type"] for card in cards(dashboard())}
    assert {"picture-entity", "markdown", "tile"} <= types
    assert {type_ for type_ in types if f"hui-{type_}-card" not in programs} == set()


async def test_its_texts_say_what_is_seen_and_asked(house: House) -> None:
    look = await house.look()
    question = "Is there a person?"
    templates = [card["content"] for card in cards(dashboard()) if card["type"] == "markdown"]
    assert any("Nobody has asked anything yet" in text for text in await _rendered(house.ha, templates))
    await house.ha.call("notify", "send_message", "camscribe_front_door_ask", message=question)

    async def answered() -> bool:
        state = await house.ha.state("camscribe_front_door_answer")
        return state is not None and state["attributes"].get("question") == question

    await house.ha.until(answered, 30)
    caption, answer = await _rendered(house.ha, templates)
    assert caption.strip() == look["caption"]
    assert re.fullmatch(r"\*\*Is there a person\?\*\*\n\n(yes|no)\.?\n\n\d+ seconds? ago", answer.strip())
    assert house.ha.complaints == []


async def _rendered(ha: HomeAssistant, templates: list[str]) -> list[str]:
    return [(await ha.api.request("POST", "/api/template", {"template": one})).text for one in templates]


# The docs


def block(language: str, holds: str) -> str:
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = [one for one in blocks if holds in one]
    return textwrap.dedent(found)


def first_cells(header: str) -> list[str]:
    """What stands in backticks in the first column of the table that begins so."""
    table = DOCS.read_text().split(f"\n| {header} |", 1)[1].split("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


async def test_the_docs_name_every_entity(house: House) -> None:
    told = set(re.findall(r"^\| `([a-z_]+\.camscribe_[^`]+)` \|", DOCS.read_text(), re.MULTILINE))
    answers = {one for one in told if one.endswith("_<question>")}
    assert answers == {f"{kind}sensor.camscribe_front_door_answer_<question>" for kind in ("binary_", "")}
    there = {one["entity_id"] for one in await house.ha.entities()}
    assert told - answers == {one for one in there if "_answer_" not in one}


async def test_the_docs_name_every_topic(house: House) -> None:
    await house.listener.publish("camscribe/front_door/every/set", "never")
    await house.listener.publish("camscribe/front_door/ask/set", "Is there a dog?")
    for topic in ("camscribe/hub/refused", "camscribe/front_door/answer"):
        await house.listener.until(lambda heard, topic=topic: heard.on(topic))
    told = {one.replace("<camera>", "front_door") for one in first_cells("topic | kept")}
    made = {
        str(one.topic).replace("device/camscribe/hub", "device/camscribe/front_door") for one in house.listener.heard
    }
    ours = {one for one in made if one.startswith("camscribe/") and not one.endswith("/set")}
    assert told - ours == {"homeassistant/device/camscribe/front_door/config"} <= made
    assert ours <= told
    async with Listener.at(house.broker) as late:
        await late.until(lambda heard: heard.on("camscribe/front_door/picture"))
        await asyncio.sleep(0.5)
        kept = {str(one.topic) for one in late.heard if one.retain}
    said = {
        row.split("|")[1].strip(" `"): row.split("|")[2].strip() for row in DOCS.read_text().splitlines() if "|" in row
    }
    wanted = {one.replace("<camera>", "front_door") for one in first_cells("topic | kept") if said[one] == "yes"}
    assert wanted <= kept
    assert {one for one in kept if one.startswith("camscribe/")} <= wanted


async def test_the_docs_name_every_command() -> None:
    commands = {one.split("/")[1] + "/" + one.split("/")[2] for one in first_cells("command")}
    assert commands == {f"<camera>/{one}" for one in OF_A_CAMERA} | {f"hub/{one}" for one in OF_THE_HUB}


async def test_the_docs_question_is_answered(house: House) -> None:
    automation = yaml.safe_load(block("yaml", "Is the door shut at night?"))
    await house.ha.automation(automation, "asks")
    await house.ha.call("automation", "trigger", "asks")

    async def told() -> bool:
        notes = await house.ha.api.ask("persistent_notification/get")
        answer = await house.ha.state("camscribe_front_door_answer")
        return [one["message"] for one in notes] == [answer["attributes"].get("answer")]

    await house.ha.until(told, 20)
    assert (await house.ha.state("camscribe_front_door_answer"))["attributes"]["question"].startswith(
        "Is the door open"
    )
    await house.ha.api.request("DELETE", "/api/config/automation/config/asks")
    await house.ha.call("persistent_notification", "dismiss_all")
    assert house.ha.complaints == []


async def test_the_blueprint_is_found_where_the_docs_put_it(house: House) -> None:
    (place,) = set(re.findall(r"`(blueprints/automation/\S+\.yaml)`", DOCS.read_text()))
    target = house.ha.config / place
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(shutil.copy, BLUEPRINT, target)
    found = await house.ha.api.ask("blueprint/list", domain="automation")
    assert found["camscribe/tell_me_when.yaml"]["metadata"]["name"] == "camscribe - tell me when …"


async def test_the_docs_rights_are_enough(tmp_path: Path) -> None:
    rights = block("", "user camscribe") + "user me\ntopic readwrite #\n"
    users = {"camscribe": "secret", "me": "secret"}
    async with (
        Broker.running(tmp_path / "broker", users=users, rights=rights) as broker,
        Listener.at(broker, username="me", password="secret") as listener,
    ):
        outputs = {"mqtt": broker.config | {"username": "camscribe", "password": "secret"}}
        camera = {"source": "demo", "every": "1h"}
        config = {"model": {"preset": "tiny"}, "outputs": outputs, "cameras": {"front_door": camera}}
        async with camscribe("run", "--config", str(write_config(tmp_path, config))) as service:
            await listener.until(lambda heard: heard.on("camscribe/front_door/event"), 60)
            assert listener.heard.on("homeassistant/device/camscribe/front_door/config")
            asking = block("sh", "mosquitto_rr").replace("\\\n", "").replace("homeassistant.local", "127.0.0.1")
            answer = await _said(f"{asking.strip()} -p {broker.port} -W 30")
            assert answer["ok"]
            assert answer["observation"]["prompt"] == "Is the door open?"
            await listener.publish("homeassistant/status", "online")
            before = len(listener.heard.on("homeassistant/device/+/+/config"))
            await listener.until(lambda heard: len(heard.on("homeassistant/device/+/+/config")) >= before + 2)
            assert not [line for line in service.err if " WARNING " in line or " ERROR " in line]
            assert await service.stop() == 0
        assert "Denied" not in broker.log


async def _said(command: str) -> Any:
    process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return json.loads(said)


async def test_a_restart_of_the_broker_is_no_news(house: House) -> None:
    """The last one: Home Assistant complains of a broker that has gone, and rightly."""
    ha = house.ha
    async with house.automation("broker", what=["person"], quiet=NEVER) as told:
        await house.seen("person", "Before.")
        await told.until(1)
        await house.broker.stop()
        await ha.until(lambda: _is_away(ha))
        await house.broker.start()
        await house.listener.until(lambda _: house.listener.sessions > 1)
        await ha.until(lambda: _is_there(ha), 40)
        await house.seen("person", "After.")
        assert await told.until(2) == ["Before.", "After."]
    assert [one for one in ha.complaints if not re.search(BROKER_GONE, one)] == []


async def _is_there(ha: HomeAssistant) -> bool:
    return not await _is_away(ha)
