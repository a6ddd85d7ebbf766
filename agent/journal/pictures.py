"""The picture folder: JPEG files by date beside the SQLite file. All on the journal's thread.

Of each look there is the picture people see, and beside it the one the model got: for debugging, never shown as the
camera's picture, never given to an output.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.values import Observation

UNFINISHED = ".part"
SENT = ".sent.jpg"


def beside(path: str) -> str:
    """Where the picture lies that the model got, by where the one people see does."""
    return path.removesuffix(".jpg") + SENT


class Pictures:
    """The picture folder. Paths are relative to it and use ``/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(mode=0o700, exist_ok=True)

    def write(self, observation: Observation, jpeg: bytes) -> str:
        """The one people see; its path."""
        path = f"{observation.taken_at:%Y/%m/%d}/{observation.id}.jpg"
        self._write(path, jpeg)
        return path

    def write_sent(self, shown: str, jpeg: bytes) -> None:
        """The one the model got, beside the one at ``shown``."""
        self._write(beside(shown), jpeg)

    def _write(self, path: str, jpeg: bytes) -> None:
        """Under its name only once it is whole. Not synced: a power cut may cost the last seconds, see read()."""
        final = self.root / path
        unfinished = final.with_suffix(UNFINISHED)
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(jpeg)
            unfinished.rename(final)
        except OSError:
            with suppress(OSError):  # the first error tells more; the sweep takes what is left
                unfinished.unlink(missing_ok=True)
            raise

    def read(self, path: str, size: int) -> bytes | None:
        """The JPEG, or None where it is gone or was cut short by a power failure."""
        try:
            jpeg = (self.root / path).read_bytes()
        except FileNotFoundError:
            return None
        return jpeg if len(jpeg) == size else None

    def remove(self, *paths: str) -> None:
        """Those that are there, and a day's folder with its last one."""
        for path in paths:
            (self.root / path).unlink(missing_ok=True)
        for folder in {(self.root / path).parent for path in paths}:
            self._remove_if_empty(folder)

    def walk(self) -> Iterator[Path]:
        """Every file, oldest folder first, one at a time. Empty folders go."""
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for name in files:
                yield Path(folder, name)
            if not files and not folders:
                self._remove_if_empty(Path(folder))

    def _remove_if_empty(self, folder: Path) -> None:
        while folder != self.root:
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                if next(entries, None) is not None:
                    return
                folder.rmdir()
            folder = folder.parent
