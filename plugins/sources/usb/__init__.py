"""A camera plugged into this machine: OpenCV in a process of its own, because a stalled or replugged camera hangs it.

Lazy, because that process imports this package too, and must not carry the agent's libraries for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugins.sources.usb.config import UsbConfig
    from plugins.sources.usb.source import UsbSource

__all__ = ["UsbConfig", "UsbSource"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    from plugins.sources.usb import config, source  # noqa: PLC0415 - see above

    return {"UsbConfig": config.UsbConfig, "UsbSource": source.UsbSource}[name]
