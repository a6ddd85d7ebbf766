from __future__ import annotations

import asyncio

from agent.config import json_schema
from agent.registry import Registry
from tests.fakes.website import Website


async def test_it_is_alive_and_ready(site: Website) -> None:
    answer = await site.client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok")
    answer = await site.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True})


async def test_it_is_not_ready_without_an_engine_or_with_a_full_disk(site: Website) -> None:
    site.journal.outage.begins("The disk is full.")
    assert (await site.client.get("/readyz")).status_code == 503
    site.journal.outage.ends()
    site.house._engine = lambda: ("failed: it crashed", "tiny")
    answer = await site.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False})
    assert (await site.client.get("/healthz")).status_code == 200


async def test_the_config_schema_is_the_command_lines(site: Website) -> None:
    said = await asyncio.to_thread(lambda: json_schema(Registry.discover(None)))
    assert (await site.client.get("/api/v1/config/schema")).json() == said
