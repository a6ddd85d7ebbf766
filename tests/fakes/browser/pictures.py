from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from playwright.async_api import Page

from tests.fakes.browser.unrolled import unrolled

PICTURES = Path(__file__).resolve().parents[3] / "build" / "pages"
"""Kept by CI, to be looked at."""


async def picture(page: Page, name: str, *, whole: bool = True) -> Path:
    """The page as PNG; without ``whole`` only what is in the window."""
    path = PICTURES / f"{name}.png"
    async with unrolled(page) if whole else nullcontext():
        await page.screenshot(path=path, animations="disabled")
    return path
