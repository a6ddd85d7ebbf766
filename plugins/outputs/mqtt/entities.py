"""A camera's entities in Home Assistant: what it sees, what people do with it, how it is doing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.plugin import BooleanQuestion, CameraInfo, CameraState, ChoiceQuestion, NumberQuestion, Question
from plugins.outputs.mqtt.topics import Topics

LONGEST_TEXT = 255
"""Characters Home Assistant's text entities take."""
SHORTEST_EVERY, LONGEST_EVERY = 1, 7 * 86400
EXPIRE_SLACK = 30.0
"""Seconds by which Home Assistant's own expiry comes after the availability that camscribe tells."""
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


class CameraEntities:
    """Each is a component of the camera's announcement."""

    def __init__(self, topics: Topics, camera: CameraInfo) -> None:
        self._topics = topics
        self._camera = camera

    def all(self, captioners: Sequence[str]) -> dict[str, Component]:
        """By their keys. ``captioners``: those it can be switched to."""
        return {
            "caption": self._caption(),
            "picture": self._picture(),
            **{f"answer_{id_}": self._answer(id_, one) for id_, one in self._camera.questions.items()},
            "seen": self._seen(),
            "answer": self._free_answer(),
            **self._controls(captioners),
            **self._diagnostics(),
        }

    def _topic(self, what: str) -> str:
        return self._topics.of(self._camera.id, what)

    # What a camera sees: there while the camera is

    def _caption(self) -> Component:
        return {
            "platform": "sensor",
            "name": "Caption",
            "icon": "mdi:text-box-outline",
            "state_topic": self._topic("state"),
            "value_template": "{{ value_json.short }}",
            "json_attributes_topic": self._topic("state"),
            "json_attributes_template": _chosen(_OF_CAPTION),
            **self._while_there(),
        }

    def _picture(self) -> Component:
        return {
            "platform": "image",
            "name": "Picture",
            "image_topic": self._topic("picture"),
            "content_type": "image/jpeg",
            **self._while_there(),
        }

    def _answer(self, id_: str, question: Question) -> Component:
        """Of one of the camera's questions: the entity that fits."""
        # A question may have gone from the messages before Home Assistant hears that it has.
        answer = f"value_json.answers.get('{id_}', {{}})"
        expiry = {"expire_after": round(self._camera.fresh_for + EXPIRE_SLACK)} if self._camera.fresh_for else {}
        common = {
            "name": question.name or id_.replace("_", " ").capitalize(),
            "state_topic": self._topic("state"),
            "json_attributes_topic": self._topic("state"),
            "json_attributes_template": f"{{{{ {answer} | tojson }}}}",
            **expiry,
            **self._while_there(),
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
            # What the broker keeps may answer another question that was called alike.
            guarded = f"{{% set v = {answer}.get('value') %}}{{{{ v if v is number and v is not boolean else none }}}}"
            icon = {"icon": "mdi:counter", "value_template": guarded}
            return {**value, "state_class": "measurement", **unit, **decimals, **icon}
        if isinstance(question, ChoiceQuestion):
            options = list(question.options)
            known = f"{{% set v = {answer}.get('value') %}}{{{{ v if v in {json.dumps(options)} else none }}}}"
            icon = {"icon": "mdi:format-list-bulleted", "value_template": known}
            return {**value, "device_class": "enum", "options": options, **icon}
        return {**value, "icon": "mdi:comment-quote-outline"}

    def _while_there(self) -> Component:
        both = (self._topics.status, self._topic("availability"))
        return {"availability": [{"topic": topic} for topic in both], "availability_mode": "all"}

    # What people do with it: there while camscribe is

    def _seen(self) -> Component:
        turned_on = [id_ for id_, one in self._camera.questions.items() if isinstance(one, BooleanQuestion)]
        return {
            "platform": "event",
            "name": "Seen",
            "icon": "mdi:eye-outline",
            "state_topic": self._topic("event"),
            "event_types": ["caption", "error", *turned_on],
        }

    def _free_answer(self) -> Component:
        return {
            "platform": "sensor",
            "name": "Last answer",
            "icon": "mdi:chat-question-outline",
            "state_topic": self._topic("answer"),
            "value_template": "{{ value_json.short }}",
            "json_attributes_topic": self._topic("answer"),
        }

    def _controls(self, captioners: Sequence[str]) -> dict[str, Component]:
        every = {
            # The file may say less than a command may, and Home Assistant complains of what is out of range.
            "min": min(SHORTEST_EVERY, self._camera.every or SHORTEST_EVERY),
            "max": max(LONGEST_EVERY, self._camera.every or 0),
            "step": 1,
            "mode": "box",
            "unit_of_measurement": "s",
            "command_template": "{{ value | int }}s",
        }
        chosen = ", ".join(self._camera.captioner)
        captioners = list(dict.fromkeys((*captioners, ", ".join(self._camera.configured), chosen)))
        return {
            "look": {
                "platform": "button",
                "name": "Look now",
                "icon": "mdi:eye-refresh-outline",
                "command_topic": self._command("look"),
            },
            "ask": {
                "platform": "notify",
                "name": "Ask",
                "icon": "mdi:chat-question-outline",
                "command_topic": self._command("ask"),
            },
            "enabled": self._setting("switch", "enabled", "Looks by itself", icon="mdi:eye-check-outline"),
            "every": self._setting("number", "every", "Interval", icon="mdi:timer-outline", **every),
            # A longer prompt is shown up to where Home Assistant stops.
            "prompt": self._setting(
                "text",
                "prompt",
                "Prompt",
                icon="mdi:text-box-edit-outline",
                value_template=f"{{{{ (value_json.prompt | trim)[:{LONGEST_TEXT}] }}}}",
                min=1,
                max=LONGEST_TEXT,
            ),
            "captioner": self._setting(
                "select",
                "captioner",
                "Captioner",
                icon="mdi:creation-outline",
                options=captioners,
                value_template="{{ value_json.captioners | join(', ') }}",
            ),
        }

    def _setting(self, platform: str, key: str, name: str, **more: Any) -> Component:
        return {
            "platform": platform,
            "name": name,
            "entity_category": "config",
            "state_topic": self._topic("state"),
            "value_template": f"{{{{ value_json.{key} }}}}",
            "command_topic": self._command(key),
            **more,
        }

    def _command(self, name: str) -> str:
        return self._topic(f"{name}/set")

    def _diagnostics(self) -> dict[str, Component]:
        look, health = self._topic("state"), self._topic("health")
        last = diagnostic("Last look", look, "{{ value_json.taken_at }}", device_class="timestamp")
        problem = {
            **diagnostic("Problem", health, "{{ 'ON' if value_json.failing or not value_json.online else 'OFF' }}"),
            "platform": "binary_sensor",
            "device_class": "problem",
            "json_attributes_topic": health,
        }
        state = diagnostic(
            "State",
            health,
            "{{ value_json.state }}",
            device_class="enum",
            icon="mdi:cctv",
            options=[one.value for one in CameraState],
        )
        failures = diagnostic(
            "Errors",
            health,
            "{{ value_json.failures }}",
            icon="mdi:alert-circle-outline",
            state_class="total_increasing",
        )
        # Its parts are attributes: as entities they would be six more of each camera, for few to look at.
        latency = diagnostic(
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


def diagnostic(name: str, topic: str, template: str, **more: Any) -> Component:
    """A sensor about how things are, not about what is seen."""
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
