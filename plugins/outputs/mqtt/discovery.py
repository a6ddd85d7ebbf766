"""What Home Assistant is told about the devices and their entities: one announcement a camera, one for camscribe.

The root of an announcement is closed (an unknown key there, and Home Assistant refuses all of it), its components are
open: what only newer versions know goes into those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import metadata
from typing import Any

from agent.plugin import (
    BooleanQuestion,
    CameraInfo,
    CameraState,
    ChoiceQuestion,
    HomeState,
    NumberQuestion,
    Question,
)
from plugins.outputs.mqtt.topics import HUB, Topics

ORIGIN = "camscribe"
LONGEST_TEXT = 255
"""Characters Home Assistant's text entities take."""
SHORTEST_EVERY, LONGEST_EVERY = 1, 7 * 86400
EXPIRE_SLACK = 30.0
"""Seconds by which Home Assistant's own expiry comes after the availability that camscribe tells."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_OF_CAPTION = (
    "caption",
    "caption_cut",
    "truncated",
    "answers",
    "reason",
    "taken_at",
    "finished_at",
    "model",
    "captioner",
    "tokens",
    "latency_ms",
    "picture",
    "id",
)
Component = dict[str, Any]
_URLS = [one.partition(", ") for one in metadata("camscribe").get_all("Project-URL") or ()]
RELEASES = next((url for label, _, url in _URLS if label.lower() in ("releases", "changelog")), None)


class Announcer:
    """Makes announcements: plain dicts, the same for the same home."""

    def __init__(self, topics: Topics, qos: int) -> None:
        self._topics = topics
        self._qos = min(qos, 2)

    def devices(self, home: HomeState) -> dict[str, dict[str, Any]]:
        """By the device: the hub, and each camera's id."""
        cameras = {id_: self._camera(camera, home) for id_, camera in home.cameras.items()}
        return {HUB: self._hub(home), **cameras}

    def _camera(self, camera: CameraInfo, home: HomeState) -> dict[str, Any]:
        components = {
            "caption": self._caption(camera),
            "picture": self._picture(camera),
            **{f"answer_{id_}": self._answer(camera, id_, one) for id_, one in camera.questions.items()},
            "seen": self._seen(camera),
            "answer": self._free_answer(camera),
            **self._controls(camera, home),
            **self._diagnostics(camera),
        }
        device = {
            "identifiers": [f"{self._topics.node}_{camera.id}"],
            "name": camera.name,
            "manufacturer": "camscribe",
            "model": "Camera",
            "via_device": self._topics.node,
            **({"suggested_area": camera.area} if camera.area else {}),
        }
        return self._device(camera.id, device, components, home)

    def _hub(self, home: HomeState) -> dict[str, Any]:
        own = self._topics.base if self._topics.base != "camscribe" else None
        device = {
            "identifiers": [self._topics.node],
            "name": f"camscribe ({own})" if own else "camscribe",
            "manufacturer": "camscribe",
            "model": "camscribe",
            "sw_version": home.version,
        }
        return self._device(HUB, device, self._hub_components(), home)

    def _device(
        self, id_: str, device: Mapping[str, Any], components: Mapping[str, Component], home: HomeState
    ) -> dict[str, Any]:
        return {
            "device": device,
            "origin": {"name": ORIGIN, "sw_version": home.version},
            "availability": [{"topic": self._topics.status}],
            "components": {key: self._identified(id_, key, one) for key, one in components.items()},
        }

    def _identified(self, device: str, key: str, component: Component) -> Component:
        """Its id never changes, and its entity id is the same in every Home Assistant, whatever area it is put into."""
        unique = f"{self._topics.node}_{device}_{key}"
        pinned = f"{component['platform']}.{unique}"
        # Versions before 2025.10 know object_id only, those from 2026.4 on default_entity_id only.
        return {**component, "unique_id": unique, "object_id": unique, "default_entity_id": pinned, "qos": self._qos}

    # What a camera sees: there while the camera is

    def _caption(self, camera: CameraInfo) -> Component:
        return {
            "platform": "sensor",
            "name": "Caption",
            "icon": "mdi:text-box-outline",
            "state_topic": self._topics.of(camera.id, "state"),
            "value_template": "{{ value_json.short }}",
            "json_attributes_topic": self._topics.of(camera.id, "state"),
            "json_attributes_template": _chosen(_OF_CAPTION),
            **self._while_there(camera),
        }

    def _picture(self, camera: CameraInfo) -> Component:
        return {
            "platform": "image",
            "name": "Picture",
            "image_topic": self._topics.of(camera.id, "picture"),
            "content_type": "image/jpeg",
            **self._while_there(camera),
        }

    def _answer(self, camera: CameraInfo, id_: str, question: Question) -> Component:
        """Of one of the camera's questions: the entity that fits."""
        # A question may have gone from the messages before Home Assistant hears that it has.
        answer = f"value_json.answers.get('{id_}', {{}})"
        expiry = {"expire_after": round(camera.fresh_for + EXPIRE_SLACK)} if camera.fresh_for else {}
        common = {
            "name": question.name or id_.replace("_", " ").capitalize(),
            "state_topic": self._topics.of(camera.id, "state"),
            "json_attributes_topic": self._topics.of(camera.id, "state"),
            "json_attributes_template": f"{{{{ {answer} | tojson }}}}",
            **expiry,
            **self._while_there(camera),
        }
        if isinstance(question, BooleanQuestion):
            return {
                "platform": "binary_sensor",
                "value_template": f"{{{{ {{true: 'ON', false: 'OFF'}}.get({answer}.get('steady')) }}}}",
                **({"device_class": question.device_class} if question.device_class else {}),
                **common,
            }
        value = {"platform": "sensor", "value_template": f"{{{{ {answer}.get('value') }}}}", **common}
        if isinstance(question, NumberQuestion):
            unit = {"unit_of_measurement": question.unit} if question.unit else {}
            decimals = {"suggested_display_precision": question.decimals}
            return {**value, "state_class": "measurement", **unit, **decimals}
        if isinstance(question, ChoiceQuestion):
            return {**value, "device_class": "enum", "options": list(question.options)}
        return {**value, "icon": "mdi:comment-quote-outline"}

    def _while_there(self, camera: CameraInfo) -> Component:
        both = (self._topics.status, self._topics.of(camera.id, "availability"))
        return {"availability": [{"topic": topic} for topic in both], "availability_mode": "all"}

    # What people do with it: there while camscribe is

    def _seen(self, camera: CameraInfo) -> Component:
        turned_on = [id_ for id_, one in camera.questions.items() if isinstance(one, BooleanQuestion)]
        return {
            "platform": "event",
            "name": "Seen",
            "icon": "mdi:eye-outline",
            "state_topic": self._topics.of(camera.id, "event"),
            "event_types": ["caption", "error", *turned_on],
        }

    def _free_answer(self, camera: CameraInfo) -> Component:
        return {
            "platform": "sensor",
            "name": "Answer",
            "icon": "mdi:chat-question-outline",
            "state_topic": self._topics.of(camera.id, "answer"),
            "value_template": "{{ value_json.short }}",
            "json_attributes_topic": self._topics.of(camera.id, "answer"),
        }

    def _controls(self, camera: CameraInfo, home: HomeState) -> dict[str, Component]:
        every = {
            # The file may say less than a command may, and Home Assistant complains of what is out of range.
            "min": min(SHORTEST_EVERY, camera.every or SHORTEST_EVERY),
            "max": LONGEST_EVERY,
            "step": 1,
            "mode": "box",
            "unit_of_measurement": "s",
            "command_template": "{{ value | int }}s",
        }
        chosen = ", ".join(camera.captioner)
        captioners = list(dict.fromkeys((*home.captioners, chosen)))
        return {
            "look": {
                "platform": "button",
                "name": "Look now",
                "icon": "mdi:eye-refresh-outline",
                "command_topic": self._command(camera, "look"),
            },
            "ask": {
                "platform": "notify",
                "name": "Ask",
                "icon": "mdi:chat-question-outline",
                "command_topic": self._command(camera, "ask"),
            },
            "enabled": self._setting(camera, "switch", "enabled", "Enabled", icon="mdi:eye-check-outline"),
            "every": self._setting(camera, "number", "every", "Interval", icon="mdi:timer-outline", **every),
            # A longer prompt is shown up to where Home Assistant stops.
            "prompt": self._setting(
                camera,
                "text",
                "prompt",
                "Prompt",
                icon="mdi:text-box-edit-outline",
                value_template=f"{{{{ value_json.prompt[:{LONGEST_TEXT}] }}}}",
                min=1,
                max=LONGEST_TEXT,
            ),
            "captioner": self._setting(
                camera,
                "select",
                "captioner",
                "Captioner",
                icon="mdi:creation-outline",
                options=captioners,
                value_template="{{ value_json.captioners | join(', ') }}",
            ),
        }

    def _setting(self, camera: CameraInfo, platform: str, key: str, name: str, **more: Any) -> Component:
        return {
            "platform": platform,
            "name": name,
            "entity_category": "config",
            "state_topic": self._topics.of(camera.id, "state"),
            "value_template": f"{{{{ value_json.{key} }}}}",
            "command_topic": self._command(camera, key),
            **more,
        }

    def _command(self, camera: CameraInfo, name: str) -> str:
        return self._topics.of(camera.id, f"{name}/set")

    def _diagnostics(self, camera: CameraInfo) -> dict[str, Component]:
        look, health = self._topics.of(camera.id, "state"), self._topics.of(camera.id, "health")
        last = _sensor("Last look", look, "{{ value_json.taken_at }}", device_class="timestamp")
        problem = {
            **_sensor("Problem", health, "{{ 'ON' if value_json.failing or not value_json.online else 'OFF' }}"),
            "platform": "binary_sensor",
            "device_class": "problem",
            "json_attributes_topic": health,
        }
        state = _sensor(
            "State", health, "{{ value_json.state }}", device_class="enum", options=[one.value for one in CameraState]
        )
        failures = _sensor("Errors", health, "{{ value_json.failures }}", state_class="total_increasing")
        # Its parts are attributes: as entities they would be six more of each camera, for few to look at.
        latency = _sensor(
            "Latency",
            look,
            "{{ value_json.latency_ms.total if value_json.latency_ms else none }}",
            device_class="duration",
            unit_of_measurement="ms",
            state_class="measurement",
            json_attributes_topic=look,
            json_attributes_template="{{ (value_json.latency_ms or {}) | tojson }}",
        )
        return {"last_look": last, "problem": problem, "camera_state": state, "errors": failures, "latency": latency}

    def _hub_components(self) -> dict[str, Component]:
        state = self._topics.hub
        config = {"entity_category": "config", "state_topic": state}
        return {
            "paused": {
                "platform": "switch",
                "name": "Pause all cameras",
                "icon": "mdi:eye-off-outline",
                "state_topic": state,
                "value_template": "{{ value_json.paused }}",
                "command_topic": self._topics.of(HUB, "paused/set"),
            },
            "log_level": {
                "platform": "select",
                "name": "Log level",
                "icon": "mdi:math-log",
                "value_template": "{{ value_json.log_level }}",
                "command_topic": self._topics.of(HUB, "log_level/set"),
                "options": list(LOG_LEVELS),
                **config,
            },
            "restart": {
                "platform": "button",
                "name": "Restart",
                "device_class": "restart",
                "entity_category": "config",
                "command_topic": self._topics.of(HUB, "restart/set"),
            },
            "update": {
                "platform": "update",
                "name": "Update",
                "entity_category": "diagnostic",
                "state_topic": state,
                "value_template": _update(),
            },
            "version": _sensor("Version", state, "{{ value_json.version }}", icon="mdi:tag-outline"),
            "model": _sensor("Model", state, "{{ value_json.model }}", icon="mdi:creation-outline"),
            "engine": _sensor("Engine", state, "{{ value_json.engine[:255] }}", icon="mdi:engine-outline"),
            "rate": _sensor(
                "Observations a minute",
                state,
                "{{ value_json.captions_per_minute }}",
                icon="mdi:speedometer",
                state_class="measurement",
                unit_of_measurement="1/min",
            ),
            "queued": _sensor(
                "Queue", state, "{{ value_json.queued }}", icon="mdi:tray-full", state_class="measurement"
            ),
            "dropped": _sensor(
                "Overtaken pictures",
                state,
                "{{ value_json.dropped }}",
                icon="mdi:tray-remove",
                state_class="total_increasing",
            ),
        }


def _sensor(name: str, topic: str, template: str, **more: Any) -> Component:
    """A diagnostic one."""
    return {
        "platform": "sensor",
        "name": name,
        "entity_category": "diagnostic",
        "state_topic": topic,
        "value_template": template,
        **more,
    }


def _chosen(keys: tuple[str, ...]) -> str:
    """A template that takes these keys of the message."""
    return "{{ {" + ", ".join(f"'{key}': value_json.{key}" for key in keys) + "} | tojson }}"


def _update() -> str:
    """Which version runs, and where newer ones are found: camscribe asks nobody whether there are any."""
    where = f", 'release_url': {json.dumps(RELEASES)}" if RELEASES else ""
    return f"{{{{ {{'installed_version': value_json.version{where}}} | tojson }}}}"
