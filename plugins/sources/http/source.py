"""A network camera that is asked for a picture over HTTP."""

from __future__ import annotations

from agent.plugin import Failure, Frame, FrameUnavailable, PluginConfig, SecretUrl, Source


class HttpConfig(PluginConfig):
    """A network camera that is asked for a picture over HTTP."""

    url: SecretUrl
    """The picture's or the stream's address."""


class HttpSource(Source[HttpConfig]):
    schemes = ("http", "https")

    async def take(self, timeout: float) -> Frame:
        raise FrameUnavailable(Failure.SOURCE, "being built")
