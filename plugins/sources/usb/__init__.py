"""A camera plugged into this machine."""

from plugins.sources.usb.source import UsbConfig, UsbSource

__all__ = ["UsbConfig", "UsbSource"]
