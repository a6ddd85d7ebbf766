"""One browser and one home for all tests of a module; a page for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.fakes.browser import Tabs, chromium
from tests.fakes.home import Home, run_home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def tabs(browser: Browser) -> AsyncIterator[Tabs]:
    """``await tabs.open(size=PHONE, scheme="dark")``. What goes wrong on a page fails the test, unless
    ``tabs.expect("…")`` has said so."""
    tabs = Tabs(browser)
    yield tabs
    await tabs.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(tabs: Tabs) -> Page:
    """On a desktop, light."""
    return await tabs.open()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """camscribe itself with the real engine; ``parametrize("home", [30], indirect=True)`` for that many cameras."""
    async with run_home(tmp_path_factory.mktemp("home"), getattr(request, "param", 3)) as home:
        yield home
