"""The connection to the broker: aiomqtt's client, and what that keeps to itself.

aiomqtt 2.5 tells neither the broker's limits (CONNACK) nor its answer to a publish (PUBACK), leaves the socket open
after a failed connect, waits its full time for a broker that hung up on the CONNECT, and says a polite DISCONNECT on
the way out of an error, so that the broker publishes no last will.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, cast

import aiomqtt
from paho.mqtt.client import topic_matches_sub
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plugins.outputs.mqtt.config import MqttConfig
from plugins.tls import Named

HEADER = 64
"""Bytes a message may take beside its topic and payload: lengths, content type, expiry."""
WAITING_COMMANDS = 100
CONNECT_TIME = 10.0
"""Seconds for each step of a connect. A message has as long as the agent gives it."""
T = TypeVar("T")
STOCK_TIME = 3.0
"""Seconds for a broker to tell what it keeps; it has no way to say that this was all."""
MOST_KEPT = 10_000
SOME_RETAINED = 5
"""Commands that a broker keeps are ignored, so a few are enough to say so."""
SHORTEST_KEEPALIVE = 3
UNSPECIFIED = 0x80
"""What paho calls the reason where the broker has given none."""
GOODBYE = 2.0
"""Seconds for a connection that is given up to end; after that it is left to the operating system."""


class Limits(NamedTuple):
    """What the broker takes."""

    packet: int
    qos: int
    retain: bool


class Message(NamedTuple):
    """What is to be published; all but the first three is told to MQTT 5 brokers only. ``expires`` in seconds."""

    topic: str
    payload: bytes
    retain: bool = False
    kind: str = "application/json"
    expires: int | None = None
    correlation: bytes | None = None
    """What an answer gives back to whoever asked."""


class Refused(aiomqtt.MqttError):
    """The broker answered that it did not take a message."""


async def steadfast(work: Awaitable[T]) -> T:
    """Python 3.11's ``wait_for``, in aiomqtt, forgets a cancellation that comes at the same time as the result."""
    task = asyncio.current_task()
    assert task
    before = task.cancelling()
    result = await work
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return result


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """The libraries call a lost connection an ERROR and say it twice; the agent tells of it once, in a sentence."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        super().log(logging.DEBUG, msg, *args, **kwargs)


def _keepalive(seconds: float) -> int:
    """What the broker is told so that it has said our last will ``seconds`` after we fell silent.

    It waits half as long again (MQTT 5, 3.1.2.10), and mosquitto looks every five seconds only.
    """
    return max(SHORTEST_KEEPALIVE, int((seconds - 5) / 1.5))


class _Stock:
    """What a broker retains, while it tells."""

    def __init__(self, filters: Sequence[str], marker: str, token: bytes) -> None:
        self.kept: dict[str, bytes] = {}
        self.token = token
        self.complete = asyncio.Event()
        self._filters = filters
        self._marker = marker

    def takes(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Whether the message was for here."""
        if topic == self._marker:
            if payload == self.token:
                self.complete.set()
            return True
        if not any(topic_matches_sub(one, topic) for one in self._filters):
            return False
        if retained and payload and len(self.kept) < MOST_KEPT:
            self.kept[topic] = payload
        return True


class Link(aiomqtt.Client):
    """One connection, made with ``async with``. Not used again after it."""

    def __init__(
        self, config: MqttConfig, client_id: str, tls: Named | None, will: Message, log: logging.Logger
    ) -> None:
        address, five = config.address, config.protocol == "5"
        super().__init__(
            address.host,
            address.port,
            username=address.username,
            password=address.password.get_secret_value() if address.password else None,
            logger=cast("logging.Logger", _Quiet(log)),
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else True,
            will=aiomqtt.Will(will.topic, will.payload, min(config.qos, 1), config.retain and will.retain),
            transport="websockets" if address.path else "tcp",
            websocket_path=address.path,
            timeout=CONNECT_TIME,
            keepalive=_keepalive(config.keepalive),
            tls_context=tls,
            max_queued_incoming_messages=WAITING_COMMANDS,
        )
        self._client.connect_timeout = CONNECT_TIME
        self._five = five
        self._config = config
        self._log = log
        self._tls = tls
        self._turn = asyncio.Lock()
        self._refusal: ReasonCode | None = None
        self._abandoned = False
        self._stock: _Stock | None = None
        self._keeps = True
        """The broker can."""
        self._retained = self._dropped = 0
        self.limits = Limits(config.max_packet_size, config.qos, config.retain)

    async def lost(self) -> None:
        """Ends with an error when the connection does: who waits for the broker's answer would not hear of that."""
        try:
            await asyncio.shield(self._disconnected)
        except aiomqtt.MqttCodeError as error:
            if not isinstance(error.rc, ReasonCode) or error.rc.value != UNSPECIFIED:
                raise
        raise aiomqtt.MqttError("Disconnected during message iteration")

    async def ask_for(self, topic: str) -> bool:
        """Subscribe. False: the broker does not let us."""
        answers = await steadfast(self.subscribe(topic, qos=1))
        return all((answer if isinstance(answer, int) else answer.value) < 0x80 for answer in answers)

    async def kept(self, filters: Sequence[str], marker: str) -> dict[str, bytes]:
        """What the broker retains on these topics. ``marker``: a topic that we have subscribed already.

        A message of our own comes after all that the broker had to say. Where it does not come, that is waited for.
        """
        self._stock = stock = _Stock(filters, marker, secrets.token_hex(8).encode())
        try:
            for topic in filters:
                await self.ask_for(topic)
            await self.tell(Message(marker, stock.token, kind="text/plain"))
            with suppress(TimeoutError):
                async with asyncio.timeout(STOCK_TIME):
                    await stock.complete.wait()
            for topic in filters:
                await steadfast(self.unsubscribe(topic))
        finally:
            self._stock = None
        return stock.kept

    async def tell(self, message: Message) -> bool:
        """Publish, and wait until the broker has it. False: not sent, because the broker takes nothing so large."""
        if len(message.payload) + len(message.topic.encode()) + HEADER > self.limits.packet:
            return False
        properties = None
        if self._five:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
            properties.ContentType = message.kind
            if message.expires is not None:
                properties.MessageExpiryInterval = message.expires
            if message.correlation is not None:
                properties.CorrelationData = message.correlation
        async with self._turn:  # so that an answer belongs to the message before it, and order is what it looks like
            # What is taken back must go, also where nothing is to be kept any more.
            retain = message.retain and (self.limits.retain or (self._keeps and not message.payload))
            sending = self.publish(
                message.topic, message.payload, self.limits.qos, retain, properties, timeout=math.inf
            )
            await steadfast(sending)
            if refusal := self._refusal:
                self._refusal = None
                raise Refused(f"refused a message to {message.topic} ({refusal}); check the user's rights there")
        return True

    async def __aenter__(self) -> Self:
        try:
            return await steadfast(super().__aenter__())
        except BaseException:
            self._abandoned = True
            self._hang_up()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind and not self._disconnected.done():
            # Without a DISCONNECT the broker publishes the last will.
            self._hang_up()
            await asyncio.wait({self._disconnected}, timeout=GOODBYE)
            if not self._disconnected.done():
                self._disconnected.set_result(None)  # or aiomqtt would go on, and cover the first error with its own
        if self._disconnected.done():
            self._disconnected.exception()  # it has been told already, or is what we just asked for
        await super().__aexit__(kind, error, trace)

    def _hang_up(self) -> None:
        sock = self._client.socket()
        if sock is None:
            if self._tls and self._tls.last:
                self._tls.last.close()  # paho forgets it where the handshake fails
            return
        with suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as raw:
            raw.shutdown(socket.SHUT_RDWR)

    def _client_connect(self) -> None:
        super()._client_connect()
        if self._abandoned:  # while this thread was still looking the name up
            self._hang_up()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, properties: Any = None) -> None:
        self._keeps = bool(getattr(properties, "RetainAvailable", 1))
        self.limits = Limits(
            min(self._config.max_packet_size, getattr(properties, "MaximumPacketSize", 1 << 28)),
            min(self._config.qos, getattr(properties, "MaximumQoS", 2)),
            self._config.retain and self._keeps,
        )
        super()._on_connect(client, userdata, flags, reason, properties)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, properties: Any = None
    ) -> None:
        if not self._connected.done() and not self._abandoned:
            error = aiomqtt.MqttError("it closed the connection without an answer")
            error.__cause__ = self._tls.last.alert if self._tls and self._tls.last else None
            self._connected.set_exception(error)
        super()._on_disconnect(client, userdata, flags, reason, properties)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            self._refusal = reason
        super()._on_publish(client, userdata, mid, reason, properties)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if self._stock and self._stock.takes(message.topic, message.payload, retained=message.retain):
            return
        if message.retain:
            self._retained += 1
            if self._retained > SOME_RETAINED:
                return
        if self._queue.full():
            self._dropped += 1
            if self._dropped == 1:
                self._log.warning("Commands come faster by MQTT than they can be obeyed; the rest is dropped.")
            return
        if self._dropped and self._queue.empty():
            self._log.warning("%d commands by MQTT were dropped.", self._dropped)
            self._dropped = 0
        super()._on_message(client, userdata, message)
