"""A daemon thread for calls that may block for good, as a read from a share that went away does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """The call did not come back in time; the thread is still in it."""


class Thread:
    """Makes one call after the other. A daemon: a stuck call does not keep the process from ending."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running: Future[Any] | None = None

    async def call(self, work: Callable[[], T], timeout: float) -> T:
        """Raises Stuck after ``timeout`` seconds. A call that is stuck has to come back before the next is made."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        try:
            async with asyncio.timeout(timeout):
                if self._running is not None:
                    await asyncio.gather(asyncio.wrap_future(self._running), return_exceptions=True)
                self._running = result = Future[T]()
                self._calls.put(lambda: _settle(result, work))
                return await asyncio.wrap_future(result)
        except TimeoutError:
            raise Stuck from None

    def end(self, last: Callable[[], None]) -> None:
        """The thread makes one last call and ends; nobody waits for it."""
        if self._thread is not None:
            self._calls.put(last)
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _settle(result: Future[T], work: Callable[[], T]) -> None:
    if not result.set_running_or_notify_cancel():  # from here on it can't be cancelled, only waited for
        return
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001  whoever waits gets it
        result.set_exception(error)
