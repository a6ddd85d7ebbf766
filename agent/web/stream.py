"""What happens, as it happens: server-sent events, one line of work for however many listeners.

Each event is put into bytes once. A listener who reads too slowly is dropped, and counted; it comes back by itself and
gets what it missed from the journal.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from agent.house import House
from agent.journal import Journal
from agent.journal.store import Kept
from agent.status import Counters
from agent.web.problems import Problem
from agent.web.shapes import CameraFacts, HomeShape

MOST_LISTENERS = 300
MOST_WAITING = 512
"""Events that wait for a listener before it is dropped."""
MOST_REPLAYED = 500
"""Observations that one who comes back is given; who missed more is told to load everything anew."""
BATCH = 64
HEARTBEAT = 15.0
"""Seconds without an event after which a line is sent that says nothing, so that a dead connection is found out."""


class Stream:
    """Follows the journal and the home. ``run`` it once; ``listen`` gives a listener's part."""

    def __init__(self, journal: Journal, house: House, counters: Counters) -> None:
        self._journal = journal
        self._house = house
        self._counters = counters
        self._listeners: set[_Listener] = set()
        self._news = asyncio.Event()
        self._watched = asyncio.Event()
        self._home = b""
        self._cameras: dict[str, bytes] = {}
        self._ended = False
        self.fetched = journal.latest_seq

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    async def run(self) -> None:
        """Forever."""
        self._journal.follow(self)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_journal())
                group.create_task(self._follow_home())
        finally:
            self._journal.unfollow(self)

    def end(self) -> None:
        """Every listener is told goodbye: the service stops."""
        self._ended = True
        for listener in self._listeners:
            listener.end()

    def listen(self, after: int | None) -> AsyncIterator[bytes]:
        """Everything from now on; with ``after`` (the seq of the last observation one has heard of), what came since.

        Raises Problem where too many listen already.
        """
        if self._full:
            raise Problem(503, "Too many listen already.", headers={"Retry-After": "10"})
        return self._events(after)

    @property
    def _full(self) -> bool:
        return self._ended or len(self._listeners) >= MOST_LISTENERS

    async def _events(self, after: int | None) -> AsyncIterator[bytes]:
        if self._full:  # many came at once
            return
        listener = _Listener()
        # Before anything is awaited: from here on it misses nothing, and what is in the journal until now is replayed.
        until = self.fetched if self._listeners else self._skip_to_now()
        self._tell_home()
        listener.put(b"retry: 2000\n\n" + self._home + b"".join(self._cameras.values()))
        self._listeners.add(listener)
        self._watched.set()
        try:
            if after is not None:
                async for chunk in self._replay(after, until):
                    yield chunk
            async for chunk in listener.chunks():
                yield chunk
        finally:
            self._listeners.discard(listener)
            if listener.dropped:
                self._counters.add("listeners_dropped_total", reason="slow")

    def _skip_to_now(self) -> int:
        self.fetched = self._journal.latest_seq
        return self.fetched

    async def _replay(self, after: int, until: int) -> AsyncIterator[bytes]:
        if after > until or until - after > MOST_REPLAYED:  # another journal than the one it heard of, or too much
            yield _event("gap", b"{}")
            return
        while after < until:
            rows = [row for row in await self._journal.read(after, BATCH) if row.seq <= until]
            if not rows:
                return
            yield b"".join(_event("observation", row.json.encode(), row.seq) for row in rows)
            after = rows[-1].seq

    async def _follow_journal(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._listeners and self._journal.latest_seq > self.fetched:
                rows = await self._journal.read(self.fetched, BATCH)
                if not rows:
                    break
                for row in rows:
                    if row.seq > self.fetched:  # a first listener may have begun at now meanwhile
                        self._tell(_event("observation", row.json.encode(), row.seq))
                self.fetched = max(self.fetched, rows[-1].seq)
            if not self._listeners:
                self._skip_to_now()

    async def _follow_home(self) -> None:
        while True:
            await self._watched.wait()
            async for _ in self._house.changes():
                if not self._listeners:
                    self._watched.clear()
                    break
                self._tell_home()

    def _tell_home(self) -> None:
        """What is different from what was told last."""
        state, running = self._house.state, self._house.cameras
        home = _event("home", HomeShape.of(state).model_dump_json().encode())
        if home != self._home:
            self._home = home
            self._tell(home)
        for gone in [id_ for id_ in self._cameras if id_ not in state.cameras]:
            del self._cameras[gone]
            self._tell(_event("removed", json.dumps({"camera": gone}).encode()))
        for id_, info in state.cameras.items():
            told = _event("camera", CameraFacts.of(info, running[id_]).model_dump_json().encode())
            if told != self._cameras.get(id_):
                self._cameras[id_] = told
                self._tell(told)

    def _tell(self, event: bytes) -> None:
        for listener in self._listeners:
            listener.put(event)

    # What the journal calls

    def news(self) -> None:
        self._news.set()

    def lost(self, kept: list[Kept]) -> None:
        """Nothing to tell: whoever looks finds them gone."""


class _Listener:
    """What waits for one of them."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._over = False
        self.dropped = False

    def put(self, event: bytes) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.dropped = True
            self.end()
            return
        self._waiting.append(event)
        self._news.set()

    def end(self) -> None:
        self._over = True
        self._waiting.clear()
        self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All that waits in one piece, and a heartbeat where nothing does."""
        while not self._over:
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._news.wait()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            self._news.clear()
            chunk = b"".join(self._waiting)
            self._waiting.clear()
            if chunk:
                yield chunk


def _event(kind: str, data: bytes, seq: int | None = None) -> bytes:
    head = f"id: {seq}\nevent: {kind}\n" if seq is not None else f"event: {kind}\n"
    return head.encode() + b"data: " + data + b"\n\n"


class EventResponse(StreamingResponse):
    """``text/event-stream``, that proxies pass on as it comes."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], status_code: int = 200) -> None:
        super().__init__(events, status_code, {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"})
