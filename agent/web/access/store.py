"""The file of the credentials: its owner's alone, and whole at any moment."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from agent.errors import Misconfigured
from agent.web.access.credentials import Credentials

FILE = "web.json"
LARGEST = 10_000_000
Stamp = tuple[int, int, int]

log = logging.getLogger("camscribe.web.access")


class Store:
    """``web.json`` in the data_dir. Everything here blocks."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE

    def stamp(self) -> Stamp | None:
        """Another one after each change; None without a file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def read(self) -> Credentials | None:
        """None without a file. Raises Misconfigured: it can't be read, or can't be kept from others."""
        try:
            # Root may set a password in a folder that is the service's, which must not send it elsewhere by a link.
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                self._keep_to_its_owner(file.fileno())
                text = file.read(LARGEST)
            return Credentials.model_validate_json(text)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from None
        except ValidationError:
            raise self._unreadable("it makes no sense: delete it, and set the passwords again") from None

    def change(self, changed: Callable[[Credentials], Credentials]) -> Credentials:
        """Read, change and write, with no other change in between. Raises Misconfigured."""
        folder = self.path.parent
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            with _alone(folder):
                new = changed(self.read() or Credentials.new())
                self._write(new)
        except OSError as error:
            raise Misconfigured(f"{self.path} can't be written: {error.strerror}.") from None
        return new

    def _keep_to_its_owner(self, file: int) -> None:
        mode = stat.S_IMODE(os.fstat(file).st_mode)
        if not mode & 0o077:
            return
        try:
            os.fchmod(file, 0o600)
        except OSError:
            raise self._unreadable(f"others may read it (mode {mode:o}): chmod 600 it") from None
        log.warning(
            "%s could be read by others (mode %o). Now it can't; if somebody else uses this machine, set the passwords "
            "and tokens anew.",
            self.path,
            mode,
        )

    def _write(self, credentials: Credentials) -> None:
        new = self.path.with_suffix(".new")
        with suppress(FileNotFoundError):  # of a run that was killed
            new.unlink()
        text = credentials.model_dump_json(indent=1) + "\n"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
            if os.geteuid() == 0:  # root may set a password for the service, which must be able to read it
                folder = self.path.parent.stat()
                os.fchown(opened.fileno(), folder.st_uid, folder.st_gid)
        new.replace(self.path)

    def _unreadable(self, why: str) -> Misconfigured:
        return Misconfigured(f"{self.path} holds the passwords of the web pages and can't be used: {why}.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two commands at the same time, or a command and the service: one after the other."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
