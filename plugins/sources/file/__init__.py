"""Pictures and videos from the disk as a camera: for replays and tests, and for a folder that a camera uploads to."""

from plugins.sources.file.config import FileConfig
from plugins.sources.file.source import FileSource

__all__ = ["FileConfig", "FileSource"]
