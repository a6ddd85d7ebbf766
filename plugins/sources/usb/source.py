"""A camera plugged into this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.plugin import Failure, Frame, FrameUnavailable, PluginConfig, Source


class UsbConfig(PluginConfig):
    """A camera plugged into this machine."""

    device: str | int
    """The camera's number or path."""


class UsbSource(Source[UsbConfig]):
    schemes = ("usb",)

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        return {"device": text.removeprefix("usb:")}

    async def take(self, timeout: float) -> Frame:
        raise FrameUnavailable(Failure.SOURCE, "being built")
