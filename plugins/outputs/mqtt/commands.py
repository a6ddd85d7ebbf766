"""What the home asks by MQTT: checked, obeyed, and answered, or refused with a word about why.

A command's text reaches a camera's settings or a model's prompt and nothing else: no path, no URL, no shell.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiomqtt

from agent.plugin import CommandRefused, Home, Observation
from plugins.outputs.mqtt import payloads
from plugins.outputs.mqtt.link import Link, Message, Refused
from plugins.outputs.mqtt.memory import Memory
from plugins.outputs.mqtt.topics import HUB, Topics

OF_A_CAMERA = ("look", "ask", "enabled", "every", "prompt", "captioner")
OF_THE_HUB = ("paused", "log_level", "restart")
LONGEST_COMMAND = 16_000
"""Bytes; a prompt is at most 4,000 characters."""
COMMAND_TIME = 10.0
LOOK_TIME = 600.0
"""Seconds until a look that was asked for is given up: others may be before it, and a model slow."""
BURST, PER_SECOND = 100, 10.0
"""Commands at once (every switch of thirty cameras), and then in each second."""
LOUD_BURST, LOUD_PER_SECOND = 20, 0.1
"""Refusals that are warnings; the rest is for who debugs."""
MOST_LOOKS = 50
"""Looks under way by MQTT; each camera has its own limit as well."""
LONGEST_TOPIC = 500
REPLY_LIFE = 300
"""Seconds a broker keeps an answer for whoever asked."""


class Commands:
    """Obeys them one after the other; a look goes on beside the next."""

    def __init__(
        self,
        link: Link,
        topics: Topics,
        home: Home,
        memory: Memory,
        log: logging.Logger,
        echo: Callable[[str], Awaitable[None]],
    ) -> None:
        """``echo`` shows what a camera, or the hub, is set to now: who asked has to see the new value or the old."""
        self._link = link
        self._topics = topics
        self._home = home
        self._memory = memory
        self._log = log
        self._echo = echo
        self._pace = _Pace(BURST, PER_SECOND)
        self._loud = _Pace(LOUD_BURST, LOUD_PER_SECOND)
        self._own = f"{topics.base}/", f"{topics.prefix}/"
        self._looks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        for look in self._looks:
            look.cancel()

    async def obey(self, message: aiomqtt.Message) -> None:
        topic = str(message.topic)
        if not message.topic.matches(self._topics.commands) or topic == self._topics.marker:
            return  # amqtt sends retained messages that were not asked for
        if message.retain:
            self._memory.once(
                self._log, "retained", "A command kept by the broker was ignored; delete it from %.200s.", topic
            )
            return
        if not self._in_time():
            return
        whose, name, _ = topic.removeprefix(f"{self._topics.base}/").split("/")
        reply = _Reply(message, topic)
        try:
            await self._carry_out(whose, name, _text(message.payload), reply)
        except CommandRefused as error:
            await self._refuse(reply, error)

    def _in_time(self) -> bool:
        if self._pace.allows():
            if dropped := self._pace.recovered():
                self._log.warning("%d commands by MQTT were dropped.", dropped)
            return True
        if self._pace.dropped == 1:
            self._log.warning("More than %g commands a second come by MQTT; the rest is dropped.", PER_SECOND)
        return False

    async def _carry_out(self, whose: str, name: str, value: str, reply: _Reply) -> None:
        if not value and name != "look":
            return  # a command that the broker kept was deleted there, as we had asked for
        if whose == HUB:
            await self._set(None, _known(name, OF_THE_HUB, "camscribe itself"), value, reply)
        elif whose not in self._home.state.cameras:
            raise CommandRefused(f"There is no camera {whose[:60]!r}.")
        elif _known(name, OF_A_CAMERA, "a camera") in ("look", "ask"):
            self._begin(whose, _prompt(value) if name == "look" else value, reply)
        else:
            await self._set(whose, name, value, reply)

    async def _set(self, camera: str | None, name: str, value: str, reply: _Reply) -> None:
        try:
            async with asyncio.timeout(COMMAND_TIME):
                await self._home.command(camera, name, value)
        except (CommandRefused, TimeoutError) as error:
            await self._echo(camera or HUB)
            if isinstance(error, CommandRefused):
                raise
            raise CommandRefused(f"It took longer than {COMMAND_TIME:g} s.") from None
        self._log.info("MQTT: %s of %s: %.100r", name, camera or "camscribe", value)
        await self._answer(reply, {"ok": True})
        await self._echo(camera or HUB)

    def _begin(self, camera: str, prompt: str | None, reply: _Reply) -> None:
        if len(self._looks) >= MOST_LOOKS:
            raise CommandRefused(f"{MOST_LOOKS} looks are under way by MQTT already.")
        look = asyncio.create_task(self._look(camera, prompt, reply))
        self._looks.add(look)
        look.add_done_callback(self._ended)

    async def _look(self, camera: str, prompt: str | None, reply: _Reply) -> None:
        try:
            async with asyncio.timeout(LOOK_TIME):
                observation = await self._home.look(camera, prompt)
        except CommandRefused as error:
            await self._refuse(reply, error)
        except TimeoutError:
            await self._refuse(reply, CommandRefused(f"The look was not done within {LOOK_TIME:g} s."))
        else:
            await self._answer(reply, _told(observation))

    def _ended(self, look: asyncio.Task[None]) -> None:
        self._looks.discard(look)
        if look.cancelled() or (error := look.exception()) is None or isinstance(error, aiomqtt.MqttError):
            return  # the connection is gone, and whoever listens to it says so
        self._log.error("a look that was asked for by MQTT could not be answered: a bug", exc_info=error)

    async def _refuse(self, reply: _Reply, error: CommandRefused) -> None:
        level = logging.WARNING if self._loud.allows() else logging.DEBUG
        self._log.log(level, "The MQTT command %.200s was refused. %s", reply.command, error)
        told = {"ok": False, "topic": reply.command, "error": str(error)}
        if not await self._answer(reply, told):
            await self._link.tell(Message(self._topics.refused, payloads.encode(told), expires=REPLY_LIFE))

    async def _answer(self, reply: _Reply, told: dict[str, Any]) -> bool:
        """Where whoever asked wants it. False: nowhere."""
        if reply.topic is None:
            return False
        if not self._may_tell(reply.topic):
            level = logging.WARNING if self._loud.allows() else logging.DEBUG
            told_of = (
                "The answer to the MQTT command %.200s may not go to its response topic %.100r: name one outside %s"
            )
            self._log.log(level, told_of, reply.command, reply.topic, " and ".join(self._own))
            return False
        message = Message(reply.topic, payloads.encode(told), expires=REPLY_LIFE, correlation=reply.correlation)
        try:
            return await self._link.tell(message)
        except Refused as error:  # whoever asks for what camscribe has no right to must not take it off the broker
            self._memory.once(self._log, "reply", "An answer could not be given, because the MQTT broker %s.", error)
            return False

    def _may_tell(self, topic: str) -> bool:
        """Nobody makes us speak in our own name, or announce anything to Home Assistant."""
        fine = topic.isprintable() and not set(topic) & set("+#") and not topic.startswith("$")
        return fine and 0 < len(topic) <= LONGEST_TOPIC and not f"{topic}/".startswith(self._own)


class _Reply:
    """Where the answer to a command goes, by MQTT 5."""

    def __init__(self, message: aiomqtt.Message, command: str) -> None:
        told = message.properties
        self.command = command
        self.topic: str | None = getattr(told, "ResponseTopic", None)
        self.correlation: bytes | None = getattr(told, "CorrelationData", None)


class _Pace:
    """A bucket of commands that fills up again with time."""

    def __init__(self, burst: int, per_second: float) -> None:
        self.dropped = 0
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._since = time.monotonic()

    def allows(self) -> bool:
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            self.dropped += 1
            return False
        self._left -= 1
        return True

    def recovered(self) -> int:
        """How many were dropped, once the flood is over."""
        if self._left < self._burst / 10:
            return 0
        dropped, self.dropped = self.dropped, 0
        return dropped


def _text(payload: object) -> str:
    if not isinstance(payload, bytes | bytearray) or len(payload) > LONGEST_COMMAND:
        raise CommandRefused(f"It is longer than {LONGEST_COMMAND:,} bytes.")
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise CommandRefused("It is not UTF-8 text.") from None


def _known(name: str, names: tuple[str, ...], whose: str) -> str:
    if name not in names:
        raise CommandRefused(f"There is no {name[:60]!r} to set of {whose}; there is: {', '.join(names)}.")
    return name


def _prompt(value: str) -> str | None:
    """A look's command may be ``{"prompt": "…"}``; anything else is the press of a button."""
    if not value.lstrip().startswith("{"):
        return None
    try:
        told = json.loads(value)
    except (ValueError, RecursionError):
        raise CommandRefused('It begins as JSON and is none: {"prompt": "…"} asks something of its own.') from None
    prompt = told.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        raise CommandRefused("The prompt in it is no text.")
    return prompt


def _told(observation: Observation) -> dict[str, Any]:
    return {"ok": observation.error is None, "observation": observation.model_dump(mode="json")}
