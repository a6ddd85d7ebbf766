"""What of a folder counts: pictures by their names, and the folders that hold more of them."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass

from plugins.sources.file.picture import SUFFIXES

DEEPEST = 8
"""Folders within folders: Dahua's uploads take seven (serial number, date, 001, jpg, hour, minute, second)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Hidden files are other programs' uploads in progress; names with @ or # are a NAS's thumbnails and bin."""

    pattern: str
    subfolders: bool

    def picture(self, entry: os.DirEntry[str]) -> bool:
        name = entry.name
        return (
            not name.startswith(".")
            and name[name.rfind(".") :].lower() in SUFFIXES
            and (self.pattern == "*" or fnmatch.fnmatchcase(name, self.pattern))
            and entry.is_file()
        )

    def folder(self, entry: os.DirEntry[str], depth: int) -> bool:
        """Links to folders are not followed: they may lead round in a circle."""
        return (
            self.subfolders
            and depth < DEEPEST
            and not entry.name.startswith((".", "@", "#"))
            and entry.is_dir(follow_symlinks=False)
        )
