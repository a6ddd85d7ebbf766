"""A folder of pictures: the newest whole one, or one after the other."""

from __future__ import annotations

import os
import time
from pathlib import Path

from agent.plugin import Failure, FrameUnavailable, Moment
from plugins.sources.file.names import shown
from plugins.sources.file.picture import SUFFIXES, read_picture
from plugins.sources.file.shot import Pace, Shot

MOST_TRIES = 5
"""Pictures read at one look until one is whole: an upload in progress is passed over, a broken folder is said."""


class Folder:
    def __init__(self, path: Path, pace: Pace) -> None:
        self._path = path
        self._pace = pace
        self._last = ""

    def shoot(self, long_edge: int) -> Shot:
        try:
            return self._next(long_edge) if self._pace is Pace.STEP else self._newest(long_edge)
        except OSError as error:
            raise FrameUnavailable(
                Failure.SOURCE, f"The folder {shown(self._path)} can't be read: {error.strerror}."
            ) from error

    def _next(self, long_edge: int) -> Shot:
        names = sorted(entry.name for entry in self._pictures())
        name = next((name for name in names if name > self._last), names[0])
        self._last = name
        return Shot.now(read_picture(self._path / name, long_edge), shown(name))

    def _newest(self, long_edge: int) -> Shot:
        """As old as its file: that is when the camera wrote it."""
        newest_first = sorted(self._pictures(), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        first_problem: FrameUnavailable | None = None
        for entry in newest_first[:MOST_TRIES]:
            # Off by an hour into the future is as wrong as into the past: such a picture's age is not known.
            age = abs(time.time() - entry.stat().st_mtime)
            taken = Moment.now().plus(-age)
            try:
                return Shot(read_picture(self._path / entry.name, long_edge), taken, shown(entry.name))
            except FrameUnavailable as problem:
                first_problem = first_problem or problem
        assert first_problem
        raise first_problem

    def _pictures(self) -> list[os.DirEntry[str]]:
        """The folder's own picture files. Hidden ones are another program's uploads in progress."""
        with os.scandir(self._path) as entries:
            found = [
                entry
                for entry in entries
                if not entry.name.startswith(".") and Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file()
            ]
        if not found:
            raise FrameUnavailable(
                Failure.NOT_FOUND,
                f"The folder {shown(self._path)} holds no picture ({', '.join(sorted(SUFFIXES))}).",
            )
        return found
