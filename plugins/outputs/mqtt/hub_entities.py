"""camscribe's own entities in Home Assistant."""

from __future__ import annotations

import json
from importlib.metadata import metadata

from plugins.outputs.mqtt.entities import Component, diagnostic
from plugins.outputs.mqtt.topics import HUB, Topics

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_URLS = [one.partition(", ") for one in metadata("camscribe").get_all("Project-URL") or ()]
RELEASES = next((url for label, _, url in _URLS if label.lower() in ("releases", "changelog")), None)


def hub_entities(topics: Topics) -> dict[str, Component]:
    state = topics.hub
    config = {"entity_category": "config", "state_topic": state}
    return {
        "paused": {
            "platform": "switch",
            "name": "Pause all cameras",
            "icon": "mdi:eye-off-outline",
            "state_topic": state,
            "value_template": "{{ value_json.paused }}",
            "command_topic": topics.of(HUB, "paused/set"),
        },
        "log_level": {
            "platform": "select",
            "name": "Log level",
            "icon": "mdi:math-log",
            "value_template": "{{ value_json.log_level }}",
            "command_topic": topics.of(HUB, "log_level/set"),
            "options": list(LOG_LEVELS),
            **config,
        },
        "restart": {
            "platform": "button",
            "name": "Restart",
            "device_class": "restart",
            "entity_category": "config",
            "command_topic": topics.of(HUB, "restart/set"),
        },
        **({"update": _update(state)} if RELEASES else {}),
        "version": diagnostic("Version", state, "{{ value_json.version }}", icon="mdi:tag-outline"),
        "model": diagnostic("Model", state, "{{ value_json.model[:255] }}", icon="mdi:creation-outline"),
        "engine": diagnostic("Engine", state, "{{ value_json.engine[:255] }}", icon="mdi:engine-outline"),
        "rate": diagnostic(
            "Observations a minute",
            state,
            "{{ value_json.captions_per_minute }}",
            icon="mdi:speedometer",
            state_class="measurement",
        ),
        "queued": diagnostic(
            "Queue", state, "{{ value_json.queued }}", icon="mdi:tray-full", state_class="measurement"
        ),
        "dropped": diagnostic(
            "Overtaken pictures",
            state,
            "{{ value_json.dropped }}",
            icon="mdi:tray-remove",
            state_class="total_increasing",
        ),
    }


def _update(state: str) -> Component:
    """Which version runs, and where newer ones are found: camscribe asks nobody whether there are any."""
    told = f"{{{{ {{'installed_version': value_json.version, 'release_url': {json.dumps(RELEASES)}}} | tojson }}}}"
    return {
        "platform": "update",
        "name": "Update",
        "entity_category": "diagnostic",
        "state_topic": state,
        "value_template": told,
    }
