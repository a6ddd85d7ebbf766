"""What config.yaml may say of an endpoint that speaks the OpenAI-compatible chat API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import httpx
from pydantic import Field, field_validator

from agent.plugin import Duration, Geometry, PluginConfig, SecretStr, SecretUrl
from plugins.tls import Tls

_OURS = {"model", "messages", "max_tokens", "temperature", "stream"}


class Endpoint(PluginConfig):
    """One place to ask."""

    url: SecretUrl
    """The API's address: ``http://127.0.0.1:11434/v1`` (Ollama), ``http://127.0.0.1:1234/v1`` (LM Studio),
    ``http://gpu.lan:8000/v1`` (vLLM), ``http://127.0.0.1:8080/v1`` (a llama-server of your own). ``/v1`` may be left
    out."""
    model: str = Field(min_length=1, max_length=200)
    """The model's name as the endpoint knows it, such as ``qwen2.5vl:3b``."""
    api_key: SecretStr | None = None
    """The key, where the endpoint asks for one; sent as ``Authorization: Bearer …``."""
    timeout: Duration | None = None
    """How long this endpoint may take before the next one is asked. Left out: what is left of the camera's
    ``timeout``, or half of that where another one may be asked then."""
    tls: Tls = Tls()
    """Whom to trust on ``https``, and a client certificate."""
    extra_body: Mapping[str, Any] = {}
    """More fields of the request's JSON, for endpoints that have some of their own: ``{reasoning_effort: none}``."""

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: SecretUrl) -> SecretUrl:
        try:
            parsed = httpx.URL(url.get_secret_value())
            good = parsed.scheme in ("http", "https") and bool(parsed.host)
        except httpx.InvalidURL:
            good = False
        if not good:
            raise ValueError(
                "found a text that is not shown; a URL that begins with http:// or https:// and names a host is allowed"
            )
        if parsed.userinfo:
            raise ValueError("a login in the URL is not used here: write the key under api_key")
        return url

    @field_validator("api_key")
    @classmethod
    def _can_be_sent(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None:
            return None
        text = key.get_secret_value()
        if not text or not text.isascii() or not text.isprintable():
            raise ValueError("the key is empty, or holds what no HTTP header can carry")
        return key

    @field_validator("extra_body")
    @classmethod
    def _not_ours(cls, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        if taken := sorted(_OURS & set(extra)):
            raise ValueError(f"{', '.join(taken)} is set by camscribe from its own options")
        return extra

    @property
    def address(self) -> httpx.URL:
        """The API's, without a slash at the end: the URL as written, with ``/v1`` where it names no path."""
        url = httpx.URL(self.url.get_secret_value())
        path = url.path.rstrip("/").removesuffix("/chat/completions")
        return url.copy_with(path=path or "/v1", fragment=None)

    def at(self, what: str) -> httpx.URL:
        """A part of the API: ``models``. What the URL asks behind its path stays behind it."""
        address = self.address
        return address.copy_with(path=f"{address.path}/{what}")

    @property
    def place(self) -> str:
        """Where it is, for people: without key and query."""
        address = self.address
        return f"{address.scheme}://{address.netloc.decode('ascii')}{address.path}"


class OpenAIConfig(Endpoint):
    """An endpoint that speaks the OpenAI-compatible chat API: Ollama, LM Studio, vLLM, a llama-server that runs."""

    fallbacks: tuple[Endpoint, ...] = Field(default=(), max_length=10)
    """Other endpoints, asked in this order while those before them can't answer."""
    calls_per_minute: int | None = Field(default=None, ge=1, le=100_000)
    """The most calls in any 60 seconds, over all endpoints together; each question is a call too. Frames wait for
    their turn, the freshest of each camera; what is overtaken meanwhile is counted."""
    parallel: int = Field(default=1, ge=1, le=64)
    """How many captions at once."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """0 gives the same words for the same picture; more gives variety."""
    geometry: Geometry = Geometry.ASPECT
    """How a frame becomes the model's picture: ``aspect`` kept, or ``square`` (stretched) for a SmolVLM."""
    picture_size: Annotated[int, Field(ge=32, le=4096)] = 768
    """The long edge of the model's picture in pixels (the edge of a square one): half of it at ``detail: low``, twice
    at ``high``. A square stays as it is."""
