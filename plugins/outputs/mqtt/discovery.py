"""What Home Assistant is told about the devices and their entities: one announcement a camera, one for camscribe.

The root of an announcement is closed (an unknown key there, and Home Assistant refuses all of it), its components are
open: what only newer versions know goes into those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.plugin import CameraInfo, HomeState
from plugins.outputs.mqtt.entities import CameraEntities, Component
from plugins.outputs.mqtt.hub_entities import hub_entities
from plugins.outputs.mqtt.topics import HUB, Topics

ORIGIN = "camscribe"


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
        device = {
            "identifiers": [f"{self._topics.node}_{camera.id}"],
            "name": camera.name,
            "manufacturer": "camscribe",
            "model": "Camera",
            "via_device": self._topics.node,
            **({"suggested_area": camera.area} if camera.area else {}),
        }
        return self._device(camera.id, device, CameraEntities(self._topics, camera).all(home.captioners), home)

    def _hub(self, home: HomeState) -> dict[str, Any]:
        own = self._topics.base if self._topics.base != "camscribe" else None
        device = {
            "identifiers": [self._topics.node],
            "name": f"camscribe ({own})" if own else "camscribe",
            "manufacturer": "camscribe",
            "model": "camscribe",
            "sw_version": home.version,
        }
        return self._device(HUB, device, hub_entities(self._topics), home)

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
