"""One thread that does all the journal's work, in order."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

MOST_WAITING = 256
CLOSE_WITHIN = 5.0


class Worker:
    """Runs jobs on a thread of its own, one at a time; whoever would be one too many waits.

    Not asyncio's executor: its few threads are shared with whatever a library runs there, and ``asyncio.run`` waits
    for them. This thread is a daemon, so a disk that hangs can't keep the process from ending.
    """

    def __init__(self, name: str, at_end: Callable[[], None]) -> None:
        """``at_end`` is the last thing the thread does."""
        self._at_end = at_end
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, job: Callable[[], T]) -> T:
        """What ``job`` returns or raises. Cancelled while it waits its turn, it is not run."""
        async with self._room:
            if self._closed:
                raise RuntimeError("The journal is closed.")
            future: asyncio.Future[T] = self._loop.create_future()
            self._jobs.put((job, future))
            return await future

    def tell(self, callback: Callable[..., object], *arguments: object) -> None:
        """From a job: call ``callback`` on the event loop, before whoever waits for the job goes on."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            if not self._loop.is_closed():  # nobody is left to hear it
                raise

    async def close(self) -> bool:
        """Let the jobs that wait end; whether they did in time."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            self._do(*item)
            del item
        try:
            self._at_end()
        finally:
            self.tell(self._ended.set)

    def _do(self, job: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            return
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001  it belongs to whoever asked
            self.tell(_settle, future, None, error)
        else:
            self.tell(_settle, future, result, None)


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
