"""What is sent: the observation's JSON or a template's text, with its picture, signed where a secret is given."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import jinja2
from standardwebhooks import Webhook

from agent.plugin import Delivery, ObservationRefused
from plugins.outputs.webhook.config import WebhookConfig, is_json
from plugins.outputs.webhook.privacy import login
from plugins.outputs.webhook.template import compiled


class Writer:
    """Writes the requests of one webhook."""

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        self._template = compiled(config.body) if config.body is not None else None
        self._signer = Webhook(config.key) if config.key else None

    def request(self, delivery: Delivery, url: httpx.URL, agent: str) -> httpx.Request:
        """Raises ObservationRefused: the template can't be filled with this one. ``agent`` is the User-Agent."""
        text = self._text(delivery)
        headers = {"User-Agent": agent, "Accept-Encoding": "identity", **dict(self._headers(delivery, text, url))}
        if self._config.picture == "multipart":
            form = httpx.Request(self._config.method, url, headers=headers, files=self._parts(delivery, text))
            form.read()  # in one piece, so that its length is told
            return form
        headers["Content-Type"] = self._config.content_type
        return httpx.Request(self._config.method, url, headers=headers, content=text.encode())

    def _headers(self, delivery: Delivery, text: str, url: httpx.URL) -> Iterator[tuple[str, str]]:
        if basic := login(url):
            yield "Authorization", basic
        for name, value in self._config.headers.items():
            yield name.title(), value.get_secret_value()
        now = datetime.now(UTC)
        yield "webhook-id", delivery.observation.id  # the same for a repeat, so that it can be recognised
        yield "webhook-timestamp", str(int(now.timestamp()))
        if self._signer:
            yield "webhook-signature", self._signer.sign(delivery.observation.id, now, text)

    def _parts(self, delivery: Delivery, text: str) -> dict[str, tuple[str | None, bytes, str]]:
        look = delivery.observation
        parts: dict[str, tuple[str | None, bytes, str]] = {
            "observation": (None, text.encode(), self._config.content_type)
        }
        if delivery.picture is not None:
            parts["picture"] = (f"{look.camera}-{look.id}.jpg", delivery.picture, "image/jpeg")
        return parts

    def _text(self, delivery: Delivery) -> str:
        fields = delivery.observation.model_dump(mode="json")
        with_picture = self._config.picture == "base64"
        encoded = base64.b64encode(delivery.picture).decode() if with_picture and delivery.picture else None
        if self._template is None:
            return json.dumps({**fields, "picture_base64": encoded} if with_picture else fields, ensure_ascii=False)
        text = _filled(self._template, {**fields, "observation": fields, "picture_base64": encoded})
        if is_json(self._config.content_type):
            _check_json(text)
        return text


def _filled(template: jinja2.Template, names: dict[str, Any]) -> str:
    try:
        return template.render(names)
    except Exception as error:  # noqa: BLE001  # whatever the user's template does wrong is the template's fault
        raise ObservationRefused(f"the body template can't be filled: {type(error).__name__}: {error}") from None


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise ObservationRefused(
            f"the body template gives no JSON ({error}): write {{{{ caption | tojson }}}} without quotes around it, "
            "or set content_type"
        ) from None
