"""What config.yaml may say for the webhook output."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import httpx
from pydantic import field_validator, model_validator

from agent.plugin import PluginConfig, SecretStr, SecretUrl
from plugins.outputs.webhook.template import compiled
from plugins.tls import Tls

PREFIX = "whsec_"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = {
    "content-type": "use content_type for it",
    "content-length": "it is counted from the body",
    "transfer-encoding": "the body is sent as it is",
    "connection": "connections are looked after",
    "webhook-id": "it is the observation's id",
    "webhook-timestamp": "it is the time of sending",
    "webhook-signature": "give secret, and it is signed",
}


_HIDDEN = "found a text that is not shown"


class HookUrl(SecretUrl):
    """A webhook's path is its key."""

    path_is_secret: ClassVar[bool] = True


class WebhookConfig(PluginConfig):
    url: HookUrl
    """Where each observation is sent: ``https://…``. ``user:password@`` before the host logs in (Basic)."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    """The HTTP method."""
    headers: Mapping[str, SecretStr] = {}
    """More headers, such as ``Authorization: Bearer …``. Their values are kept secret."""
    body: str | None = None
    """A Jinja2 template of what is sent, with ``observation`` and its fields: ``{"text": {{ caption | tojson }}}``.
    Left out: the observation's JSON."""
    content_type: str = "application/json"
    """What the body is. Anything else than JSON needs a ``body`` of its own."""
    picture: Literal["none", "base64", "multipart"] = "none"
    """``base64``: as ``picture_base64`` in the JSON and for the template. ``multipart``: a form with the parts
    ``observation`` and ``picture`` (a JPEG file)."""
    secret: SecretStr | None = None
    """Signs each request after standardwebhooks.com: ``whsec_`` and base64, or a text whose bytes are the key."""
    tls: Tls = Tls()
    """Whom to trust on ``https``, and a client certificate."""

    @field_validator("url")
    @classmethod
    def _url_is_for_the_web(cls, url: HookUrl) -> HookUrl:
        try:
            parsed = httpx.URL(url.get_secret_value())
            good = parsed.scheme in ("http", "https") and bool(parsed.host)
        except httpx.InvalidURL:
            good = False
        if not good:
            raise ValueError(f"{_HIDDEN}; a URL that begins with https:// or http:// and names a host is allowed")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_can_be_sent(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} can't be a header's name")
            if name.lower() in _OURS:
                raise ValueError(f"{name} is set by camscribe: {_OURS[name.lower()]}")
            text = value.get_secret_value()
            if not text.isascii() or not text.isprintable() or text != text.strip():
                raise ValueError(f"the value of {name} must be one line of plain ASCII without spaces around it")
        return headers

    @field_validator("body")
    @classmethod
    def _body_is_a_template(cls, body: str | None) -> str | None:
        if body is not None:
            compiled(body)
        return body

    @field_validator("content_type")
    @classmethod
    def _content_type_is_one(cls, content_type: str) -> str:
        if not re.fullmatch(rf"{_TOKEN.pattern}/{_TOKEN.pattern}(\s*;[\x20-\x7e]+)?", content_type):
            raise ValueError("a media type such as application/json or 'text/plain; charset=utf-8' is allowed")
        return content_type

    @field_validator("secret")
    @classmethod
    def _secret_is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _key(secret.get_secret_value()):
            given = _HIDDEN if secret.get_secret_value() else "found an empty text"
            raise ValueError(f"{given}; {PREFIX} and base64 as the receiver shows it, or another text is allowed")
        return secret

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if self.body is None and not is_json(self.content_type):
            raise ValueError("content_type needs a body of its own: left out, the body is the observation's JSON")
        if self.secret and self.picture == "multipart":
            raise ValueError(
                "a multipart form can't be signed (receivers' libraries check texts): picture: base64, or no secret"
            )
        return self

    @property
    def key(self) -> bytes | None:
        """What signs."""
        return _key(self.secret.get_secret_value()) if self.secret else None


def is_json(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def _key(secret: str) -> bytes | None:
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX).rstrip("=") + "==", validate=True)
    except (binascii.Error, ValueError):
        return None
