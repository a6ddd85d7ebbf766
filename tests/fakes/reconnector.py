"""Opens RTSP streams again and again without a pause, in a process that does only this, and tells what it costs.

    python -m tests.fakes.reconnector '{"steady": ["rtsp://…"], "refused": "rtsp://127.0.0.1:1/", "count": 1000}'

A source at each of the ``steady`` addresses all the time, and one at ``refused`` whenever the others are ahead by ten.
One JSON line each ten sessions: ``sessions``, ``good`` (they gave a picture), ``uss`` (bytes), ``descriptors``,
``threads``; the last one, ``"ended": true``, after everything was stopped.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from agent.memory import share_one_heap
from agent.plugin import Context, FrameUnavailable
from plugins.sources.rtsp import RtspSource
from plugins.sources.rtsp.pace import Pace
from tests.fakes.waiting import eventually

REFUSED_SHARE = 0.2


class Sessions(logging.Handler):
    """Counts them by the line that the source logs at each."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage().startswith("connecting to")


class Reconnector:
    def __init__(self) -> None:
        self.steady, self.refused = Sessions(), Sessions()
        self.good = 0
        self._me = psutil.Process()
        self._told = 0

    @property
    def sessions(self) -> int:
        return self.steady.count + self.refused.count

    def tell(self, **more: Any) -> None:
        gc.collect()
        facts = {
            "sessions": self.sessions,
            "good": self.good,
            "uss": self._me.memory_full_info().uss,
            "descriptors": self._me.num_fds(),
            "threads": self._me.num_threads(),
        }
        print(json.dumps({**facts, **more}), flush=True)

    def tell_each_ten(self) -> None:
        if self.sessions >= self._told + 10:
            self._told = self.sessions
            self.tell()

    async def look(self, source: RtspSource) -> None:
        """Take a picture of each session that gives one."""
        while True:
            before = self.steady.count
            with suppress(FrameUnavailable):
                await source.take(5)
                self.good += 1
            while self.steady.count == before:  # noqa: ASYNC110 - nothing tells of a new session
                await asyncio.sleep(0.01)


def _source(name: str, url: str, counter: Sessions) -> RtspSource:
    log = logging.getLogger(f"reconnector.{name}")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [counter]
    source = RtspSource(RtspSource.Config(url=url), Context(name, log, Path("/nonexistent"), Path("/nonexistent")))
    source.pace = replace(Pace(), first_pause=0.0, longest_pause=0.0, refused_pause=0.0)  # type: ignore[misc]
    return source


@asynccontextmanager
async def running(source: RtspSource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def main(task: Mapping[str, Any]) -> None:
    share_one_heap()  # as the service does
    work = Reconnector()
    work.tell()
    sources = [_source(f"steady {place}", url, work.steady) for place, url in enumerate(task["steady"])]
    tasks = [asyncio.create_task(part) for source in sources for part in (source.run(), work.look(source))]
    while work.sessions < task["count"]:
        if work.refused.count <= REFUSED_SHARE * work.sessions - 10:
            goal = work.refused.count + 10
            async with running(_source("refused", task["refused"], work.refused)):
                await eventually(lambda goal=goal: work.refused.count >= goal)
        await asyncio.sleep(0.01)
        work.tell_each_ten()
        for part in tasks:
            if part.done():
                part.result()
    for part in tasks:
        part.cancel()
    await asyncio.wait(tasks)
    await eventually(lambda: not any(thread.name.startswith("rtsp") for thread in threading.enumerate()))
    work.tell(ended=True, seconds=time.process_time())


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
