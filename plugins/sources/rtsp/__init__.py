"""RTSP cameras: connected all the time, taken apart into packets, decoded only when somebody looks."""

from plugins.sources.rtsp.config import RtspConfig
from plugins.sources.rtsp.source import RtspSource

__all__ = ["RtspConfig", "RtspSource"]
