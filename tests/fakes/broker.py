"""A real MQTT broker as a subprocess: mosquitto, or amqtt from PyPI where mosquitto is not installed.

amqtt speaks MQTT 3.1.1 only, so the tests of MQTT 5 and of mosquitto's own features say that they are skipped there.
With CI=true a missing mosquitto fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiomqtt
import pytest
import yaml
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.fakes.certificates import Pair

START_TIME = 30.0


def mosquitto() -> str | None:
    """Where it is. Debian keeps it off a user's PATH."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("mosquitto is not installed, and in CI nothing is replaced: apt-get install mosquitto")
    return found


def report() -> str:
    """A line for the head of the test report."""
    found = mosquitto()
    return f"MQTT broker: {found or 'amqtt from PyPI, as mosquitto is not installed (no MQTT 5, TLS logins or rights)'}"


def needs_mosquitto(what: str) -> None:
    if mosquitto() is None:
        pytest.skip(f"{what} needs mosquitto, which is not installed here; amqtt stands in for the other tests")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """One broker that keeps its port, and its store where mosquitto, through restarts."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        rights: str = "",
        tls: Pair | None = None,
        ca: Path | None = None,
        websockets: bool = False,
        extra: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.protocol = "5" if mosquitto() else "3.1.1"
        self._users, self._rights, self._tls, self._ca = users or {}, rights, tls, ca
        self._websockets, self._extra = websockets, extra
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, **options: Any) -> AsyncIterator[Self]:
        broker = cls(folder, **options)
        await broker.start()
        try:
            yield broker
        finally:
            await broker.kill()

    @property
    def config(self) -> dict[str, Any]:
        """What config.yaml says to reach it."""
        return {"host": "127.0.0.1", "port": self.port, "protocol": self.protocol}

    @property
    def log(self) -> str:
        return (self.folder / "broker.log").read_text(errors="replace")

    async def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *await asyncio.to_thread(self._command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        async with asyncio.timeout(START_TIME):
            while not await self._answers():
                assert self._process.returncode is None, f"the broker ended:\n{self.log}"

    async def kill(self) -> None:
        """kill -9, as a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """It is there, and says nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Its store is gone: what it retained, and its sessions."""
        for store in self.folder.glob("*.db*"):
            store.unlink()

    async def _end(self, how: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            await asyncio.wait_for(self._process.wait(), START_TIME)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await asyncio.sleep(0.02)
            return False
        writer.close()
        return True

    def _command(self) -> list[str]:
        found = mosquitto()
        config = self.folder / ("mosquitto.conf" if found else "amqtt.yaml")
        if found:
            config.write_text(self._mosquitto_conf())
            return [found, "-c", str(config)]
        special = self._users or self._rights or self._tls or self._websockets
        assert not special, "say needs_mosquitto in the test"
        anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}}
        config.write_text(yaml.safe_dump({"listeners": listeners, "plugins": anonymous}))
        return [str(Path(sys.executable).with_name("amqtt")), "-c", str(config)]

    def _mosquitto_conf(self) -> str:
        lines = [
            "user root",  # else it drops its rights, and can't write its store into the test's folder
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if self._users else 'true'}",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_on_changes true",  # so that kill -9 loses no session
            "autosave_interval 1",
            "max_queued_messages 100000",
            "log_type all",
            self._extra,
        ]
        if self._websockets:
            # 2.0.11 ends when websockets is all it listens to, and wants to be told the family.
            lines[1:2] = [f"listener {free_port()} 127.0.0.1", f"listener {self.port} 127.0.0.1"]
            lines[3:3] = ["protocol websockets", "socket_domain ipv4"]
        if self._users:
            passwords = self.folder / "passwords"
            passwords.write_text("".join(f"{user}:{password}\n" for user, password in self._users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True, timeout=60)
            lines.append(f"password_file {passwords}")
        if self._rights:
            (self.folder / "rights").write_text(self._rights)
            lines.append(f"acl_file {self.folder}/rights")
        if self._tls:
            lines += [f"certfile {self._tls.certificate}", f"keyfile {self._tls.key}"]
        if self._ca:
            lines += [f"cafile {self._ca}", "require_certificate true"]
        return "\n".join(lines) + "\n"


class Heard(list[aiomqtt.Message]):
    """Messages in the order of their arrival."""

    def on(self, topic: str) -> list[aiomqtt.Message]:
        return [message for message in self if message.topic.matches(topic)]

    def json(self, topic: str) -> list[Any]:
        return [json.loads(message.payload) for message in self.on(topic)]

    def text(self, topic: str) -> list[str]:
        return [message.payload.decode() for message in self.on(topic)]


class Listener:
    """A subscriber with a session of its own at the broker, that comes back whenever the broker does."""

    def __init__(self, broker: Broker, topic: str = "#", **options: Any) -> None:
        self.heard = Heard()
        self.sessions = 0
        """How often it has subscribed."""
        self._broker, self._topic, self._options = broker, topic, options
        self._news = asyncio.Condition()
        self._client: aiomqtt.Client | None = None
        self._over = False

    @classmethod
    @asynccontextmanager
    async def at(cls, broker: Broker, topic: str = "#", **options: Any) -> AsyncIterator[Self]:
        listener = cls(broker, topic, **options)
        running = asyncio.create_task(listener._run())
        try:
            await listener.until(lambda _: listener.sessions, START_TIME)
            yield listener
        finally:
            listener._over = True
            running.cancel()
            await asyncio.wait({running}, timeout=START_TIME)

    async def until(self, condition: Callable[[Heard], Any], seconds: float = 15) -> Any:
        """Wait for ``condition(heard)``; its value."""
        try:
            async with asyncio.timeout(seconds), self._news:
                return await self._news.wait_for(lambda: condition(self.heard))
        except TimeoutError:
            topics = "\n".join(f"{m.topic} {m.payload[:150]!r}" for m in self.heard[-40:])
            raise AssertionError(f"not within {seconds} s; heard:\n{topics}\n\n{self._broker.log[-2000:]}") from None

    async def publish(
        self,
        topic: str,
        payload: str | bytes,
        *,
        retain: bool = False,
        reply: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """``reply``: where an answer goes, by MQTT 5."""
        assert self._client
        properties = None
        if reply is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = reply
            if correlation is not None:
                properties.CorrelationData = correlation
        await self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)

    async def _run(self) -> None:
        while not self._over:
            try:
                await self._listen()
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)

    async def _listen(self) -> None:
        five = self._broker.protocol == "5"
        session = Properties(PacketTypes.CONNECT) if five else None
        if session:
            session.SessionExpiryInterval = 3600
        self._client = aiomqtt.Client(
            "127.0.0.1",
            self._broker.port,
            identifier=f"listener-{id(self)}",
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else False,
            **({"clean_start": False, "properties": session} if five else {}),
            **self._options,
        )
        async with self._client as client:
            await client.subscribe(self._topic, qos=1)
            async with self._news:
                self.sessions += 1
                self._news.notify_all()
            async for message in client.messages:
                async with self._news:
                    self.heard.append(message)
                    self._news.notify_all()
