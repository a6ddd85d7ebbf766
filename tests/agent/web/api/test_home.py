from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.fakes.website import Website


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


async def test_all_cameras_are_paused_and_go_on(site: Website) -> None:
    home = (await site.client.patch("/api/v1/home", json={"paused": True})).json()
    assert home["paused"] is True
    answer = await site.client.post("/api/v1/cameras/door/look")
    assert answer.status_code == 409
    assert "paused" in answer.json()["detail"]
    assert (await site.client.patch("/api/v1/home", json={"paused": False})).json()["paused"] is False
    assert (await site.client.post("/api/v1/cameras/door/look")).status_code == 200


async def test_the_log_level_is_set(site: Website) -> None:
    assert (await site.client.patch("/api/v1/home", json={"log_level": "ERROR"})).json()["log_level"] == "ERROR"
    assert logging.getLogger().level == logging.ERROR
    assert (await site.client.patch("/api/v1/home", json={"log_level": "LOUD"})).status_code == 422
