"""The record of every observation. It is written before anyone is told, and it is the outputs' inbox as well."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import ValidationError

from agent.clock import Clock
from agent.errors import JournalUnavailable, Misconfigured
from agent.journal import store
from agent.journal.lock import Lock
from agent.journal.pictures import SENT, UNFINISHED, Pictures, beside
from agent.journal.query import QUARTER, Filter
from agent.journal.store import Kept, New, Row, Store
from agent.journal.worker import Worker
from agent.status import Counters, Outage
from agent.values import Moment, Observation

__all__ = ["Filter", "Follower", "Journal", "Row"]

T = TypeVar("T")

FILE = "journal.sqlite3"
PICTURES = "pictures"
DELETED = 50
"""Rows deleted in one go; a record that comes meanwhile waits for that, a few milliseconds."""
SEQS = 5000
"""Rows that are found in one go to be deleted."""

log = logging.getLogger("camscribe.journal")


class Follower(Protocol):
    """Somebody who reads along, in order."""

    @property
    def fetched(self) -> int:
        """The last seq that it has read."""

    def news(self) -> None:
        """There is something new to read."""

    def lost(self, kept: list[Kept]) -> None:
        """Retention, or somebody by hand, took these before they were fetched."""


class Journal:
    """SQLite and a picture folder in ``data_dir``. Every method may be cancelled; none blocks the event loop.

    All of them raise JournalUnavailable when the disk is full or failing; that is logged once, and once when it works
    again.
    """

    def __init__(self, data_dir: Path, clock: Clock, counters: Counters) -> None:
        """For ``open``."""
        self.data_dir = data_dir
        self.outage = Outage("The journal", log, clock, each="attempts", level=logging.ERROR)
        self._clock = clock
        self._counters = counters
        self._held = ExitStack()
        self._worker = Worker("journal", at_end=self._held.close)
        self._followers: list[Follower] = []
        self._grown = asyncio.Event()
        self.latest_seq = 0
        self.bytes = 0
        """What the observations and their pictures take on the disk."""
        self.cursors: dict[str, int] = {}
        """How far each output has confirmed, as it was saved last."""
        self._newest: dict[str, tuple[int, int]] = {}

    @classmethod
    async def open(cls, data_dir: Path, *, clock: Clock, counters: Counters) -> Journal:
        """Raises DataDirBusy, or Misconfigured: the folder can't be written, or is from a newer version."""
        journal = cls(data_dir, clock, counters)
        try:
            await journal._worker.run(journal._open)
        except (OSError, sqlite3.Error) as error:
            await journal._worker.close()
            if not store.is_trouble(error):
                raise
            raise JournalUnavailable(journal._sentence(error)) from error
        except BaseException:
            await journal._worker.close()
            raise
        return journal

    def _open(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = Lock(self.data_dir)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise Misconfigured(
                f"The data_dir {self.data_dir} can't be used ({error.strerror}). It has to be a folder that the user "
                "camscribe runs as may write to."
            ) from error
        self._held.callback(lock.release)
        self._pictures = Pictures(self.data_dir / PICTURES)
        self._store = Store(self.data_dir / FILE)
        self._held.callback(self._store.close)
        self._newest = self._store.newest()
        self.cursors = self._store.cursors()
        self.latest_seq, self.bytes = self._store.latest, self._store.bytes

    async def close(self) -> None:
        """Waits, for a while, until everything that was asked for is written. A second time does nothing."""
        if not await self._worker.close():
            log.error("%s did not take the last of the journal in time; the disk hangs.", self.data_dir)

    # Writing and reading

    async def record(self, observation: Observation, picture: bytes | None, sent: bytes | None = None) -> Observation:
        """Write it down; the observation as it was written, with ``picture.path``. The outputs hear of it then.

        ``sent``, the picture the model got, is kept beside the other for debugging. Where there is no room for a
        picture, it is recorded without.
        """
        now = self._clock.now()
        try:
            written, lost = await self._do(lambda: self._record(observation, picture, sent, now))
        except JournalUnavailable:
            self._counters.add("dropped_total", reason="journal", camera=observation.camera)
            raise
        for name, reason in lost.items():
            self._counters.add(name, reason="journal", camera=observation.camera)
            self.outage.begins(reason)
        if picture is not None and not lost:  # a row alone may fit where a picture still does not
            self.outage.ends()
        return written

    def _record(
        self, observation: Observation, picture: bytes | None, sent: bytes | None, now: Moment
    ) -> tuple[Observation, dict[str, str]]:
        """With the counters of what there was no room for, and why."""
        path, lost = None, {}
        if picture is not None and observation.picture is not None:
            try:
                path = self._pictures.write(observation, picture)
            except OSError as error:
                lost["pictures_dropped_total"] = self._sentence(error)
            facts = observation.picture.model_copy(update={"path": path})
            observation = observation.model_copy(update={"picture": facts})
        if path is None:
            sent = None
        elif sent is not None:
            try:
                self._pictures.write_sent(path, sent)
            except OSError as error:
                lost["sent_pictures_dropped_total"] = self._sentence(error)
                sent = None
        text = observation.model_dump_json()
        good = observation.caption is not None and not observation.ad_hoc
        new = New(
            id=observation.id,
            camera=observation.camera,
            good=good,
            recorded=now.wall.timestamp(),
            monotonic=now.monotonic,
            caption=observation.caption,
            picture=path,
            picture_bytes=len(picture) if path and picture else 0,
            sent_bytes=len(sent) if sent else 0,
            json=text,
        )
        try:
            seq = self._store.insert(new)
        except BaseException:
            if path is not None:
                self._pictures.remove(path, beside(path))
            raise
        # From here, not after the await: whoever asked may have been cancelled, and it is written all the same.
        self._worker.tell(self._recorded, seq, observation.camera, good, self._store.bytes)
        return Observation.model_validate_json(text), lost

    def _recorded(self, seq: int, camera: str, good: bool, size: int) -> None:
        self.latest_seq, self.bytes = seq, size
        _, last_good = self._newest.get(camera, (0, 0))
        self._newest[camera] = (seq, seq if good else last_good)
        self._grown.set()
        for follower in self._followers:
            follower.news()

    async def last_good(self, camera: str) -> Observation | None:
        """The camera's latest observation that has a caption by its own prompt."""
        rows = await self._do(lambda: self._store.rows("camera = ? AND good", (camera,), "seq DESC", 1))
        return next(iter(_observations(rows)), None)

    async def recent(self, limit: int, camera: str | None = None) -> list[Observation]:
        """The latest, newest first."""
        where, values = ("camera = ?", (camera,)) if camera is not None else ("1", ())
        return _observations(await self._do(lambda: self._store.rows(where, values, "seq DESC", limit)))

    async def get(self, id_: str) -> Observation | None:
        rows = await self._do(lambda: self._store.rows("id = ?", (id_,), "seq", 1))
        return next(iter(_observations(rows)), None)

    async def search(self, text: str, limit: int) -> list[Observation]:
        """Those whose caption has words that begin like each word of ``text``, newest first."""
        wanted = Filter(text=text)
        return [found for _, found in await self.find(wanted, None, limit)] if wanted.words else []

    async def find(self, wanted: Filter, before: int | None, limit: int) -> list[tuple[int, Observation]]:
        """With their seqs, newest first; with ``before`` those that come before that seq. Fewer than ``limit`` where
        there are no more."""
        found: list[tuple[int, Observation]] = []
        while len(found) < limit:
            missing = limit - len(found)
            rows = await self._do(partial(self._store.find, wanted, before, missing))
            found += [(row.seq, observation) for row in rows for observation in _observations([row])]
            if len(rows) < missing:
                break
            before = rows[-1].seq
        return found

    async def days(self, wanted: Filter, zone: tzinfo | None = None) -> list[tuple[date, int]]:
        """How many were recorded on which day, newest first; None: in the machine's own time zone."""

        def job() -> list[tuple[date, int]]:
            days: Counter[date] = Counter()
            for quarter, count in self._store.quarters(wanted):
                days[datetime.fromtimestamp(quarter * QUARTER, zone).date()] += count
            return sorted(days.items(), reverse=True)

        return await self._do(job)

    async def answers(self) -> list[str]:
        """The name of every answer that any observation has."""
        return await self._do(self._store.answers)

    async def neighbours(self, observation: Observation) -> tuple[str | None, str | None]:
        """The ids of the ones before and after it, of the same camera."""
        return await self._do(partial(self._store.neighbours, observation.id))

    async def picture(self, observation: Observation) -> bytes | None:
        """The JPEG people see, or None where there is none or retention has taken it."""
        rows = await self._do(lambda: self._store.rows("id = ?", (observation.id,), "seq", 1))
        return await self.picture_of(rows[0]) if rows else None

    async def picture_of(self, row: Row) -> bytes | None:
        path = row.picture
        return await self._do(lambda: self._pictures.read(path, row.picture_bytes)) if path else None

    async def sent(self, observation: Observation) -> bytes | None:
        """The JPEG the model got, for debugging; None where it was not kept or is gone."""

        def job() -> bytes | None:
            for row in self._store.rows("id = ?", (observation.id,), "seq", 1):
                if row.picture is not None and row.sent_bytes:
                    return self._pictures.read(beside(row.picture), row.sent_bytes)
            return None

        return await self._do(job)

    # For those who read along

    def follow(self, follower: Follower) -> None:
        self._followers.append(follower)

    def unfollow(self, follower: Follower) -> None:
        self._followers.remove(follower)

    async def read(self, after: int, limit: int) -> list[Row]:
        """Those that come after a seq, in order."""
        return await self._do(lambda: self._store.rows("seq > ?", (after,), "seq", limit))

    def newest(self, camera: str, *, good: bool) -> int:
        """The seq of the camera's latest observation; with ``good``, of the latest that has a caption by its own
        prompt."""
        last, last_good = self._newest.get(camera, (0, 0))
        return last_good if good else last

    async def save_cursor(self, output: str, seq: int) -> None:
        self.cursors[output] = seq  # at once: an output that is started anew goes on from here, saved or not
        await self._do(lambda: self._store.save_cursor(output, seq))

    # For retention

    async def outgrows(self, size: int) -> None:
        """Wait until the record takes more than ``size`` bytes."""
        while self.bytes <= size:
            self._grown.clear()
            await self._grown.wait()

    async def remove_older(self, age: timedelta, now: Moment, limit: int) -> int:
        """Remove up to ``limit`` of those recorded longer than ``age`` ago; how many that were."""
        before = (now.wall - age).timestamp()
        return await self._do(lambda: self._remove(self._store.older(before, limit)))

    async def remove_oldest(self, limit: int, *, down_to: int) -> int:
        """Remove up to ``limit`` of the oldest, as long as all take more than ``down_to`` bytes; how many that were."""
        return await self._do(lambda: self._remove(self._store.oldest(limit, down_to)))

    # By hand

    async def delete(self, id_: str) -> bool:
        """Remove one, with its pictures; whether it was there."""
        removed = await self._do(lambda: self._remove(self._store.named(id_)))
        self._count_deleted(removed)
        return removed > 0

    async def delete_matching(self, wanted: Filter) -> int:
        """Remove all that there are by now, with their pictures; how many those were."""
        removed, upper = 0, self.latest_seq + 1
        try:
            while seqs := await self._do(partial(self._store.seqs, wanted, upper, SEQS)):
                upper = seqs[-1]
                for first in range(0, len(seqs), DELETED):
                    removed += await self._do(partial(self._remove_numbered, seqs[first : first + DELETED]))
        finally:
            self._count_deleted(removed)
        return removed

    def _remove_numbered(self, seqs: Sequence[int]) -> int:
        return self._remove(self._store.numbered(seqs))

    def _count_deleted(self, removed: int) -> None:
        if removed:
            self._counters.add("removed_total", removed, reason="by hand")
            log.info("%d observations were deleted by hand.", removed)

    def _remove(self, kept: Sequence[Kept]) -> int:
        pictures = [path for each in kept for path in _files(each)]
        try:
            self._store.delete(kept)
        except sqlite3.OperationalError as error:
            if not pictures or not store.is_full(error):
                raise
            # On a full disk even a deletion is too much for the log: the pictures make the room for it.
            self._pictures.remove(*pictures)
            self._store.delete(kept)
        self._pictures.remove(*pictures)
        newest = self._store.newest_of({each.camera for each in kept})
        self._worker.tell(self._removed, kept, newest, self._store.bytes)
        return len(kept)

    def _removed(self, kept: Sequence[Kept], newest: dict[str, tuple[int, int]], size: int) -> None:
        self.bytes = size
        self._newest |= newest
        # Not before a follower that was given some of them just now has taken them.
        asyncio.get_running_loop().call_soon(self._tell_losses, kept)

    def _tell_losses(self, kept: Sequence[Kept]) -> None:
        for follower in self._followers:
            if lost := [each for each in kept if each.seq > follower.fetched]:
                follower.lost(lost)

    async def shrink(self) -> bool:
        """Give some free space of the SQLite file back; whether there is more to do."""
        return await self._do(self._store.shrink)

    def walk_pictures(self) -> Iterator[Path]:
        """Every picture file, for ``remove_orphans`` to take from."""
        return self._pictures.walk()

    async def remove_orphans(self, files: Iterator[Path], limit: int) -> tuple[int, int]:
        """Look at the next ``limit`` files: how many there were, and how many had no row and were removed."""

        def job() -> tuple[int, int]:
            some = list(itertools.islice(files, limit))
            known = self._store.known([_id(file) for file in some])
            orphans = [file for file in some if not _belongs(file, known)]
            for orphan in orphans:
                self._pictures.remove(orphan.relative_to(self._pictures.root).as_posix())
            return len(some), len(orphans)

        return await self._do(job)

    async def _do(self, job: Callable[[], T]) -> T:
        try:
            return await self._worker.run(job)
        except (sqlite3.DatabaseError, OSError) as error:
            if not store.is_trouble(error):
                raise
            sentence = self._sentence(error)
            self._counters.add("journal_errors_total")
            self.outage.begins(sentence)
            raise JournalUnavailable(sentence) from error

    def _sentence(self, error: sqlite3.Error | OSError) -> str:
        if store.is_full(error):
            return f"The disk that holds {self.data_dir} is full. Make room on it, or lower keep.size in the config."
        return f"{self.data_dir} can't be written or read ({error}). Look after that disk."


def _files(kept: Kept) -> list[str]:
    if kept.picture is None:
        return []
    return [kept.picture, beside(kept.picture)] if kept.sent_bytes else [kept.picture]


def _id(file: Path) -> str:
    return file.name.partition(".")[0]


def _belongs(file: Path, known: Mapping[str, bool]) -> bool:
    """By the observations that have a picture, and whether they have the model's as well."""
    if file.suffix == UNFINISHED or _id(file) not in known:
        return False
    return known[_id(file)] if file.name.endswith(SENT) else True


def _observations(rows: list[Row]) -> list[Observation]:
    found = []
    for row in rows:
        try:
            found.append(Observation.model_validate_json(row.json))
        except ValidationError:
            log.exception("The observation with seq %d in the journal can't be understood; it is left out.", row.seq)
    return found
