"""How far a download is, on the terminal: bars where there is one, now and then a line where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Column

from agent.plugin import Progress

LINE_EVERY = 10
"""Per cent."""


class Shown(Protocol):
    def __call__(self, progress: Progress) -> None: ...


def bytes_text(size: int) -> str:
    """``546 MB``, ``1.7 GB``: decimal, as the hub and the disks' makers count."""
    if size >= 10**9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 10**7 else f"{size / 1e6:.1f} MB"


@contextmanager
def shown(console: Console) -> Iterator[Shown]:
    """What to call with every Progress while the block runs."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with _Bars(console) as bars:
        yield bars


class _Bars:
    """One bar for each file."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._waiting: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        task = self._tasks.get(progress.file)
        if progress.total and self._waiting is not None:
            self._bars.remove_task(self._waiting)
            self._waiting = None
        if task is None:  # what was here before is no speed of this download's
            task = self._bars.add_task(progress.file, total=progress.total, completed=progress.done)
            self._tasks[progress.file] = task
            self._waiting = task if progress.total is None else self._waiting
        self._bars.update(task, completed=progress.done, total=progress.total)


class _Lines:
    """A line at the start of each file and every tenth of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: dict[str, int] = {}

    def __call__(self, progress: Progress) -> None:
        if not progress.total:
            if progress.file not in self._told:
                self._say(progress.file)
            self._told[progress.file] = 0
            return
        step = 100 * progress.done // progress.total // LINE_EVERY
        if step > self._told.get(progress.file, -1):
            self._told[progress.file] = step
            self._say(f"{progress.file}: {bytes_text(progress.done)} of {bytes_text(progress.total)}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
