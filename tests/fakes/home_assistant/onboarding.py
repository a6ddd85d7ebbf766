"""What a person does in the browser when Home Assistant is new: an account, and where the MQTT broker is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.broker import Broker
from tests.fakes.home_assistant.api import ANSWER_TIME, Api, Refused

CONFIGURATION = """\
homeassistant:
  name: Test
  time_zone: UTC
http:
  server_host: 127.0.0.1
  server_port: {port}
recorder:
logger:
  logs:
    homeassistant.components.mqtt: info
automation: !include automations.yaml
"""


def write_config(folder: Path, port: int) -> None:
    """An empty installation whose questions about the house have been answered already."""
    (folder / ".storage").mkdir(parents=True)
    (folder / "configuration.yaml").write_text(CONFIGURATION.format(port=port))
    (folder / "automations.yaml").write_text("[]\n")
    done = {"done": ["core_config", "analytics", "integration"]}
    onboarding = {"version": 4, "minor_version": 1, "key": "onboarding", "data": done}
    (folder / ".storage" / "onboarding").write_text(json.dumps(onboarding))


async def create_account(url: str) -> str:
    """A long-lived token of the first user."""
    async with httpx.AsyncClient(base_url=url, timeout=ANSWER_TIME, trust_env=False) as client:
        person = {"name": "Test", "username": "test", "password": "test", "language": "en", "client_id": f"{url}/"}
        created = await client.post("/api/onboarding/users", json=person)
        if created.is_error:
            raise Refused(f"no account: {created.status_code} {created.text}")
        login = {"grant_type": "authorization_code", "code": created.json()["auth_code"], "client_id": f"{url}/"}
        token = (await client.post("/auth/token", data=login)).raise_for_status().json()["access_token"]
    async with Api.signed_in(url, token) as api:
        return await api.ask("auth/long_lived_access_token", client_name="tests", lifespan=3650)


async def confirm_address(api: Api) -> None:
    """Newer versions try another port than 8123 for five minutes, and go back to it unless somebody says it's good."""
    try:
        await api.ask("http/config/promote")
    except Refused as refused:
        if "unknown_command" not in str(refused):
            raise


async def add_mqtt(api: Api, broker: Broker) -> str:
    """The id of the MQTT integration's entry, made by the form that a person fills in."""
    form = await api.post("/api/config/config_entries/flow", {"handler": "mqtt"})
    step = await api.post(f"/api/config/config_entries/flow/{form['flow_id']}", _filled_in(form["data_schema"], broker))
    if step["type"] != "create_entry":
        raise Refused(f"the MQTT entry was not made: {step}")
    return step["result"]["entry_id"]


def _filled_in(fields: list[dict[str, Any]], broker: Broker) -> dict[str, Any]:
    """Broker and port, and whatever else this version's form insists on as a person would leave it."""
    answers = {"broker": "127.0.0.1", "port": broker.port, "set_client_cert": False, "set_ca_cert": "off"}
    if broker.protocol == "3.1.1":
        answers["protocol"] = "3.1.1"
    data: dict[str, Any] = {}
    for field in fields:
        if field.get("type") == "expandable":
            data[field["name"]] = _filled_in(field["schema"], broker)
        elif field.get("required"):
            data[field["name"]] = answers[field["name"]] if field["name"] in answers else field["default"]
    return data
