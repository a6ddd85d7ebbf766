"""The file source: decides what the path is at each look, and reads it in a thread of its own."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agent.plugin import CameraState, ConfigPath, Context, Failure, Frame, FrameUnavailable, PluginConfig, Source
from plugins.sources.file.folder import Folder
from plugins.sources.file.names import shown
from plugins.sources.file.picture import is_picture, read_picture
from plugins.sources.file.shot import Pace, Shot
from plugins.sources.file.thread import Stuck, Thread
from plugins.sources.file.video import Video


class FileConfig(PluginConfig):
    """A picture, a video, or a folder of pictures."""

    path: ConfigPath = Field(examples=["clip.mp4", "uploads/front_door"])
    """The file or the folder. A relative one counts from the config file's folder."""
    pace: Literal["real", "step"] = "real"
    """``real``: a video plays on as time passes, over and over; of a folder the newest picture counts, and it is as old
    as its file is. ``step``: each look gets the next picture of the folder (by name) or the next frame of the video,
    over and over, as if just taken."""


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
        self._folder = Folder(config.path, self._pace)
        self._video = Video(config.path, self._pace)
        self._thread = Thread(f"file-{context.name}")  # starts at the first look

    async def run(self) -> None:
        """Nothing to keep alive; at the end the thread closes what is open and goes."""
        await self._thread.serve(self._video.close)

    async def take(self, timeout: float) -> Frame:
        try:
            shot = await self._thread.call(lambda: self._shoot(timeout), timeout)
        except Stuck:
            problem = (
                f"Reading {shown(self.config.path)} took longer than {timeout:g} s. Is its disk or share reachable?"
            )
            self.context.report(CameraState.SILENT, problem)
            raise FrameUnavailable(Failure.TIMEOUT, problem) from None
        except FrameUnavailable as error:
            missing = error.kind is Failure.NOT_FOUND
            self.context.report(CameraState.NOT_FOUND if missing else CameraState.SILENT, str(error))
            raise
        self.context.report(CameraState.LIVE, "")
        return Frame(self.context.name, shot.pixels, shot.taken, shot.how)

    def _shoot(self, timeout: float) -> Shot:
        path, long_edge = self.config.path, self.context.long_edge
        kind = _kind(path)
        if stat.S_ISDIR(kind):
            return self._folder.shoot(long_edge)
        if not stat.S_ISREG(kind):
            raise FrameUnavailable(Failure.SOURCE, f"{shown(path)} is neither a file nor a folder.")
        if is_picture(path):
            return Shot.now(read_picture(path, long_edge), shown(path.name))
        return self._video.shoot(long_edge, timeout)


def _kind(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FrameUnavailable(Failure.NOT_FOUND, f"There is no file or folder {shown(path)}.") from None
    except (OSError, ValueError) as error:
        raise FrameUnavailable(Failure.SOURCE, f"{shown(path)} can't be looked at: {error}.") from error
