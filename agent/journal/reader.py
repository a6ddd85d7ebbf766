"""One output's place in the journal: what is due next, and how far it has confirmed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from typing import Literal

from pydantic import ValidationError

from agent.clock import Clock
from agent.journal import Journal, Row
from agent.journal.store import Kept
from agent.status import Counters
from agent.values import Delivery, Observation

BATCH = 64
"""Rows in memory at most, whatever the backlog; their pictures are read one at a time."""


class Reader:
    """Reads along in order. ``next`` gives the same one until ``settle`` moves on; whatever it skips is counted.

    A new output starts at now. With ``backlog="latest"`` each ``catch_up`` leaves out what has been overtaken by then.
    """

    def __init__(
        self,
        journal: Journal,
        name: str,
        *,
        cameras: Collection[str] | None,
        backlog: Literal["all", "latest"],
        expire: float,
        clock: Clock,
        counters: Counters,
        log: logging.Logger,
    ) -> None:
        self._journal = journal
        self._name = name
        self._cameras = None if cameras is None else frozenset(cameras)
        self._latest_only = backlog == "latest"
        self._expire = expire
        self._clock = clock
        self._counters = counters
        self._log = log
        # A cursor beyond the journal's end can only come from a file that was put back from a backup.
        self.confirmed = min(journal.cursors.get(name, journal.latest_seq), journal.latest_seq)
        self.fetched = self.confirmed
        self.stopped = False
        self._saved: int | None = journal.cursors.get(name)
        self._this_run = journal.latest_seq
        self._overtaken_until = 0
        self._rows: deque[Row] = deque()
        self._news = asyncio.Event()
        self._moved = asyncio.Event()
        self._moved.set()
        journal.follow(self)

    @property
    def waiting(self) -> int:
        """About how many are not confirmed yet (those of other cameras count until they are read over)."""
        return max(0, self._journal.latest_seq - self.confirmed)

    def stop(self) -> None:
        """``next`` gives None from now on."""
        self.stopped = True
        self._news.set()

    def close(self) -> None:
        """It reads no more."""
        self._journal.unfollow(self)

    def catch_up(self) -> None:
        """A new connection begins."""
        if self._latest_only:
            self._overtaken_until = self._journal.latest_seq

    async def next(self) -> Delivery | None:
        """The next one that is due; waits for it. None once stopped."""
        while not self.stopped:
            if not self._rows:
                await self._fetch()
            elif (reason := self._reason_to_skip(self._rows[0])) is not None:
                self.give_up(reason)
            elif (delivery := await self._delivery(self._rows[0])) is not None:
                return delivery
            else:
                self.give_up("unreadable")
        return None

    def settle(self) -> None:
        """The one that ``next`` gave is done with."""
        seq = self._rows.popleft().seq
        self._move_to(seq if self._rows else self.fetched)

    def give_up(self, reason: str) -> None:
        """It is done with, but was not delivered."""
        self._counters.add("dropped_total", reason=reason, output=self._name)
        self.settle()

    async def keep_saved(self) -> None:
        """Forever: save how far it got, at most once a second. Idle, it sleeps."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            await self.save()
            await self._clock.sleep(1.0)

    async def save(self) -> None:
        confirmed = self.confirmed
        if confirmed != self._saved:
            await self._journal.save_cursor(self._name, confirmed)
            self._saved = confirmed

    # What the journal calls

    def news(self) -> None:
        self._news.set()

    def lost(self, removed: list[Kept]) -> None:
        mine = [each for each in removed if self._cameras is None or each.camera in self._cameras]
        by_hand = sum(each.by_hand for each in mine)
        if by_hand:  # as somebody wanted it
            self._counters.add("dropped_total", by_hand, reason="deleted", output=self._name)
        if lost := len(mine) - by_hand:
            self._counters.add("dropped_total", lost, reason="retention", output=self._name)
            self._log.error("%d observations were removed by 'keep' before %s could take them.", lost, self._name)

    async def _fetch(self) -> None:
        """The next rows, or wait. Cancelled while it reads, it has read nothing."""
        self._news.clear()
        rows = await self._journal.read(self.fetched, BATCH) if self._journal.latest_seq > self.fetched else []
        if rows:
            self.fetched = rows[-1].seq
            self._rows.extend(row for row in rows if self._cameras is None or row.camera in self._cameras)
            if not self._rows:
                self._move_to(self.fetched)
        elif not self.stopped:
            await self._news.wait()

    def _move_to(self, seq: int) -> None:
        self.confirmed = seq
        self._moved.set()

    def _reason_to_skip(self, row: Row) -> str | None:
        if self._age(row) > self._expire:
            return "expired"
        if row.seq <= self._overtaken_until and not self._is_newest(row):
            return "overtaken"
        return None

    def _age(self, row: Row) -> float:
        """By the clock that can't jump, where this process wrote it; a set wall clock must not expire what is new."""
        now = self._clock.now()
        if row.seq > self._this_run:
            return now.monotonic - row.monotonic
        return now.wall.timestamp() - row.recorded

    def _is_newest(self, row: Row) -> bool:
        return self._journal.newest(row.camera, good=row.good) <= row.seq

    async def _delivery(self, row: Row) -> Delivery | None:
        try:
            observation = Observation.model_validate_json(row.json)
        except ValidationError:
            self._log.exception(
                "The observation with seq %d in the journal can't be understood; it is left out.", row.seq
            )
            return None
        picture = await self._journal.picture_of(row)
        return Delivery(row.seq, observation, picture, self._is_newest(row), self._age(row))
