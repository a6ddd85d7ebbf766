"""Pictures and videos from the disk as a camera: for replays and tests, and for a folder that a camera uploads to."""

from plugins.sources.file.source import FileConfig, FileSource

__all__ = ["FileConfig", "FileSource"]
