"""A folder that a camera uploads to, with the folders in it: kept an eye on at a bounded cost.

Polled, not subscribed to: what a NAS is sent over FTP raises no event on the machine that has the share mounted.
"""

# Names by the hundred thousand: a Path takes many times what a text does.
# ruff: noqa: PTH116, PTH120

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from heapq import nlargest
from itertools import islice
from pathlib import Path

from agent.plugin import Failure, FrameUnavailable
from plugins.sources.file.filter import Filter
from plugins.sources.file.names import shown
from plugins.sources.file.sighting import Sighting
from plugins.sources.file.watched import KEPT, WatchedFolder

BUSY_FOLDERS = 32
"""Folders looked at at each poll: those that changed last, and the ones around them."""
OTHER_FOLDERS = 128
"""And so many of the others, in turn: an old folder may get a new picture too."""
MOST_PICTURES = 300_000
"""Each takes about 200 bytes of memory."""
MOST_FOLDERS = 30_000
"""Each takes about 2 kB."""


class Tree:
    """``newest`` are the pictures that appeared last, the latest first, as of the last ``poll``.

    They are looked at again at each poll.
    """

    def __init__(self, root: Path, filter_: Filter, log: logging.Logger) -> None:
        self.filter = filter_
        self._root = str(root)
        self._log = log
        self._folders: dict[str, WatchedFolder] = {}
        self._device: int | None = None
        self._busy: list[str] = []
        self._turn: Iterator[str] = iter(())
        self._rechecked = 0.0
        self._unreadable: set[str] = set()
        self._held = 0
        self.newest: list[Sighting] = []

    def poll(self) -> None:
        """Raises OSError: the folder itself is gone or can't be read. FrameUnavailable: it holds too much."""
        device = os.stat(self._root).st_dev
        if device != self._device:  # a share that was mounted or unmounted: what it holds did not appear just now
            self._forget()
            self._device = device
        self._poll()
        if not self.newest and any(folder.known for folder in self._folders.values()):  # all those were deleted
            self._forget()
            self._poll()

    def names(self) -> Iterator[str]:
        """All pictures, as paths from the root."""
        for folder in self._folders.values():
            inner = os.path.relpath(folder.path, self._root)
            yield from (folder.known if inner == "." else (f"{inner}/{name}" for name in folder.known))

    def _forget(self) -> None:
        self._folders = {self._root: WatchedFolder(self._root, 0, None, 0.0, self.filter)}
        self._busy, self._turn, self._held, self.newest = [], iter(()), 0, []

    def _poll(self) -> None:
        began = time.monotonic()
        latest = {sighting.path: sighting for sighting in self._recheck()}
        before = len(latest)
        changed = False
        for path in self._due():
            for found in self._visit(path):
                latest[found.path] = found
                changed = True
        if changed or len(latest) != before:
            self._keep_busy()
        self.newest = nlargest(KEPT, latest.values(), key=lambda sighting: sighting.since)
        self._rechecked = began

    def _recheck(self) -> Iterator[Sighting]:
        for sighting in self.newest:
            folder, name = os.path.split(sighting.path)
            watched = self._folders.get(folder)
            if watched is None:
                continue
            try:
                yield watched.look_again(name, self._rechecked) or sighting
            except (FileNotFoundError, NotADirectoryError):
                self._held -= watched.known.pop(name, None) is not None

    def _due(self) -> list[str]:
        others = list(islice(self._turn, OTHER_FOLDERS))
        if not others:
            self._turn = iter(tuple(self._folders))
            others = list(islice(self._turn, OTHER_FOLDERS))
        return list(dict.fromkeys([self._root, *self._busy, *others]))

    def _visit(self, path: str) -> Iterator[Sighting]:
        """The folder, and at once what new folders it holds."""
        waiting = [path]
        while waiting:
            folder = self._folders.get(waiting.pop())
            if folder is None:
                continue
            found_after, held = folder.checked, len(folder.known)
            try:
                changes = folder.visit()
            except OSError as error:
                self._lost(folder.path, error)
                continue
            self._unreadable.discard(folder.path)
            for inner in changes.folders:
                self._folders[inner] = WatchedFolder(
                    inner, folder.depth + 1, found_after, folder.around_changed, self.filter
                )
            waiting += changes.folders
            self._held += len(folder.known) - held
            self._check_size()
            yield from changes.pictures

    def _lost(self, path: str, error: OSError) -> None:
        if path == self._root:
            raise error
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            self._held -= len(self._folders.pop(path).known)
        elif path not in self._unreadable:
            self._unreadable.add(path)
            self._log.warning("%s can't be read, so its pictures are not seen: %s", shown(path), error.strerror)

    def _keep_busy(self) -> None:
        last = nlargest(BUSY_FOLDERS, self._folders.values(), key=lambda folder: folder.changed)
        busy: dict[str, None] = {}
        for folder in last:
            path = folder.path
            while len(path) > len(self._root) and path not in busy:
                busy[path] = None
                path = os.path.dirname(path)
        self._busy = list(busy)

    def _check_size(self) -> None:
        if self._held > MOST_PICTURES or len(self._folders) > MOST_FOLDERS:
            self._device = None  # begin anew at the next poll
            self._forget()
            raise FrameUnavailable(
                Failure.SOURCE,
                f"{shown(self._root)} holds more than {MOST_PICTURES:,} pictures or {MOST_FOLDERS:,} folders. Have old "
                "ones deleted, or name a folder inside it, or the camera's own files with match.",
            )
