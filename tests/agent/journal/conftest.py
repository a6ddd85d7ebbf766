from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from agent.clock import SystemClock
from agent.journal import Journal
from agent.status import Counters


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    with blockbuster_ctx("agent"):
        yield


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def journal(data_dir: Path, counters: Counters) -> AsyncIterator[Journal]:
    journal = await Journal.open(data_dir, clock=SystemClock(), counters=counters)
    yield journal
    await journal.close()
