"""Observations as the agent makes them, for tests of what comes after."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid6

from agent.errors import Failure
from agent.values import Latency, LookError, Observation, PictureFacts

NO_TIME = Latency(capture=0, queue=0, encode=0, image=0, generate=0, other=0, total=0)
JPEG = b"\xff\xd8" + bytes(range(256)) * 4 + b"\xff\xd9"


def observation(camera: str = "door", caption: str | None = "A red car.", **more: Any) -> Observation:
    """A good look, or with ``caption=None`` a failed one (without a picture)."""
    taken = more.pop("taken_at", datetime(2026, 11, 22, 18, 4, 5, tzinfo=UTC))
    facts = PictureFacts(width=4, height=3, sha256=hashlib.sha256(JPEG).hexdigest())
    return Observation(
        id=str(uuid6.uuid7()),
        camera=camera,
        reason="schedule",
        taken_at=taken,
        finished_at=taken + timedelta(seconds=0),
        caption=caption,
        error=None if caption is not None else LookError(kind=Failure.TIMEOUT, message="It did not answer."),
        latency_ms=NO_TIME,
        picture=facts if caption is not None else None,
        **more,
    )
