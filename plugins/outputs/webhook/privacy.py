"""What must not turn up in a sentence about a request. Servers like to repeat in an error what they were sent."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote, unquote

import httpx

from plugins.outputs.webhook.config import WebhookConfig

SHORTEST = 4
"""Characters; masking every shorter text would leave nothing readable, and it is no secret."""


def login(url: httpx.URL) -> str | None:
    """The Authorization header that the URL's ``user:password@`` stands for."""
    if not url.userinfo:
        return None
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()


class Mask:
    """Replaces this hook's secrets by ``***``."""

    def __init__(self, config: WebhookConfig) -> None:
        spelled = {way(text) for text in _secrets(config) for way in (str, quote, unquote)}
        self._secrets = sorted((text for text in spelled if len(text) >= SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        text = text.replace("\\/", "/")  # how PHP writes a path in JSON
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _secrets(config: WebhookConfig) -> Iterator[str]:
    url = httpx.URL(config.url.get_secret_value())
    yield url.raw_path.decode()
    yield url.path
    yield from (part for part in url.path.split("/") if len(part) > 2 * SHORTEST)
    yield from (value for _, value in url.params.multi_items())
    yield from (url.username, url.password)
    values = [value.get_secret_value() for value in config.headers.values()]
    if basic := login(url):
        values.append(basic)
    for value in values:
        yield value
        yield value.partition(" ")[2]  # `Bearer` is none
    if config.secret:
        yield config.secret.get_secret_value()
