"""A network camera that is asked for a picture over HTTP."""

from plugins.sources.http.source import HttpConfig, HttpSource

__all__ = ["HttpConfig", "HttpSource"]
