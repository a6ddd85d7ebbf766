"""One folder of a watched tree: what it held when last looked at, and what is new since."""

# Names by the hundred thousand: a Path takes many times what a text does.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice
from operator import attrgetter

from plugins.sources.file.filter import Filter
from plugins.sources.file.sighting import Sighting, age_at_first, appeared, signature

OLD_ONES = 256
"""Known files looked at again at each visit, in turn: a camera may write its old names anew."""
KEPT = 32
"""Of the pictures that appear at once, so many of the last are told."""
RESTLESS = 2.5
"""Seconds after a change during which the folder's time may not show the next one (FAT has steps of 2 s)."""
SHARE = 20
"""Listing a folder may take a twentieth of the time: one with 100,000 files takes 0.05 s and waits 1 s."""


@dataclass(slots=True)
class Changes:
    """What a visit found."""

    pictures: list[Sighting] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


class WatchedFolder:
    """Keeps the names of its pictures; tells the new ones, and those written anew, with when that was."""

    __slots__ = (
        "_filter",
        "_folders",
        "_list_after",
        "_restless_until",
        "_round",
        "_rounds",
        "_seen_change",
        "around_changed",
        "changed",
        "checked",
        "depth",
        "known",
        "path",
    )

    def __init__(self, path: str, depth: int, found: float | None, around_changed: float, filter_: Filter) -> None:
        self.path = path
        self.depth = depth
        self.changed = 0.0
        """When, by its file system's clock, something was last added or removed."""
        self.around_changed = around_changed
        """The same, of it and of the folders around it."""
        self.known: dict[str, int] = {}
        self.checked = found
        """Until when all it held is known. None: nobody looked before, so nobody can tell what is new."""
        self._filter = filter_
        self._folders: frozenset[str] = frozenset()
        self._seen_change: int | None = None
        self._restless_until = 0.0
        self._list_after = 0.0
        self._round: Iterator[str] = iter(())
        self._rounds = (0.0, 0.0)  # when the last one began, and the one before

    def visit(self) -> Changes:
        """Raises OSError: it is gone, or can't be read."""
        began = time.monotonic()
        changes = Changes()
        status = os.stat(self.path)
        if status.st_mtime_ns != self._seen_change:
            self._restless_until = began + RESTLESS
        if began >= self._restless_until:
            self.checked = began
        elif began >= self._list_after:
            self.changed = status.st_mtime
            self.around_changed = max(self.around_changed, status.st_ctime)
            self._list(changes)
            cost = 0.0 if self._seen_change is None else time.monotonic() - began  # the first reads every file's times
            self._list_after = began + SHARE * cost
            self._seen_change = status.st_mtime_ns
            self.checked = began
        self._look_again(changes)
        return changes

    def look_again(self, name: str, since: float) -> Sighting | None:
        """Where a known picture was written anew after ``since``; FileNotFoundError where it is gone."""
        status = os.stat(os.path.join(self.path, name))
        mark = signature(status)
        if mark == self.known.get(name):
            return None
        self.known[name] = mark
        return Sighting(os.path.join(self.path, name), appeared(status, since, 0.0), mark)

    def _list(self, changes: Changes) -> None:
        names: dict[str, int] = {}
        folders: set[str] = set()
        with os.scandir(self.path) as entries:
            changes.pictures += nlargest(KEPT, self._unknown(entries, names, folders), key=attrgetter("since"))
        changes.folders += sorted(folders - self._folders)
        self.known, self._folders = names, frozenset(folders)

    def _unknown(
        self, entries: Iterable[os.DirEntry[str]], names: dict[str, int], folders: set[str]
    ) -> Iterator[Sighting]:
        """The pictures that were not there before; what is there goes into ``names`` and ``folders``."""
        for entry in entries:
            known = self.known.get(entry.name)
            if known is not None:
                names[entry.name] = known
            elif self._filter.picture(entry):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # deleted meanwhile
                    continue
                names[entry.name] = mark = signature(status)
                yield Sighting(entry.path, self._since(status), mark)
            elif self._filter.folder(entry, self.depth):
                folders.add(entry.path)

    def _since(self, status: os.stat_result) -> float:
        if self.checked is None:
            return time.monotonic() - age_at_first(status)
        return appeared(status, self.checked, self.around_changed)

    def _look_again(self, changes: Changes) -> None:
        turn = list(islice(self._round, OLD_ONES))
        if not turn:
            self._rounds = time.monotonic(), self._rounds[0]
            self._round = iter(tuple(self.known))
            turn = list(islice(self._round, OLD_ONES))
        for name in turn:
            if name not in self.known:
                continue
            try:
                anew = self.look_again(name, self._rounds[1])
            except FileNotFoundError:
                del self.known[name]
                continue
            if anew:
                changes.pictures.append(anew)
