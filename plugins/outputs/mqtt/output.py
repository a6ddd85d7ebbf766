"""The MQTT output: connects, and speaks for the home until the agent stops it or the broker goes away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from agent.plugin import Context, Delivery, Output
from plugins.outputs.mqtt.config import MqttConfig
from plugins.outputs.mqtt.faults import UNAVAILABLE, explain, single
from plugins.outputs.mqtt.former import Former
from plugins.outputs.mqtt.link import Link, Message
from plugins.outputs.mqtt.memory import Memory
from plugins.outputs.mqtt.session import Session
from plugins.outputs.mqtt.topics import Topics
from plugins.outputs.trust import trust


class MqttOutput(Output[MqttConfig]):
    """Publishes states, pictures and events to an MQTT broker, and obeys commands from there."""

    unavailable = UNAVAILABLE

    def __init__(self, config: MqttConfig, context: Context) -> None:
        super().__init__(config, context)
        self._topics = Topics(config.base_topic, config.discovery_prefix)
        self._memory = Memory()
        self._id = config.client_id
        self._former = Former(Path(context.data_dir, f"{context.name}.topics.json"))

    @classmethod
    def place(cls, config: MqttConfig) -> str:
        return f"the MQTT broker {config.address} below {config.base_topic}"

    async def check(self) -> str:
        try:
            # A name of its own: with the service's it would throw that off the broker.
            async with await self._link(f"camscribe_check_{secrets.token_hex(4)}"):
                return f"the broker at {self.config.address} lets us in"
        except UNAVAILABLE as error:
            raise explain(error, self.config) from None

    async def deliver(self, deliveries: AsyncIterator[Delivery]) -> None:
        try:
            if self._id is None:
                self._id = await asyncio.to_thread(self._own_id)
            async with await self._link(self._id) as link:
                self.log.debug("Connected to the MQTT broker at %s.", self.config.address)
                session = Session(link, self.config, self._topics, self.home, self._memory, self.log)
                try:
                    await session.greet()
                    if former := await asyncio.to_thread(self._former.topics, self._topics):
                        await session.leave(former)
                    await asyncio.to_thread(self._former.note, self._topics)
                    await self._converse(link, session, deliveries)
                    await session.goodbye()
                finally:
                    session.close()
        except UNAVAILABLE as error:
            raise explain(error, self.config) from None

    async def _converse(self, link: Link, session: Session, deliveries: AsyncIterator[Delivery]) -> None:
        fault: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                # Whoever notices first that the broker is gone ends them all: a publish alone would wait for its
                # answer to the end of ``timeout``.
                parts = (link.lost, session.listen, session.follow, session.greet_again)
                beside = [tasks.create_task(part()) for part in parts]
                async for delivery in deliveries:
                    await session.tell(delivery)
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as errors:
            fault = single(errors)
        if fault:
            raise fault  # here, because `from None` in there would cut off its cause

    async def _link(self, client_id: str) -> Link:
        address, will = self.config.address, Message(self._topics.status, b"offline", retain=True)
        tls = await asyncio.to_thread(trust, address.tls) if address.tls else None
        if address.tls and address.tls.insecure:
            self._memory.once(
                self.log, "insecure", "tls.insecure: anybody on the network can pose as the MQTT broker %s.", address
            )
        return Link(self.config, client_id, tls, will, self.log)

    def _own_id(self) -> str:
        """Made up once: two camscribes with the same id would throw each other off the broker for ever."""
        path = Path(self.context.data_dir, f"{self.context.name}.client_id")
        made = f"camscribe_{secrets.token_hex(4)}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError), path.open("x") as file:
                file.write(made)
            return path.read_text().strip() or made
        except OSError as error:
            self._memory.once(self.log, "id", "The MQTT client id can't be kept, so it changes: %s.", error)
            return made
