from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError

DESKTOP = (1280, 800)
PHONE = (360, 740)
LOOPBACK = ("127.0.0.1", "localhost", "::1", None)
"""Hosts that a page may ask; data: and blob: have none."""

TELL_VIOLATIONS = """document.addEventListener("securitypolicyviolation", event =>
  console.error(`CSP forbids ${event.blockedURI}: ${event.effectiveDirective}`))"""


class Tabs:
    """Opens pages, each in a context of its own, and notes what goes wrong on any of them.

    ``page.evaluate`` is the test's own and not held to the page's CSP; what the page's scripts do is.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    async def open(
        self,
        *,
        size: tuple[int, int] = DESKTOP,
        scheme: Literal["dark", "light"] = "light",
        **options: Any,
    ) -> Page:
        """An empty page. A phone's has a touch screen; ``options`` are more of Playwright's for the context."""
        phone = size == PHONE
        context = await self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            **{"has_touch": phone, "is_mobile": phone, "reduced_motion": "reduce", **options},
        )
        self._contexts.append(context)
        await context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)
        context.on("page", self._page)
        return await context.new_page()

    def expect(self, pattern: str) -> None:
        """Complaints in which this regular expression is found are part of the test: a refused request and its status,
        say. What the browser itself then writes to the console is told with the same address and status."""
        self._expected.append(re.compile(pattern))

    @property
    def complaints(self) -> list[str]:
        """Those that no test has asked for."""
        return [one for one in self._complaints if not any(pattern.search(one) for pattern in self._expected)]

    async def close(self) -> None:
        """Fails where there are complaints."""
        for context in self._contexts:
            for page in context.pages:
                if not page.is_closed():
                    await page.evaluate("1")  # what it still had to tell has been told
            await context.close()
        assert not self.complaints, "\n  ".join(["on the page:", *self.complaints])

    # What the browser tells

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location
            self._complaints.append(f"console: {message.text} ({place.get('url')}:{place.get('lineNumber')})")

    def _error(self, error: WebError) -> None:
        self._complaints.append(f"uncaught: {error.error.name}: {error.error.message}")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in LOOPBACK:
            self._complaints.append(f"leaves this machine: {request.method} {request.url}")

    def _failed(self, request: Request) -> None:
        # Aborted: by the page itself, or because it was left.
        if request.failure != "net::ERR_ABORTED":
            self._complaints.append(f"failed: {request.method} {request.url} ({request.failure})")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._complaints.append(f"refused: {response.request.method} {response.url} (status of {response.status})")

    def _page(self, page: Page) -> None:
        page.on("crash", lambda _: self._complaints.append(f"crashed: {page.url}"))
