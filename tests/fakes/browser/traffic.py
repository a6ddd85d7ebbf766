from __future__ import annotations

import asyncio
import time
from typing import Any

from playwright.async_api import Page

QUIET = 0.4
"""Seconds without a byte that came or is asked for, after which a page counts as there."""
PICTURES = ("image/jpeg",)


class Traffic:
    """What a page loads from now on, as it goes over the wire."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._received: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._last = time.monotonic()

    @classmethod
    async def of(cls, page: Page) -> Traffic:
        traffic = cls()
        session = await page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", traffic._asked)
        session.on("Network.responseReceived", traffic._answered)
        session.on("Network.dataReceived", traffic._came)
        session.on("Network.loadingFinished", traffic._done)
        session.on("Network.loadingFailed", traffic._failed)
        await session.send("Network.enable")
        return traffic

    def sizes(self) -> dict[str, int]:
        """Bytes by address, with headers, of everything but cameras' pictures."""
        sizes: dict[str, int] = {}
        for id_, received in self._received.items():
            if self._kinds.get(id_) not in PICTURES:
                address = self._addresses.get(id_, "?")
                sizes[address] = sizes.get(address, 0) + received
        return sizes

    async def settled(self, within: float = 15.0) -> None:
        """Everything asked for is there, but for streams, which have no end."""
        async with asyncio.timeout(within):
            while self._under_way or time.monotonic() - self._last < QUIET:  # noqa: ASYNC110  quiet is no event
                await asyncio.sleep(0.05)

    def _asked(self, event: dict[str, Any]) -> None:
        self._last = time.monotonic()
        self._addresses[event["requestId"]] = event["request"]["url"]
        if event.get("type") != "EventSource":
            self._under_way.add(event["requestId"])

    def _answered(self, event: dict[str, Any]) -> None:
        self._kinds[event["requestId"]] = event["response"]["mimeType"]
        self._received[event["requestId"]] = event["response"]["encodedDataLength"]

    def _came(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._under_way:
            self._last = time.monotonic()
        self._received[event["requestId"]] = self._received.get(event["requestId"], 0) + event["encodedDataLength"]

    def _done(self, event: dict[str, Any]) -> None:
        self._last = time.monotonic()
        self._received[event["requestId"]] = event["encodedDataLength"]
        self._under_way.discard(event["requestId"])

    def _failed(self, event: dict[str, Any]) -> None:
        self._last = time.monotonic()
        self._under_way.discard(event["requestId"])


async def settle(page: Page, url: str) -> Traffic:
    """Open ``url`` and wait until everything is there."""
    traffic = await Traffic.of(page)
    await page.goto(url)
    await traffic.settled()
    return traffic
