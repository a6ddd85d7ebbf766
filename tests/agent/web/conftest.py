from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.website import Website, website


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Website]:
    """With the cameras door and yard, and no password."""
    async with website(tmp_path) as site:
        yield site
