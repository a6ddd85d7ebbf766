"""What config.yaml may say of a file or folder as a camera."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.plugin import ConfigPath, PluginConfig


class FileConfig(PluginConfig):
    """A picture, a video, or a folder of pictures."""

    path: ConfigPath = Field(examples=["clip.mp4", "uploads/front_door"])
    """The file or the folder. A relative one counts from the config file's folder. A single picture or video stands for
    a camera that always gives a picture; where a real camera overwrites one file, name its folder, and the file with
    ``match``, so that an old picture is told from a new one."""
    pace: Literal["real", "step"] = "real"
    """``real``: a video plays on as time passes, over and over; of a folder the newest whole picture counts. Its age
    begins when it appeared on this machine, or was last written here: a camera's clock, times in names and EXIF dates
    count nothing. Until it is older than ``max_age`` it counts as fresh, captioned before or not; then a look waits for
    a new one, up to the camera's ``timeout``. A picture that appears is looked at by itself, so a folder needs neither
    ``every`` nor ``cron``. ``step``: each look gets the next picture of the folder (by name) or the
    next frame of the video, over and over, as if just taken."""
    subfolders: bool = False
    """Pictures in the folders inside the folder count too, down to the eighth: Reolink, Hikvision and Dahua make one a
    day or finer. Hidden ones, and those that begin with ``@`` or ``#`` (a NAS's thumbnails and bin), do not."""
    match: str = Field(default="*", min_length=1, max_length=255, examples=["Front door_*"])
    """Only pictures of a folder whose names match, with ``*`` and ``?``: for a folder that several cameras share."""
