"""What a method of getting pictures is to the client that measures it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


class NoPicture(Exception):
    """There was none in time."""


class Camera(Protocol):
    async def look(self, timeout: float) -> np.ndarray:
        """The picture that somebody who asks now gets: 1280x720. Raises NoPicture."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a client is told to do."""

    urls: list[str]
    every: float
    transport: str = "tcp"
    size: tuple[int, int] = (1280, 720)
    options: dict[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """A module of this folder. Importing it loads all it needs, so that memory is counted from there."""

    def cameras(self, job: Job) -> AbstractAsyncContextManager[list[Camera]]:
        """One for each URL, connected until the end of the block."""
