from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.broker import Broker, Listener
from tests.fakes.certificates import Authority


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with Broker.running(tmp_path / "broker") as running:
        yield running


@pytest.fixture
async def listener(broker: Broker) -> AsyncIterator[Listener]:
    async with Listener.at(broker) as listening:
        yield listening


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def stopping() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks put in here end with the test, whatever becomes of it."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
