"""The records that travel through the house, one way: Frame, CaptionRequest, Caption, Observation, Delivery.

Frozen, and without behaviour beyond telling their own form. ``Observation`` is the product's one public record: its
JSON form is version 1 and every output speaks it (docs/observation.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PlainSerializer

from agent.errors import Failure
from agent.questions import Question

Pixels = NDArray[np.uint8]
"""Shape (height, width, 3), RGB, 0-255, in true display aspect (square pixels)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: ``monotonic`` seconds to measure with, ``wall`` (UTC) to show.

    A wall clock may jump (NTP after a power cut), so ages and latencies are only ever taken from ``monotonic``.
    """

    monotonic: float
    wall: datetime

    @classmethod
    def now(cls) -> Moment:
        return cls(time.monotonic(), datetime.now(UTC))

    def plus(self, seconds: float) -> Moment:
        """The instant ``seconds`` later (earlier, where negative) on both clocks."""
        return Moment(self.monotonic + seconds, self.wall + timedelta(seconds=seconds))


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture, and when its first byte reached this machine (a camera's own clock can't be trusted)."""

    camera: str
    pixels: Pixels
    taken: Moment
    how: str = ""
    """How it was got, for a person: ``key frame``, ``snapshot``, ``clip.mp4 at 3.2 s``."""


class Geometry(StrEnum):
    """How a frame becomes the picture the model gets."""

    SQUARE = "square"
    """Stretched to size x size: what SmolVLM and the other idefics3 models are trained with."""
    ASPECT = "aspect"
    """Scaled so that the long edge is size, aspect kept: models with dynamic resolution."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """What a captioner wants to be sent. ``size`` in pixels: the square's edge, or the long edge."""

    geometry: Geometry
    size: int


class Detail(StrEnum):
    """How much of a frame the model gets to see: the more, the longer it takes."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class CaptionRequest:
    """What a captioner is asked about one picture. ``picture`` is a JPEG in the captioner's own ModelView."""

    camera: str
    picture: bytes = field(repr=False)
    prompt: str
    max_tokens: int
    timeout: float
    """Seconds the captioner may take before it raises CaptionUnavailable(ENGINE_TIMEOUT)."""
    questions: Mapping[str, Question] = field(default_factory=dict)
    """More to be asked about the same picture, after its caption, by the name of each answer."""


@dataclass(frozen=True, slots=True)
class Caption:
    """What a captioner says. ``image_ms`` is the time for picture and prompt, ``generate_ms`` for the words, in both
    cases with those of the questions; ``tokens`` are the caption's alone."""

    text: str
    truncated: bool
    """It hit ``max_tokens``; the text as it came, not yet cut."""
    tokens: int
    image_ms: float
    generate_ms: float
    model: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By the question's name: each question has one, with the value None where the model gave none."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[datetime, PlainSerializer(_iso, return_type=str, when_used="json")]

Reason = Literal["schedule", "change", "mqtt", "http", "manual"]


class LookError(_Record):
    """Why there is no caption."""

    kind: Failure
    message: str


class Answer(_Record):
    """A typed answer to one of the camera's questions. A ``value`` of None: the model gave none that may be given."""

    value: bool | int | float | str | None
    confidence: float | None = None
    """How likely the value is, in 0..1, by the model's own probabilities; None where the engine tells none."""
    steady: bool | None = None
    """Of a yes/no question: what stands by its thresholds and the looks before, so that one shaky answer turns
    nothing on or off. None until a look was sure enough. Filled in by the agent."""

    def __str__(self) -> str:
        """``yes (97 %)``, ``3``, ``no answer``."""
        if self.value is None:
            return "no answer"
        said = ("yes" if self.value else "no") if isinstance(self.value, bool) else str(self.value)
        return said if self.confidence is None else f"{said} ({self.confidence:.0%})".replace("%", " %")


class Latency(_Record):
    """Where the time of a look went, whole milliseconds. The parts add up to ``total`` = finished_at - taken_at."""

    capture: int
    queue: int
    encode: int
    image: int
    generate: int
    other: int
    total: int


class PictureFacts(_Record):
    """The picture people see: a JPEG, ``path`` relative to the journal's picture folder, None once it is gone."""

    width: int
    height: int
    sha256: str
    path: str | None = None


class SentFacts(_Record):
    """The picture the model got. The journal keeps it for debugging, it is never published; ``sha256`` tells two of
    them apart."""

    width: int
    height: int
    geometry: Geometry
    sha256: str


class Observation(_Record):
    """What one look came to: a caption, or an error."""

    version: Literal[1] = 1
    id: str
    camera: str
    reason: Reason
    taken_at: Timestamp
    finished_at: Timestamp
    caption: str | None
    truncated: bool = False
    error: LookError | None = None
    answers: Mapping[str, Answer] = {}
    changed: float | None = None
    captioner: str | None = None
    model: str | None = None
    prompt: str | None = None
    ad_hoc: bool = False
    """Somebody asked something else than the camera's own prompt and questions: no news of how the camera sees it."""
    tokens: int | None = None
    latency_ms: Latency
    picture: PictureFacts | None = None
    sent: SentFacts | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One observation on its way to one output."""

    seq: int
    """Its place in the journal; grows without gaps an output would notice, never reused."""
    observation: Observation
    picture: bytes | None = field(repr=False)
    """The JPEG people see, or None where the look failed or retention has taken it."""
    newest: bool
    """Nothing later of this camera is waiting (for a good look: no later good one)."""
    age: float = 0.0
    """Seconds since it was recorded, when it was handed out."""


class CameraState(StrEnum):
    """What a camera is doing, in words a person understands."""

    STARTING = "starting"
    CONNECTING = "connecting"
    LIVE = "live"
    NO_KEY_FRAMES = "no key frames"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not found"
    SILENT = "silent"
    """Connected, but nothing comes."""
    GONE = "gone"
    """Nobody answers at its address."""
    BEHIND = "behind"
    """Pictures come, but too old ones."""
    DAMAGED = "damaged"
    """Pictures come, and none is whole."""
    NO_PERMISSION = "no permission"
    """The system keeps this program from the camera."""
    BUSY = "busy"
    """Another program has the camera."""
    PARKED = "parked"
    """Given up until the next restart: its driver hung three times."""
