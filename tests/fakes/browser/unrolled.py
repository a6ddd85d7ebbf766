from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page

TALLEST = 16_000
"""Pixels; Chromium draws no more at once."""

# What is far below is not drawn, nor are its pictures loaded, until it comes near the window.
LOADED = """() => Promise.allSettled([...document.images]
  .filter(one => one.checkVisibility() && one.getBoundingClientRect().top < innerHeight)
  .map(one => one.decode()))"""


@asynccontextmanager
async def unrolled(page: Page) -> AsyncIterator[None]:
    """The window as high as the page, so that all of it is drawn."""
    size = page.viewport_size
    assert size
    height = 0
    while height != (height := min(await page.evaluate("document.documentElement.scrollHeight"), TALLEST)):
        await page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
        await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.evaluate(LOADED)
    try:
        yield
    finally:
        await page.set_viewport_size(size)
