"""What config.yaml may say about a USB camera."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from agent.plugin import PluginConfig

_LINK = re.compile(r"[^/]+-video-index\d+")
_ALLOWED = (
    "a camera's number (usb:0) or path (usb:/dev/video0, or one of /dev/v4l/by-id) is allowed; "
    "'camscribe doctor' lists what is plugged in"
)


class UsbConfig(PluginConfig):
    """A camera plugged into this machine."""

    device: int | str = Field(
        description="The camera's number, or its path. Numbers change when cameras are plugged in and out, so take "
        "the name that stays: /dev/v4l/by-id/…-video-index0 (or that name alone), or one of /dev/v4l/by-path, which "
        "belongs to the socket, where two cameras are alike. `camscribe doctor` lists them. On a Mac: the number.",
        examples=[0, "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_1A2B3C4D-video-index0"],
    )
    width: int = Field(1280, ge=16, le=8192, description="The camera takes the nearest size it has.")
    height: int = Field(720, ge=16, le=8192, description="As `width`.")
    fps: int | None = Field(
        None,
        ge=1,
        le=240,
        description="Pictures a second that the camera is asked for. Left out: 30, or what is near. Fewer leave more "
        "of the USB bus to other cameras, and let some see better in the dark.",
    )
    format: Literal["mjpeg", "any"] = Field(
        "mjpeg",
        description="mjpeg, where the camera has it: uncompressed, most give large pictures slowly or not at all, and "
        "two of them on one bus don't fit. any: what the driver offers first, for a camera whose MJPEG is poor.",
    )
    connect: Literal["always", "on_demand"] = Field(
        "always",
        description="always: the camera stays open, looks are answered at once, and its light tells honestly that it "
        "may look at any time. on_demand: it is opened for each look, which takes one to two seconds more; between "
        "looks its light is out, and other programs (a video call) can have it. Kinder in a room where people sit, "
        "where looks are rare.",
    )

    @field_validator("device", mode="before")
    @classmethod
    def _a_device(cls, value: Any) -> Any:
        if isinstance(value, str):
            return _path(value.strip())
        if isinstance(value, bool) or (isinstance(value, int) and value < 0):
            raise ValueError(_ALLOWED)
        return value

    @property
    def place(self) -> str:
        """Where the camera is, for a person."""
        return f"camera {self.device}" if isinstance(self.device, int) else f"the camera at {self.device}"

    def on_linux(self, dev: Path) -> Path:
        """Its path."""
        return dev / f"video{self.device}" if isinstance(self.device, int) else Path(self.device)


def _path(text: str) -> int | str:
    if text.isascii() and text.isdecimal() and len(text) <= 4:
        return int(text)
    if _LINK.fullmatch(text):
        return f"/dev/v4l/by-{'id' if text.startswith('usb-') else 'path'}/{text}"
    if not text.startswith("/"):
        meant = f". Write '/dev/{text}'" if re.fullmatch(r"video\d+", text) else ""
        raise ValueError(f"{_ALLOWED}{meant}")
    return text
