"""What is said and heard on one connection to the broker."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import NamedTuple

import aiomqtt

from agent.plugin import CommandRefused, Delivery, Home, HomeState, Observation, ObservationRefused
from plugins.outputs.mqtt import payloads
from plugins.outputs.mqtt.link import Link, Message

COMMANDS = ("look", "enabled", "every", "prompt", "captioner")
LONGEST_COMMAND = 16_000
"""Bytes; a prompt is at most 4,000 characters."""
COMMAND_TIME = 10.0
EVENT_LIFE = 60
"""Seconds a broker holds an event for somebody who is away: after that it is no news, and must set nothing off."""
OBSERVATION_LIFE = 24 * 3600


class Topics(NamedTuple):
    """Where each message goes: design's table of topics."""

    base: str

    @property
    def status(self) -> str:
        return f"{self.base}/status"

    @property
    def hub(self) -> str:
        return f"{self.base}/hub/state"

    @property
    def commands(self) -> str:
        return f"{self.base}/+/+/set"

    def of(self, camera: str, what: str) -> str:
        return f"{self.base}/{camera}/{what}"


@dataclass
class Shown:
    """What a camera's state and picture topics are about."""

    look: Observation | None
    jpeg: bytes | None
    there: bool
    """The picture topic holds this look's picture, as far as we know."""


@dataclass
class Memory:
    """What outlives a connection: a broker that comes back may have forgotten everything."""

    shown: dict[str, Shown] = field(default_factory=dict)
    """Each camera's last good look that was delivered as the newest."""
    warned: set[str] = field(default_factory=set)

    def once(self, log: logging.Logger, about: str, message: str, *args: object) -> None:
        """A warning that would otherwise come with every connection or every picture."""
        if about not in self.warned:
            self.warned.add(about)
            log.warning(message, *args)


class Session:
    """Three things go on beside each other: ``tell`` deliveries, ``follow`` the home, ``listen`` for commands."""

    def __init__(self, link: Link, topics: Topics, home: Home, memory: Memory, log: logging.Logger) -> None:
        self._link = link
        self._topics = topics
        self._home = home
        self._memory = memory
        self._log = log
        self._said: dict[str, bytes] = {}
        """What this connection has said on the retained topics; for a picture, the id of its look."""
        self._pair = asyncio.Lock()  # a picture and its state go out together, and the newer pair last

    async def greet(self) -> None:
        """All that a broker without a memory must know; who subscribes finds everything in place at ``online``."""
        commands = self._topics.commands
        if not await self._link.ask_for(commands):
            self._memory.once(self._log, "rights", "The MQTT broker lets nobody read %s here: no commands.", commands)
        # Announcements (Home Assistant's discovery) belong here, before the states they point at.
        home = self._home.state
        for camera in home.cameras.values():
            await self._show(camera.id)
        await self._speak_of(home)
        await self._say(self._topics.status, b"online", kind="text/plain")

    async def goodbye(self) -> None:
        await self._say(self._topics.status, b"offline", kind="text/plain")

    async def follow(self) -> None:
        """Pass on what changes in the home."""
        async for home in self._home.changes():
            await self._speak_of(home)

    async def listen(self) -> None:
        """Pass the home's commands on to it. Ends with an error when the connection does."""
        async for message in self._link.messages:
            await self._obey(message)

    async def tell(self, delivery: Delivery) -> None:
        """One observation. A backlog goes to ``observation`` alone: states and events are about now."""
        look = delivery.observation
        # A camera that is no longer in the config gets its leftovers told, but no state that nobody would take away.
        current = delivery.newest and look.camera in self._home.state.cameras
        if current and not look.error:
            self._memory.shown[look.camera] = Shown(look, delivery.picture, there=delivery.picture is not None)
            await self._show(look.camera)
        whole = Message(
            self._topics.of(look.camera, "observation"), look.model_dump_json().encode(), expires=OBSERVATION_LIFE
        )
        if not await self._link.tell(whole):
            raise ObservationRefused(
                f"The observation is {len(whole.payload):,} bytes long, and the MQTT broker takes messages of "
                f"{self._link.limits.packet:,} bytes at most."
            )
        if current:
            seen = payloads.encode(payloads.event(look))
            await self._tell(Message(self._topics.of(look.camera, "event"), seen, expires=EVENT_LIFE))

    async def _speak_of(self, home: HomeState) -> None:
        await self._say(self._topics.hub, payloads.encode(payloads.hub(home)))
        for camera in home.cameras.values():
            await self._show(camera.id)
            online = b"online" if camera.online else b"offline"
            await self._say(self._topics.of(camera.id, "availability"), online, kind="text/plain")

    async def _show(self, camera: str, *, again: bool = False) -> None:
        """The camera's picture and then its state, where they are news on this connection."""
        async with self._pair:
            info = self._home.state.cameras.get(camera)
            if info is None:
                return  # the config has lost it meanwhile
            shown = self._memory.shown.get(camera) or Shown(info.last, None, there=True)
            topic = self._topics.of(camera, "picture")
            if shown.look and shown.jpeg and self._said.get(topic) != (named := shown.look.id.encode()):
                shown.there = await self._tell(Message(topic, shown.jpeg, retain=True, kind="image/jpeg"))
                self._said[topic] = named
            state = payloads.state(info, shown.look, picture=shown.there)
            await self._say(self._topics.of(camera, "state"), payloads.encode(state), again=again)

    async def _say(self, topic: str, payload: bytes, *, kind: str = "application/json", again: bool = False) -> None:
        """A retained message, unless this connection has said the same already."""
        if again or self._said.get(topic) != payload:
            self._said[topic] = payload
            await self._tell(Message(topic, payload, retain=True, kind=kind))

    async def _tell(self, message: Message) -> bool:
        if await self._link.tell(message):
            return True
        self._memory.once(
            self._log,
            message.topic,
            "%s is not sent to MQTT: %d bytes, and messages may have %d (max_packet_size, or the broker's own limit).",
            message.topic,
            len(message.payload),
            self._link.limits.packet,
        )
        return False

    async def _obey(self, message: aiomqtt.Message) -> None:
        topic = str(message.topic)
        if not message.topic.matches(self._topics.commands):
            return  # amqtt sends retained messages that were not asked for
        camera, name, _ = topic.removeprefix(f"{self._topics.base}/").split("/")
        if message.retain:
            self._memory.once(
                self._log, f"retained {topic}", "A command kept by the broker was ignored; delete it from %s.", topic
            )
            return
        known = self._home.state.cameras
        try:
            value = self._value(camera, name, message.payload)
            async with asyncio.timeout(COMMAND_TIME):
                await self._home.command(camera, name, value)
            self._log.info("MQTT: %s of %s: %.100r", name, camera, value)
        except (CommandRefused, TimeoutError) as error:
            reason = error if isinstance(error, CommandRefused) else f"It took longer than {COMMAND_TIME:g} s."
            self._log.warning("The MQTT command %s was refused. %s", topic, reason)
        if camera in known and name != "look":
            await self._show(camera, again=True)  # the accepted value, or the old one: who asked has to see which

    def _value(self, camera: str, name: str, payload: object) -> str:
        if camera not in self._home.state.cameras:
            raise CommandRefused(f"There is no camera {camera[:60]!r}.")
        if name not in COMMANDS:
            raise CommandRefused(f"A camera has {', '.join(COMMANDS)} to set.")
        if not isinstance(payload, bytes | bytearray) or len(payload) > LONGEST_COMMAND:
            raise CommandRefused(f"It is longer than {LONGEST_COMMAND:,} bytes.")
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise CommandRefused("It is not UTF-8 text.") from None
