"""Keeps Home Assistant's announcements equal to the home: what has gone is taken back, whenever it went.

Home Assistant removes nothing that is merely left out. A component goes by a payload in which only its platform is
left, a device by an empty one. What an earlier run announced the broker still has, so it is asked for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

from agent.plugin import CameraInfo, HomeState
from plugins.outputs.mqtt import payloads
from plugins.outputs.mqtt.discovery import ORIGIN, Announcer
from plugins.outputs.mqtt.link import Link, Message, Refused
from plugins.outputs.mqtt.memory import Memory
from plugins.outputs.mqtt.topics import HUB, OF_A_CAMERA, Topics

SETTLE = 0.5
"""Seconds Home Assistant gets for what has changed, before it is told states by it: it does not take them in order."""
BIRTH_PAUSE = (1.0, 3.0)
"""Seconds after Home Assistant's birth, at random: every other publisher answers it as well."""
Platforms = dict[str, str]
"""A device's components: the platform of each."""


class Announcements:
    """What this broker has been told of us. One for each connection."""

    def __init__(
        self,
        link: Link,
        topics: Topics,
        current: Callable[[], HomeState],
        memory: Memory,
        log: logging.Logger,
        *,
        wanted: bool,
    ) -> None:
        """``current``: the home as it is. ``wanted``: announce; otherwise what was announced before is taken back."""
        self._link = link
        self._current = current
        self._topics = topics
        self._memory = memory
        self._log = log
        self._may = True
        self._announcer = Announcer(topics, link.limits.qos) if wanted else None
        self._told: dict[str, bytes] = {}
        self._there = memory.there if wanted else {}
        """What the broker has, by device."""
        self._seen: object = None
        """What the last announcements were made of."""
        self._turn = asyncio.Lock()

    async def take_stock(self, marker: str) -> None:
        """Find what earlier runs left at the broker. ``marker``: see Link.kept."""
        home = self._current()
        filters = [self._topics.announcement("+"), self._topics.of("+", "state")]
        kept = await self._link.kept(filters, marker)
        for topic, payload in kept.items():
            camera = topic.removeprefix(f"{self._topics.base}/").removesuffix("/state")
            if topic == self._topics.of(camera, "state"):
                if camera not in home.cameras and payloads.is_state_of(camera, payload):
                    self._there.setdefault(camera, {})
            elif (device := topic.split("/")[-2]) and (platforms := _ours(payload, self._topics.status)) is not None:
                self._there[device] = platforms

    async def follow(self) -> None:
        """Announce what is new or different, take back what has gone."""
        async with self._turn:
            home = self._current()  # by now: an older one would take back what has just come
            seen = home.version, home.captioners, [_announced(camera) for camera in home.cameras.values()]
            if not self._may or (seen == self._seen and self._told):
                return
            try:
                await self._make_equal(home, self._announcer.devices(home) if self._announcer else {})
                self._seen = seen
            except Refused as error:  # the user has no rights there, and everything else may go on
                self._may = False
                told = "Nothing is announced to Home Assistant, because the MQTT broker %s, or set discovery: false."
                self._memory.once(self._log, "announcements", told, error)

    async def _make_equal(self, home: HomeState, devices: Mapping[str, dict[str, Any]]) -> None:
        for camera in home.cameras:
            self._there.setdefault(camera, {})
        for device in [*self._there]:
            if device not in devices and (self._there[device] or device not in home.cameras):
                await self._take_back(device, gone=device != HUB and device not in home.cameras)
        changed = [await self._announce(device, whole) for device, whole in devices.items()]
        if any(changed):
            await asyncio.sleep(SETTLE)

    async def born(self) -> None:
        """Home Assistant has started: everything once more, in case its broker remembers nothing."""
        await asyncio.sleep(random.uniform(*BIRTH_PAUSE))  # noqa: S311
        self._told.clear()
        await self.follow()

    async def _announce(self, device: str, whole: dict[str, Any]) -> bool:
        """Whether the broker had another one of it."""
        payload = payloads.encode(whole)
        if self._told.get(device) == payload:
            return False
        platforms = {key: one["platform"] for key, one in whole["components"].items()}
        gone = {key: name for key, name in self._there.get(device, {}).items() if platforms.get(key) != name}
        topic = self._topics.announcement(device)
        if gone:
            stubs = {key: {"platform": name} for key, name in gone.items()}
            without = {**whole, "components": {**whole["components"], **stubs}}
            await self._link.tell(Message(topic, payloads.encode(without), retain=True))
        if not await self._link.tell(Message(topic, payload, retain=True)):
            self._memory.once(
                self._log,
                topic,
                "%s is not announced to Home Assistant: that takes %d bytes, and the broker takes %d. Ask less of it.",
                device,
                len(payload),
                self._link.limits.packet,
            )
        changed = device in self._told
        self._told[device], self._there[device] = payload, platforms
        return changed

    async def _take_back(self, device: str, *, gone: bool) -> None:
        """``gone``: the camera itself is, so nothing that a broker keeps of it may stay."""
        if self._there[device]:
            await self._link.tell(Message(self._topics.announcement(device), b"", retain=True))
        for what in OF_A_CAMERA if gone else ():  # after its entity: an empty picture is none that can be shown
            await self._link.tell(Message(self._topics.of(device, what), b"", retain=True))
        del self._there[device]
        self._told.pop(device, None)


def _announced(camera: CameraInfo) -> tuple[object, ...]:
    """What announcements are made of: to make thirty of them for each look would cost more than the look."""
    known = (camera.id, camera.name, camera.area, camera.every, camera.fresh_for)
    return (*known, camera.captioner, camera.configured, camera.questions)


def _ours(payload: bytes, status: str) -> Platforms | None:
    """What an announcement of ours announced; None where it is somebody else's."""
    try:
        whole: Mapping[str, Any] = json.loads(payload)
        ours = whole["origin"]["name"] == ORIGIN and {"topic": status} in whole["availability"]
        return {key: one["platform"] for key, one in whole["components"].items()} if ours else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
