"""What is said and heard on one connection to the broker."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

from agent.plugin import CameraInfo, Delivery, Home, HomeState, Observation, ObservationRefused
from plugins.outputs.mqtt import payloads
from plugins.outputs.mqtt.announcing import Announcements
from plugins.outputs.mqtt.commands import Commands
from plugins.outputs.mqtt.config import MqttConfig
from plugins.outputs.mqtt.link import Link, Message
from plugins.outputs.mqtt.memory import Memory, Shown
from plugins.outputs.mqtt.topics import HUB, Topics

EVENT_LIFE = 60
"""Seconds after which a look is no event any more, for the broker and for us: it must set nothing off."""
OBSERVATION_LIFE = 24 * 3600
LATE = 10.0
"""Seconds after which a look that is still to be delivered is shown without its picture: others wait before it."""
COUNTERS_EVERY = 10.0
"""Seconds between two messages about nothing but numbers that always change."""


class Session:
    """Four things go on beside each other: ``tell`` deliveries, ``follow`` the home, ``listen`` for commands, and
    ``greet_again`` a Home Assistant that has started."""

    def __init__(
        self, link: Link, config: MqttConfig, topics: Topics, home: Home, memory: Memory, log: logging.Logger
    ) -> None:
        self._link = link
        self._config = config
        self._topics = topics
        self._home = home
        self._memory = memory
        self._log = log
        self._hub_said: dict[str, object] = {}
        self._said: dict[str, bytes] = {}
        """What this connection has said on the retained topics; for a picture, the id of its look."""
        self._counters_said = -COUNTERS_EVERY
        self._pair = asyncio.Lock()  # a picture and its state go out together, and the newer pair last
        self._born = asyncio.Event()
        self._announcements = Announcements(link, topics, lambda: home.state, memory, log, wanted=config.discovery)
        self._commands = Commands(link, topics, home, memory, log, self._echo)

    async def greet(self) -> None:
        """All that a broker without a memory must know; who subscribes finds everything in place at ``online``."""
        commands = self._topics.commands
        if not await self._link.ask_for(commands):
            self._memory.once(self._log, "rights", "The MQTT broker lets nobody read %s here: no commands.", commands)
        await self._link.ask_for(self._topics.status)
        if self._config.discovery:
            await self._link.ask_for(self._config.birth_topic)
        home = self._home.state
        for camera in home.cameras.values():
            self._memory.before.setdefault(camera.id, camera.last)
        await self._announcements.take_stock(self._topics.marker)
        await self._announcements.follow()
        await self._speak_of(home)
        await self._say(self._topics.status, b"online", kind="text/plain")

    async def leave(self, former: Topics) -> None:
        """Take everything back from where an earlier config had it."""
        moved = former.base != self._topics.base
        home = replace(self._home.state, cameras={}) if moved else self._home.state
        there = Announcements(self._link, former, lambda: home, self._memory, self._log, wanted=False)
        await there.take_stock(self._topics.marker)
        await there.follow()
        for topic in (former.hub, former.status) if moved else ():
            await self._tell(Message(topic, b"", retain=True))

    async def goodbye(self) -> None:
        await self._say(self._topics.status, b"offline", kind="text/plain")

    def close(self) -> None:
        self._commands.close()

    async def follow(self) -> None:
        """Pass on what changes in the home."""
        async for home in self._home.changes():
            await self._announcements.follow()
            await self._speak_of(home)

    async def listen(self) -> None:
        """Pass the home's commands on to it. Ends with an error when the connection does."""
        async for message in self._link.messages:
            if str(message.topic) == self._topics.status:
                # The last will of a connection that went before this one, or of another one that should not be.
                if message.payload != b"online":
                    await self._say(self._topics.status, b"online", kind="text/plain", again=True)
            elif str(message.topic) == self._config.birth_topic and self._config.discovery:
                if message.payload.strip().lower() == self._config.birth_payload.lower().encode():
                    self._born.set()
            else:
                await self._commands.obey(message)

    async def greet_again(self) -> None:
        """Say everything once more where Home Assistant has started: its broker may have no memory."""
        while True:
            await self._born.wait()
            self._born.clear()
            await self._announcements.born()
            self._born.clear()  # whoever was born meanwhile has heard it as well
            # The pictures of thirty cameras would be a storm, and the broker has them.
            kept = self._said if self._link.limits.retain else {}
            self._hub_said = {}
            self._said = {topic: said for topic, said in kept.items() if topic.endswith("/picture")}
            await self._speak_of(self._home.state)
            await self._say(self._topics.status, b"online", kind="text/plain")

    async def tell(self, delivery: Delivery) -> None:
        """One observation. A backlog goes to ``observation`` alone: states and events are about now."""
        look = delivery.observation
        await self._announcements.follow()
        camera = self._home.state.cameras.get(look.camera)
        # A camera that is no longer in the config gets its leftovers told, but no state that nobody would take away.
        current = delivery.newest and camera is not None
        turned_on: list[str] = []
        good = current and not look.error and not look.ad_hoc
        if good and camera:
            before = self._memory.before.get(look.camera)
            # At the start it may be this very look that was known last: then what was before it nobody knows.
            turned_on = payloads.turned_on(camera, look, before if before and before.id != look.id else None)
            self._memory.shown[look.camera] = Shown(look, delivery.picture, there=delivery.picture is not None)
            await self._show(camera)
        whole = Message(
            self._topics.of(look.camera, "observation"), look.model_dump_json().encode(), expires=OBSERVATION_LIFE
        )
        if not await self._link.tell(whole):
            raise ObservationRefused(
                f"The observation is {len(whole.payload):,} bytes long, and the MQTT broker takes messages of "
                f"{self._link.limits.packet:,} bytes at most."
            )
        if look.ad_hoc:
            if camera:
                answer = payloads.encode(payloads.answer(look))
                await self._tell(Message(self._topics.of(look.camera, "answer"), answer, retain=True))
        elif current and delivery.age <= EVENT_LIFE:
            for kind in ["error" if look.error else "caption", *turned_on]:
                seen = payloads.encode(payloads.event(look, kind))
                await self._tell(Message(self._topics.of(look.camera, "event"), seen, expires=EVENT_LIFE))
        if good:
            self._memory.before[look.camera] = look  # not before it is told: it may be delivered again

    async def _speak_of(self, home: HomeState) -> None:
        await self._say_hub(home)
        for camera in home.cameras.values():
            await self._show(camera)
            await self._say(self._topics.of(camera.id, "health"), payloads.encode(payloads.health(camera)))
            online = b"online" if camera.online else b"offline"
            await self._say(self._topics.of(camera.id, "availability"), online, kind="text/plain")

    async def _say_hub(self, home: HomeState, *, again: bool = False) -> None:
        """Its numbers change with every look, and each message is a row in Home Assistant's database."""
        now, told = time.monotonic(), payloads.hub(home)
        steady = {key: value for key, value in told.items() if key not in payloads.COUNTERS}
        if again or steady != self._hub_said or now - self._counters_said >= COUNTERS_EVERY:
            self._hub_said, self._counters_said = steady, now
            await self._say(self._topics.hub, payloads.encode(told), again=again)

    async def _echo(self, whose: str) -> None:
        """What it is set to now."""
        home = self._home.state
        if whose == HUB:
            await self._say_hub(home, again=True)
        elif whose in home.cameras:
            await self._announcements.follow()  # what may be chosen comes before what was chosen
            await self._show(home.cameras[whose], again=True)

    async def _show(self, info: CameraInfo, *, again: bool = False) -> None:
        """The camera's picture and then its state, where they are news on this connection."""
        async with self._pair:
            picture, state = (self._topics.of(info.id, what) for what in ("picture", "state"))
            shown = self._shown(info)
            named = shown.look.id.encode() if shown.look and shown.jpeg else self._said.get(picture)
            if not again and self._said.get(picture) == named and self._said.get(state) == _state(info, shown):
                return
            now = self._home.state.cameras.get(info.id)  # others may have had their turn first
            if now is None:
                return  # the config has lost it meanwhile
            if shown.jpeg and named and self._said.get(picture) != named:
                shown.there = await self._tell(Message(picture, shown.jpeg, retain=True, kind="image/jpeg"))
                self._said[picture] = named
            await self._say(state, _state(now, self._shown(now)), again=again)

    def _shown(self, info: CameraInfo) -> Shown:
        shown = self._memory.shown.get(info.id) or Shown(info.last, None, there=True)
        late = info.last and shown.look and info.last.id != shown.look.id and _age(info.last) > LATE
        return Shown(info.last, None, there=False) if late else shown

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


def _state(info: CameraInfo, shown: Shown) -> bytes:
    fresh = shown.look is None or info.fresh_for is None or _age(shown.look) <= info.fresh_for
    return payloads.encode(payloads.state(info, shown.look, picture=shown.there, fresh=fresh))


def _age(look: Observation) -> float:
    """Seconds since it was done, by the clock that may jump: it may be of an earlier run."""
    return (datetime.now(UTC) - look.finished_at).total_seconds()
