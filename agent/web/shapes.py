"""What the API tells of the home and its cameras, as JSON. Observations have their own form: agent.values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from agent.camera import Camera
from agent.plugin import CameraInfo, HomeState, LookError, Observation, Question
from agent.values import CameraState, Timestamp


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class HomeShape(_Shape):
    """camscribe itself."""

    model_config = ConfigDict(title="Home")

    version: str
    engine: str
    """``ready``, ``starting``, ``failed: …``: the default captioner's state."""
    model: str
    captions_per_minute: float
    queued: int
    """Frames that wait for the captioner."""
    dropped: int
    """Frames overtaken by fresher ones since the start."""
    paused: bool
    """Nobody looks through any camera until that is ended."""
    log_level: str
    captioners: tuple[str, ...]

    @classmethod
    def of(cls, state: HomeState) -> Self:
        return cls.model_validate({name: getattr(state, name) for name in cls.model_fields})


class CameraFacts(_Shape):
    """A camera, without its last look."""

    model_config = ConfigDict(title="Camera without its last look")

    id: str
    name: str
    area: str | None
    enabled: bool
    online: bool
    """It gives pictures, and its last good look is as fresh as it should be."""
    state: CameraState
    since: Timestamp
    """When it came into that state."""
    problem: str | None
    """A sentence, where something is wrong."""
    every: float | None
    """Seconds between looks by itself; null with a ``cron``, or where it looks only when asked."""
    cron: str | None
    prompt: str
    captioner: tuple[str, ...]
    """Who answers: the first that can."""
    questions: Mapping[str, Question]
    fresh_for: float | None
    """Seconds after which its last good look is stale; null where it does not look every so often."""
    failing: LookError | None
    """Why its last look failed, where it did."""
    failures: int
    """Looks that failed since the start."""

    @classmethod
    def of(cls, info: CameraInfo, camera: Camera) -> Self:
        return cls.model_validate(_facts(info, camera))


class CameraShape(CameraFacts):
    """A camera."""

    model_config = ConfigDict(title="Camera")

    last: Observation | None
    """The last good look by the camera's own prompt."""

    @classmethod
    def of(cls, info: CameraInfo, camera: Camera) -> Self:
        return cls.model_validate({**_facts(info, camera), "last": info.last})


def _facts(info: CameraInfo, camera: Camera) -> dict[str, object]:
    own = {"since": info.since.wall, "cron": camera.settings.cron if info.every is None else None}
    return {name: getattr(info, name) for name in CameraFacts.model_fields if name not in own} | own
