"""The webhook output: one request a delivery, and what the answer means for it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version

import httpx

from agent.plugin import Context, Delivery, ObservationRefused, Output, OutputUnavailable
from plugins.outputs.trust import FIX_FIRST, trust
from plugins.outputs.webhook.config import WebhookConfig
from plugins.outputs.webhook.message import Writer
from plugins.outputs.webhook.privacy import Mask
from plugins.tls import distrust
from plugins.unreachable import why

REDIRECTS = 3
_ELSEWHERE = (301, 302, 307, 308)
MOST_BODY = 64_000
"""Bytes of an answer that are read at most: enough for its first words, and to keep the connection."""
MOST_SAID = 200


class WebhookOutput(Output[WebhookConfig]):
    """Sends each observation to a URL, straight: no proxy or .netrc from the environment is used, no cookie is kept."""

    unavailable = (httpx.TransportError,)

    def __init__(self, config: WebhookConfig, context: Context) -> None:
        super().__init__(config, context)
        self._url = httpx.URL(config.url.get_secret_value())
        self._where = f"{self._url.scheme}://{self._url.netloc.decode()}"
        self._writer = Writer(config)
        self._mask = Mask(config)
        self._warned = False

    async def check(self) -> str:
        """A connection, and nothing said on it: there is no post that means nothing."""
        tls, _ = await asyncio.to_thread(self._prepare)
        secure = self._url.scheme == "https"
        try:
            _, writer = await asyncio.open_connection(
                self._url.host, self._url.port or (443 if secure else 80), ssl=tls if secure else None
            )
        except OSError as error:
            lost = httpx.ConnectError(error.strerror or str(error))
            lost.__cause__ = error
            raise self._unreachable(lost) from None
        writer.close()
        return f"{self._where} accepts connections; whether it takes observations only one of them can tell"

    async def deliver(self, deliveries: AsyncIterator[Delivery]) -> None:
        tls, agent = await asyncio.to_thread(self._prepare)
        # The transport alone: httpx's client would use the environment and cookies, and log every URL.
        async with httpx.AsyncHTTPTransport(verify=tls, limits=httpx.Limits(max_connections=1)) as way:
            async for delivery in deliveries:
                try:
                    await self._send(way, delivery, agent)
                except httpx.TransportError as error:
                    raise self._unreachable(error) from None

    def _prepare(self) -> tuple[ssl.SSLContext, str]:
        """Reads files."""
        if self.config.tls.insecure and not self._warned:
            self._warned = True
            self.log.warning("tls.insecure: anybody on the network can pose as %s.", self._where)
        return trust(self.config.tls), f"camscribe/{version('camscribe')}"

    async def _send(self, way: httpx.AsyncBaseTransport, delivery: Delivery, agent: str) -> None:
        url = self._url
        for _ in range(1 + REDIRECTS):
            answer = await way.handle_async_request(self._writer.request(delivery, url, agent))
            try:
                words = await _beginning(answer)
            finally:
                await answer.aclose()
            if answer.status_code not in _ELSEWHERE:
                self._judge(answer, words)
                return
            url = self._elsewhere(url, answer.headers.get("location", ""))
        raise OutputUnavailable(f"{self._where} redirects more than {REDIRECTS} times.", FIX_FIRST)

    def _elsewhere(self, url: httpx.URL, location: str) -> httpx.URL:
        """Where a redirect leads: another path, never another host, which would get the key and the pictures."""
        try:
            target = url.join(location)
        except httpx.InvalidURL:
            target = httpx.URL()
        if not location or not target.host:
            raise OutputUnavailable(f"{self._where} redirects to nowhere.", FIX_FIRST)
        if _origin(target) != _origin(self._url):
            raise OutputUnavailable(
                f"{self._where} redirects to {target.scheme}://{target.netloc.decode()}, which is another place and is "
                "not followed. If that is right, write it in url.",
                FIX_FIRST,
            )
        return target.copy_with(userinfo=self._url.userinfo)

    def _judge(self, answer: httpx.Response, words: bytes) -> None:
        """Nothing for a 2xx."""
        status = answer.status_code
        if 200 <= status < 300:
            return
        said = f"{self._where} answered {status}{_phrase(status)}{self._quote(answer, words)}"
        if 400 <= status < 500 and status not in (408, 429):
            raise ObservationRefused(said)
        raise OutputUnavailable(said, retry_after(answer.headers.get("retry-after")))

    def _quote(self, answer: httpx.Response, words: bytes) -> str:
        if answer.headers.get("content-encoding", "identity") != "identity":
            return ""
        text = self._mask(" ".join(words.decode(errors="replace").split()))
        text = "".join(character for character in text if character.isprintable())
        return f": {text[:MOST_SAID]}" if text else ""

    def _unreachable(self, error: httpx.TransportError) -> OutputUnavailable:
        if mistrust := distrust(error):
            return OutputUnavailable(f"{self._where} can't be trusted: {mistrust}.", FIX_FIRST, act=True)
        if isinstance(error, httpx.TimeoutException):
            return OutputUnavailable(f"{self._where} does not answer: is it switched on, and address and port right?")
        if words := why(error, self._url.host):
            return OutputUnavailable(f"{self._where} {words}")
        said = self._mask(str(error)).rstrip(".") or type(error).__name__
        return OutputUnavailable(f"{self._where} can't be reached: {said}.")


async def _beginning(answer: httpx.Response) -> bytes:
    read = b""
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) >= MOST_BODY:
            break
    return read[:MOST_BODY]


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def retry_after(value: str | None) -> float | None:
    """Seconds from now; the header holds seconds or a date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
