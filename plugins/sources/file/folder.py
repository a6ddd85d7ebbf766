"""A folder of pictures: the newest whole one, or one after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.plugin import Failure, FrameUnavailable, Pixels
from plugins.sources.file.names import shown
from plugins.sources.file.picture import SUFFIXES, read_picture
from plugins.sources.file.shot import Shot
from plugins.sources.file.sighting import Sighting
from plugins.sources.file.tree import Tree

MOST_TRIES = 5
"""Pictures read at one look until one is whole."""
TINY = 64
"""The long edge of a picture that is only to be found whole: a JPEG is decoded at an eighth of its size."""
TRY_AGAIN = 1.0
"""Seconds until a picture that was not whole and has not changed since is read again, all the same."""


class NotYet(FrameUnavailable):
    """There is no picture to hand out, but one may come any moment: the next upload, or the end of this one."""


class Folder:
    def __init__(self, path: Path, tree: Tree) -> None:
        self._path = path
        self._tree = tree
        self._last = ""
        self._before: set[tuple[str, int]] | None = None
        """What the last glance saw; None: there was none."""
        self._known_until = 0.0
        """What appeared by then (monotonic) was looked at, told, or there from the beginning."""

    def glance(self) -> bool:
        """Whether a whole picture has appeared that has stopped growing and that no look has had yet."""
        self.watch()
        if self._before is None:
            self._known_until = time.monotonic()
        new = [sighting for sighting in self._tree.newest if sighting.since > self._known_until]
        at_rest = [sighting for sighting in new if sighting.identity in (self._before or ())]
        self._before = {sighting.identity for sighting in self._tree.newest}
        for sighting in at_rest[:MOST_TRIES]:
            if _read(sighting, TINY) is not None:
                self._known_until = sighting.since
                return True
        return False

    def watch(self) -> None:
        """Notice when pictures appear."""
        with self._readable():
            self._tree.poll()

    def next(self, long_edge: int) -> Shot:
        """The picture after the last one, by name."""
        self.watch()
        name = self._after(self._last) or self._after("")
        if name is None:
            raise self._empty()
        self._last = name
        return Shot.now(read_picture(self._path / name, long_edge), shown(name))

    def newest(self, long_edge: int, max_age: float) -> Shot:
        """The latest whole one that appeared at most ``max_age`` seconds ago."""
        self.watch()
        if not self._tree.newest:
            raise self._empty()
        oldest = time.monotonic() - max_age
        fresh = [sighting for sighting in self._tree.newest if sighting.since >= oldest]
        if not fresh:
            newest = self._tree.newest[0]
            raise NotYet(newest.problem.kind, str(newest.problem)) if newest.problem else self._too_old(newest, max_age)
        for sighting in fresh[:MOST_TRIES]:
            pixels = _read(sighting, long_edge)
            if pixels is not None:
                self._known_until = max(self._known_until, sighting.since)
                return Shot(pixels, sighting.moment, self._inner(sighting.path))
        problem = fresh[0].problem
        assert problem
        raise NotYet(problem.kind, str(problem))

    def _after(self, last: str) -> str | None:
        return min((name for name in self._tree.names() if name > last), default=None)

    def _inner(self, path: str) -> str:
        return shown(os.path.relpath(path, self._path))

    def _empty(self) -> FrameUnavailable:
        wanted = self._tree.filter
        sub = "" if wanted.subfolders else " itself; for the folders inside it write subfolders: true"
        which = "no picture" if wanted.pattern == "*" else f"no picture that matches {shown(wanted.pattern)}"
        return NotYet(
            Failure.NOT_FOUND, f"The folder {shown(self._path)} holds {which} ({', '.join(sorted(SUFFIXES))}){sub}."
        )

    def _too_old(self, sighting: Sighting, max_age: float) -> FrameUnavailable:
        return NotYet(
            Failure.STALE,
            f"The newest picture in {shown(self._path)}, {self._inner(sighting.path)}, came "
            f"{_ago(time.monotonic() - sighting.since)} ago (fresh is what came in the last {max_age:g} s). Does the "
            "camera still upload? Each upload is looked at by itself, so leave every: out, or raise max_age. (To try "
            "things out on a folder of old pictures, write pace: step.)",
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise FrameUnavailable(Failure.NOT_FOUND, f"There is no folder {shown(self._path)}.") from None
        except OSError as error:
            raise FrameUnavailable(
                Failure.SOURCE, f"The folder {shown(self._path)} can't be read: {error.strerror}."
            ) from error


def _read(sighting: Sighting, long_edge: int) -> Pixels | None:
    """None, with the reason kept: an upload in progress, no picture at all, or deleted meanwhile."""
    now = time.monotonic()
    if sighting.problem and now < sighting.tried + TRY_AGAIN:
        return None
    try:
        pixels = read_picture(Path(sighting.path), long_edge)
    except FrameUnavailable as problem:
        sighting.problem, sighting.tried = problem, now
        return None
    sighting.problem = None
    return pixels


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
