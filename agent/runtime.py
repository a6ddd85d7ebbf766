"""Where sockets go: short paths, folders nobody else can open."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

LONGEST_SOCKET_PATH = 100
"""Bytes: macOS allows 104, Linux 108."""
ROOM_FOR_NAMES = 30


def runtime_folder(data_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """A 0700 folder of this data_dir's own, the same one at every start, so that a killed run leaves nothing behind.

    In ``$RUNTIME_DIRECTORY`` (systemd), ``$XDG_RUNTIME_DIR`` or the folder for temporary files.
    """
    room = LONGEST_SOCKET_PATH - len("/camscribe-") - 12 - 1 - ROOM_FOR_NAMES
    named = (environ.get("RUNTIME_DIRECTORY", "").split(":")[0], environ.get("XDG_RUNTIME_DIR", ""))
    # One that is left over from another user (su, cron) is no place of ours.
    good = (Path(name) for name in named if name and len(os.fsencode(name)) <= room and os.access(name, os.W_OK))
    base = next(good, _temporary())
    folder = base / f"camscribe-{_fingerprint(data_dir)}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not _is_ours(folder):  # somebody else's, planted or not: keep away from it
            return Path(tempfile.mkdtemp(prefix="camscribe-", dir=base))
    return folder


def remove_runtime_folder(folder: Path) -> None:
    """At the end of the run, with the dead sockets in it."""
    shutil.rmtree(folder, ignore_errors=True)


def control_socket(data_dir: Path) -> Path:
    """Where the service of this data_dir listens for ``camscribe look``: beside the journal, if the path is short."""
    beside = data_dir / "control.sock"
    if len(os.fsencode(beside)) <= LONGEST_SOCKET_PATH:
        return beside
    return _temporary() / f"camscribe-{os.getuid()}-{_fingerprint(data_dir)}.sock"


def _temporary() -> Path:
    # $TMPDIR on macOS is long, but private; a longer one than sockets bear gives way to /tmp.
    folder = Path(tempfile.gettempdir())
    return folder if len(os.fsencode(folder)) < LONGEST_SOCKET_PATH - 60 else Path("/tmp")  # noqa: S108 (checked: _is_ours)


def _fingerprint(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]


def _is_ours(folder: Path) -> bool:
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077
