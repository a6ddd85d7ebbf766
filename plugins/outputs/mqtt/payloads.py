"""What the messages hold. Every key is always there: a template in Home Assistant stumbles over a missing one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.plugin import CameraInfo, HomeState, Observation

STATE_LIMIT = 255
"""Characters Home Assistant takes as a state."""
CAPTION_LIMIT = 8000
"""Bytes of caption in an attribute: Home Assistant's recorder drops all attributes beyond 16,384 bytes."""
ELLIPSIS = "…"
_LOOK = ("id", "reason", "taken_at", "finished_at", "truncated", "answers", "changed", "captioner", "model", "tokens")


def encode(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def state(camera: CameraInfo, look: Observation | None, *, picture: bool) -> dict[str, Any]:
    """The camera's last good look and its settings; ``picture``: the one of this look is on the picture topic."""
    return {
        "camera": camera.id,
        "name": camera.name,
        **seen(look),
        "latency_ms": look.latency_ms.model_dump() if look else None,
        "picture": look.picture.model_dump(exclude={"path"}) if look and look.picture and picture else None,
        "enabled": "ON" if camera.enabled else "OFF",
        "every": camera.every,
        "prompt": camera.prompt,
        "captioners": list(camera.captioner),
    }


def event(look: Observation) -> dict[str, Any]:
    """What happened, for automations: ``caption`` or ``error``."""
    return {
        "event_type": "error" if look.error else "caption",
        "camera": look.camera,
        **seen(look),
        "error": look.error.model_dump(mode="json") if look.error else None,
    }


def seen(look: Observation | None) -> dict[str, Any]:
    """What a look saw, small enough for Home Assistant."""
    fields = look.model_dump(mode="json", include=set(_LOOK)) if look else {}
    whole = (look.caption or "") if look else ""
    caption = cut_bytes(whole, CAPTION_LIMIT)
    return {
        "short": cut(" ".join(caption.split()), STATE_LIMIT) if look and look.caption is not None else None,
        "caption": caption if look and look.caption is not None else None,
        "caption_cut": caption != whole,
        **{key: fields.get(key) for key in _LOOK},
    }


def hub(home: HomeState) -> dict[str, Any]:
    return {
        "version": home.version,
        "engine": home.engine,
        "captions_per_minute": round(home.captions_per_minute, 1),
        "queued": home.queued,
        "dropped": home.dropped,
        "cameras": {
            camera.id: {"name": camera.name, "online": camera.online, "state": camera.state, "problem": camera.problem}
            for camera in home.cameras.values()
        },
    }


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut after a word where there is one, with an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[: limit - len(ELLIPSIS)]
    words = head if text[len(head)].isspace() else head.rpartition(" ")[0]
    return (words or head).rstrip(" ,;:.") + ELLIPSIS


def cut_bytes(text: str, limit: int) -> str:
    """As ``cut``, by the bytes the text takes in JSON."""
    if _size(text) <= limit:
        return text
    low, high = 0, limit
    while low < high:  # the longest cut that fits: a character takes one to six bytes
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(cut(text, middle)) <= limit else (low, middle - 1)
    return cut(text, low)


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
