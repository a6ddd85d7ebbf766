"""One camscribe a data_dir."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from agent.errors import DataDirBusy, Misconfigured


class Lock:
    """An exclusive flock on ``data_dir/lock``. The kernel lets go of it however the process ends, kill -9 too."""

    def __init__(self, data_dir: Path) -> None:
        self._fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
            who = f" (process {holder})" if holder.isdigit() else ""
            raise DataDirBusy(
                f"Another camscribe{who} is using {data_dir}. Stop that one, or give this one a data_dir of its own."
            ) from None
        except OSError as error:
            os.close(self._fd)
            raise Misconfigured(
                f"{data_dir} can't be locked ({error.strerror}). Put data_dir on a local disk, not a network share."
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._fd)
