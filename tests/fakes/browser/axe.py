from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.async_api import Page

from tests.fakes.browser.unrolled import unrolled

GRAVE = ("serious", "critical")


async def axe(page: Page) -> None:
    """Fails where axe-core finds something serious or critical on the page as it is now.

    It runs in a world of its own beside the page's scripts, so the page's CSP holds all the while.
    """
    async with unrolled(page):
        results = await _found(page)
    assert results["passes"], "axe looked at nothing"
    grave = [found for found in results["violations"] if found["impact"] in GRAVE]
    assert not grave, "\n".join([f"axe on {page.url}:", *map(_told, grave)])


async def _found(page: Page) -> Any:
    session = await page.context.new_cdp_session(page)
    try:
        frame = (await session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        world = await session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})
        told = await session.send(
            "Runtime.evaluate",
            {
                "contextId": world["executionContextId"],
                "expression": f"{_axe()};\naxe.run({{resultTypes: ['violations']}}).then(JSON.stringify)",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
    finally:
        await session.detach()
    assert "exceptionDetails" not in told, told["exceptionDetails"]
    return json.loads(told["result"]["value"])


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def _told(found: Any) -> str:
    lines = [f"* {found['impact']}: {found['help']} ({found['id']}, {found['helpUrl']})"]
    for node in found["nodes"]:
        why = node["failureSummary"].replace("\n", "\n      ")
        lines.append(f"    {' '.join(map(str, node['target']))}\n      {node['html']}\n      {why}")
    return "\n".join(lines)
