"""What the readers of pictures, folders and videos give back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.plugin import Moment, Pixels


class Pace(StrEnum):
    REAL = "real"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture, how old it is, and how it was got."""

    pixels: Pixels
    taken: Moment
    how: str

    @classmethod
    def now(cls, pixels: Pixels, how: str) -> Shot:
        return cls(pixels, Moment.now(), how)
