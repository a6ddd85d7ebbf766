"""A camera that is drawn: a doorstep whose scenes change, for ``camscribe demo`` and to try a config without a camera.

Meant for the tiny model that ships with camscribe, which knows nothing but these drawings.
"""

from plugins.sources.demo.source import DemoConfig, DemoSource

__all__ = ["DemoConfig", "DemoSource"]
