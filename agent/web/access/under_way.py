"""Requests under way, and by whom: an open stream ends with the session or the token that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.web.access.caller import Caller


class UnderWay:
    def __init__(self) -> None:
        self._callers: dict[asyncio.Event, Caller] = {}

    @contextmanager
    def request(self, caller: Caller) -> Iterator[asyncio.Event]:
        """The event is set when the caller may go on no longer."""
        ended = asyncio.Event()
        self._callers[ended] = caller
        try:
            yield ended
        finally:
            del self._callers[ended]

    def check(self, still_good: Callable[[Caller], bool]) -> None:
        for ended, caller in self._callers.items():
            if not still_good(caller):
                ended.set()
