from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The system's: Playwright's own are not downloaded."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def chromium(arguments: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Running without a window; ``arguments`` are more of its command line, for a webcam say."""
    path = find_chromium()
    assert path, "These tests drive the system's Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*arguments])
        try:
            yield browser
        finally:
            await browser.close()
