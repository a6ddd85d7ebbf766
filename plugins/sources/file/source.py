"""The file source: decides what the path is at each look, and reads it in a thread of its own."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.plugin import CameraState, Context, Failure, Frame, FrameUnavailable, Source
from plugins.sources.file.config import FileConfig
from plugins.sources.file.filter import Filter
from plugins.sources.file.folder import Folder, NotYet
from plugins.sources.file.names import shown
from plugins.sources.file.picture import is_picture, read_picture
from plugins.sources.file.shot import Pace, Shot
from plugins.sources.file.thread import Stuck, Thread
from plugins.sources.file.tree import Tree
from plugins.sources.file.video import Video

WATCH_EVERY = 1.0
"""Seconds between two looks at what a folder holds."""
WATCH_WITHIN = 60.0
"""Seconds such a look may take before it counts as stuck; the first one of a share with many files takes its time."""
WAITING_EVERY = 0.25
"""The same while somebody waits for a new picture."""
KEPT_BACK = 0.1
"""The share of ``max_age`` by which a picture must be younger, so that it is not too old when it has been read."""
STATES = {
    Failure.NOT_FOUND: CameraState.NOT_FOUND,
    Failure.DAMAGED: CameraState.DAMAGED,
}


class FileSource(Source[FileConfig]):
    """A picture is the same at each look, and always counts as just taken; so does a video's frame."""

    schemes = ("file",)

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        """``file:`` and the path as it is, without percent escapes; ``file:///srv/clip.mp4`` works too."""
        path = text.removeprefix("file:")
        return {"path": path.removeprefix("//") if path.startswith("///") else path}

    def __init__(self, config: FileConfig, context: Context) -> None:
        super().__init__(config, context)
        self._pace = Pace(config.pace)
        self._folder = Folder(
            config.path, Tree(config.path, Filter(config.match, subfolders=config.subfolders), context.log)
        )
        self._video = Video(config.path, self._pace)
        self._thread = Thread(f"file-{context.name}")  # starts at the first call

    async def run(self) -> None:
        """Watch a folder and tell when a picture appears; at the end the thread closes what is open and goes."""
        try:
            if self._pace is Pace.REAL:
                await self._watch()
            await asyncio.Event().wait()
        finally:
            self._thread.end(self._video.close)

    async def _watch(self) -> None:
        told = False
        while True:
            try:
                appeared = await self._thread.call(self._glance, WATCH_WITHIN)
            except Stuck:
                self._stuck(WATCH_WITHIN)
                told = False
            except FrameUnavailable as error:
                self._tell(error)
                told = False
            else:
                if appeared is not None and not told:
                    self.context.report(CameraState.LIVE, "")
                    told = True
                if appeared:
                    self.context.appeared()
            await asyncio.sleep(WATCH_EVERY)

    async def take(self, timeout: float) -> Frame:
        deadline = time.monotonic() + timeout
        while True:
            try:
                shot = await self._thread.call(lambda: self._shoot(timeout), deadline - time.monotonic())
            except Stuck:
                raise FrameUnavailable(Failure.TIMEOUT, self._stuck(timeout)) from None
            except NotYet as error:
                if deadline - time.monotonic() < 2 * WAITING_EVERY:
                    if error.kind is not Failure.STALE:  # nothing new is nothing wrong
                        self._tell(error)
                    raise
                await asyncio.sleep(WAITING_EVERY)
            except FrameUnavailable as error:
                self._tell(error)
                raise
            else:
                self.context.report(CameraState.LIVE, "")
                return Frame(self.context.name, shot.pixels, shot.taken, shot.how)

    def _glance(self) -> bool | None:
        """Whether a folder has something new to see; None: it is none, and only a look tells."""
        return self._folder.glance() if stat.S_ISDIR(_kind(self.config.path)) else None

    def _tell(self, error: FrameUnavailable) -> None:
        refused = isinstance(error.__cause__, PermissionError)
        self.context.report(
            CameraState.NO_PERMISSION if refused else STATES.get(error.kind, CameraState.SILENT), str(error)
        )

    def _stuck(self, seconds: float) -> str:
        problem = f"Reading {shown(self.config.path)} took longer than {seconds:g} s. Is its disk or share reachable?"
        self.context.report(CameraState.SILENT, problem)
        return problem

    def _shoot(self, timeout: float) -> Shot:
        path, long_edge = self.config.path, self.context.long_edge
        kind = _kind(path)
        if stat.S_ISDIR(kind):
            if self._pace is Pace.STEP:
                return self._folder.next(long_edge)
            return self._folder.newest(long_edge, self.context.max_age * (1 - KEPT_BACK))
        if not stat.S_ISREG(kind):
            raise FrameUnavailable(Failure.SOURCE, f"{shown(path)} is neither a file nor a folder.")
        if is_picture(path):
            return Shot.now(read_picture(path, long_edge), shown(path.name))
        return self._video.shoot(long_edge, timeout)


def _kind(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FrameUnavailable(
            Failure.NOT_FOUND,
            f"There is no file or folder {shown(path)}; is the name right, and its disk there?",
        ) from None
    except (OSError, ValueError) as error:
        raise FrameUnavailable(Failure.SOURCE, f"{shown(path)} can't be looked at: {error}.") from error
