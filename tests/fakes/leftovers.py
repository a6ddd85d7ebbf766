"""What a test leaves behind on this machine."""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.fakes.waiting import eventually


def processes_about(folder: Path) -> set[str]:
    """Every process of this machine that has ``folder`` in its command line, whosever child it is by now."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            words = process.cmdline()
            if any(str(folder) in word for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(f"{process.pid}: {' '.join(words)[:200]}")
    return found


def sockets_in(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_socket()}


def open_files() -> dict[int, str]:
    """This process's descriptors, and what each is."""
    if not Path("/proc/self/fd").exists():  # macOS
        return dict.fromkeys(range(psutil.Process().num_fds()), "open")
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found[int(link.name)] = str(link.readlink())
    return found


def zombies() -> set[int]:
    """Children of this process that ended and were never asked how."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found


@dataclass(frozen=True)
class Leftovers:
    """What there is at one moment, as far as it has to do with ``folder``."""

    processes: frozenset[str]
    sockets: frozenset[str]
    zombies: frozenset[int]
    files: int
    threads: int

    @classmethod
    def of(cls, folder: Path) -> Leftovers:
        gc.collect()
        return cls(
            frozenset(processes_about(folder)),
            frozenset(sockets_in(folder)),
            frozenset(zombies()),
            len(open_files()),
            # The event loop's pool grows to its size and stays there.
            sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate()),
        )

    def more_than(self, before: Leftovers) -> list[str]:
        """What is there that was not there before, in words."""
        found = [f"process {process}" for process in sorted(self.processes - before.processes)]
        found += [f"socket {path}" for path in sorted(self.sockets - before.sockets)]
        found += [f"zombie {pid}" for pid in sorted(self.zombies - before.zombies)]
        if self.files > before.files:
            found.append(f"{self.files - before.files} open files of {sorted(open_files().items())}")
        if self.threads > before.threads:
            found.append(f"{self.threads - before.threads} threads of {threading.enumerate()}")
        return found


@asynccontextmanager
async def nothing_left(folder: Path, within: float = 10) -> AsyncIterator[None]:
    """Fails where the block leaves a process, a socket, an open file or a thread behind."""
    before = Leftovers.of(folder)
    yield
    left: list[str] = []

    def none() -> bool:
        left[:] = Leftovers.of(folder).more_than(before)
        return not left

    try:
        await eventually(none, within)
    except AssertionError:
        raise AssertionError("\n".join(["left behind:", *left])) from None
