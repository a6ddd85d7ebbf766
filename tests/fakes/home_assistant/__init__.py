"""A real Home Assistant as a process, on loopback, with its MQTT integration at the tests' broker.

Two versions: "new" is the newest, "old" the oldest that camscribe is tested with. `make home-assistant` installs them.
Entities are always named by their unique id, as nobody can tell what their entity id is.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self

import httpx
import psutil
import pytest
import yaml

from tests.fakes.broker import Broker, free_port
from tests.fakes.home_assistant import onboarding
from tests.fakes.home_assistant.api import Api, Refused
from tests.fakes.home_assistant.watching import Seen, watching

__all__ = ["VERSIONS", "HomeAssistant", "Refused", "Seen", "Version"]

Version = Literal["new", "old"]
VERSIONS: tuple[Version, ...] = ("new", "old")

INSTALLED = Path(__file__).resolve().parents[3] / ".venv" / "home-assistant"
ENTRY_POINT = Path(__file__).with_name("on_loopback.py")
START_TIME = 90.0
"""The first start after installing compiles a thousand modules."""
STOP_TIME = 60.0

RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\S* (?P<level>[A-Z]+) \(.*?\) \[(?P<logger>\S+)\] ")
COMPLAINTS = {"WARNING", "ERROR", "CRITICAL"}
OF_THE_RIG = (
    r"\[homeassistant\.bootstrap\] (Skipping pip installation|Waiting for integrations)",
    r"\[homeassistant\.components\.camera\.img_util\] Error loading libturbojpeg",  # small pictures, a bit slower
    r"\[homeassistant\.components\.recorder\.util\] (The system could not validate|Ended unfinished session)",  # killed
    r"(is taking over|took) [\d.]+ seconds",  # a busy machine
)
"""Complaints that no publisher has caused."""


class HomeAssistant:
    """One installation that keeps its config folder, its port and its account through restarts."""

    def __init__(self, folder: Path, broker: Broker, version: Version = "new") -> None:
        self.folder = folder
        self.version = version
        self.config = folder / "config"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._broker = broker
        self._token = ""
        self._entry = ""
        self._process: asyncio.subprocess.Process | None = None
        self._connected = AsyncExitStack()
        self._api: Api | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, broker: Broker, version: Version = "new") -> AsyncIterator[Self]:
        """A new one, that has an account and is connected to the broker; gone at the end."""
        ha = cls(folder, broker, version)
        onboarding.write_config(ha.config, ha.port)
        try:
            await ha.start()
            yield ha
        finally:
            await ha.kill()

    # The process

    async def start(self, *, connected: bool = True) -> None:
        """Until it is up, and its MQTT integration too unless not ``connected``, as when the broker is away."""
        await self._spawn()
        await self.until(self._answers, START_TIME)
        if not self._token:
            self._token = await onboarding.create_account(self.url)
        self._api = await self._connected.enter_async_context(Api.signed_in(self.url, self._token))
        await self.until(self._is_up, START_TIME)
        if not self._entry:
            await onboarding.confirm_address(self.api)
            self._entry = await onboarding.add_mqtt(self.api, self._broker)
            await self.until(self._has_written_down, START_TIME)
        if connected:
            await self.until(self.connected, START_TIME)

    async def stop(self) -> None:
        """As its user would: it says goodbye and writes down what it knows."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """kill -9. What is not yet in its files it has forgotten then; new entities are written after ten seconds."""
        await self._end(signal.SIGKILL)

    async def connected(self) -> bool:
        """Its MQTT integration is loaded, which it also is while the broker is away, and has a connection to it."""
        assert self._process
        entries = await self.api.ask("config_entries/get", domain="mqtt")
        connections = psutil.Process(self._process.pid).net_connections("tcp4")
        peers = {seen.raddr.port for seen in connections if seen.raddr and seen.status == psutil.CONN_ESTABLISHED}
        return [entry["state"] for entry in entries] == ["loaded"] and self._broker.port in peers

    @property
    def api(self) -> Api:
        """REST and websocket, for what has no method here."""
        assert self._api, "Home Assistant is not running"
        return self._api

    async def _spawn(self) -> None:
        python = INSTALLED / self.version / "venv" / "bin" / "python"
        if not await asyncio.to_thread(python.exists):
            pytest.fail("Home Assistant is not installed for the tests: make home-assistant")
        command: list[str | Path] = [
            python,
            "-P",
            ENTRY_POINT,
            str(os.getpid()),
            "--skip-pip",
            "--log-no-color",
            "--config",
            self.config,
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with (self.folder / "home-assistant.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=environment
            )

    async def _end(self, how: signal.Signals) -> None:
        self._api = None
        await self._connected.aclose()
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await asyncio.wait_for(self._process.wait(), STOP_TIME)

    async def _answers(self) -> bool:
        assert self._process
        assert self._process.returncode is None, f"Home Assistant has ended:\n{self.log[-4000:]}"
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{self.url}/api/onboarding")).status_code in {200, 401, 404}
        except httpx.TransportError:
            return False

    async def _is_up(self) -> bool:
        return (await self.api.ask("get_config"))["state"] == "RUNNING"

    def _has_written_down(self) -> bool:
        """Its account and the MQTT entry, so that kill -9 loses neither."""
        files = {"auth": "long_lived_access_token", "core.config_entries": self._entry}
        return all(
            (path := self.config / ".storage" / name).exists() and what in path.read_text()
            for name, what in files.items()
        )

    # What it knows

    async def entities(self) -> list[dict[str, Any]]:
        """What the entity registry has from MQTT."""
        return [entry for entry in await self._registry() if entry["platform"] == "mqtt"]

    async def entity(self, unique_id: str) -> dict[str, Any] | None:
        """The registry's entry, also of an automation."""
        return next((entry for entry in await self._registry() if entry["unique_id"] == unique_id), None)

    async def devices(self) -> list[dict[str, Any]]:
        """What the device registry has from MQTT."""
        devices = await self.api.ask("config/device_registry/list")
        return [device for device in devices if self._entry in device["config_entries"]]

    async def state(self, unique_id: str) -> dict[str, Any] | None:
        """``state``, ``attributes``, ``last_changed`` and so on."""
        return (await self._states(await self._registry())).get(unique_id)

    async def states(self) -> dict[str, dict[str, Any]]:
        """Every state of an MQTT entity, by unique id."""
        return await self._states(await self.entities())

    async def picture(self, unique_id: str) -> bytes:
        """What a dashboard shows of an image or a camera."""
        entity_id = await self._entity_id(unique_id)
        proxy = f"{entity_id.partition('.')[0]}_proxy"
        return (await self.api.request("GET", f"/api/{proxy}/{entity_id}")).content

    async def issues(self) -> list[dict[str, Any]]:
        """What it asks its user to repair about MQTT."""
        issues = (await self.api.ask("repairs/list_issues"))["issues"]
        return [issue for issue in issues if issue["domain"] == "mqtt"]

    def watching(self, *events: str) -> AbstractAsyncContextManager[Seen]:
        """Record changes of states, and events of these types."""
        return watching(self.api, *events)

    async def until(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        """What ``condition()`` gives, or what awaiting it gives, once that is true."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := await _value(condition)):  # noqa: ASYNC110  anything may be waited for
                    await asyncio.sleep(0.05)
                return found
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s.\n{await self._situation()}") from None
        except ConnectionError as gone:
            raise AssertionError(f"{gone}.\n{await self._situation()}") from gone

    async def _registry(self) -> list[dict[str, Any]]:
        return await self.api.ask("config/entity_registry/list")

    async def _entity_id(self, unique_id: str) -> str:
        entry = await self.entity(unique_id)
        assert entry, f"Home Assistant knows no {unique_id}.\n{await self._situation()}"
        return entry["entity_id"]

    async def _states(self, entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        unique_ids = {entry["entity_id"]: entry["unique_id"] for entry in entries}
        states = await self.api.ask("get_states")
        return {unique_ids[state["entity_id"]]: state for state in states if state["entity_id"] in unique_ids}

    async def _situation(self) -> str:
        lines = ["unknown"]
        with suppress(AssertionError, Refused, OSError):  # it may be gone
            lines = [
                f"{unique_id} ({state['entity_id']}): {state['state']!r} {str(state['attributes'])[:300]}"
                for unique_id, state in sorted((await self.states()).items())
            ]
        return "\n".join(["MQTT entities:", *lines, "the log of Home Assistant:", self.log[-4000:]])

    # What it is told to do

    async def call(self, domain: str, service: str, unique_id: str | None = None, **data: Any) -> Any:
        """A service, of one entity where named; Refused where Home Assistant refuses."""
        target = {"target": {"entity_id": await self._entity_id(unique_id)}} if unique_id else {}
        return await self.api.ask("call_service", domain=domain, service=service, service_data=data, **target)

    async def enable(self, *unique_ids: str) -> None:
        """Entities that come disabled; until they have a state."""
        for unique_id in unique_ids:
            entity_id = await self._entity_id(unique_id)
            await self.api.ask("config/entity_registry/update", entity_id=entity_id, disabled_by=None)
        await self.until(lambda: self._have_states(unique_ids), 30)

    async def blueprint(self, path: Path) -> str:
        """Import an automation blueprint, which Home Assistant checks; what ``use_blueprint`` calls it."""
        name = f"tests/{path.name}"
        text = await asyncio.to_thread(path.read_text)
        await self.api.ask("blueprint/save", domain="automation", path=name, yaml=text, allow_override=True)
        return name

    async def automation(self, config: dict[str, Any] | str, unique_id: str = "test") -> str:
        """Save an automation (YAML or the dict of it) as the editor does; its unique id, once it is on."""
        config = yaml.safe_load(config) if isinstance(config, str) else config
        await self.api.post(f"/api/config/automation/config/{unique_id}", {"alias": unique_id, **config})
        await self.until(lambda: self._is_on(unique_id))
        return unique_id

    async def _have_states(self, unique_ids: tuple[str, ...]) -> bool:
        return set(unique_ids) <= set(await self._states(await self._registry()))

    async def _is_on(self, unique_id: str) -> bool:
        state = await self.state(unique_id)
        return state is not None and state["state"] == "on"

    # What it says

    @property
    def log(self) -> str:
        """All it has logged, through all restarts."""
        return (self.folder / "home-assistant.log").read_text(errors="replace")

    @property
    def complaints(self) -> list[str]:
        """Every warning and error it has logged, tracebacks and all, except those that no publisher has caused."""
        records: list[list[str]] = []
        for line in self.log.splitlines():
            if RECORD.match(line) or not records:
                records.append([line])
            else:
                records[-1].append(line)
        return ["\n".join(record) for record in records if _is_complaint(record[0])]


def _is_complaint(line: str) -> bool:
    record = RECORD.match(line)
    level = record["level"] if record else "ERROR"  # what is no log record is a cry of Python's
    return level in COMPLAINTS and not any(re.search(known, line) for known in OF_THE_RIG)


async def _value(condition: Callable[[], Any]) -> Any:
    value = condition()
    return await value if inspect.isawaitable(value) else value
