"""A window, as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agent.figures.steps import Spread, Summary

WindowName = Literal["hour", "day"]
LENGTHS: Mapping[WindowName, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
Series = NDArray[np.float32]
"""A value a step; NaN where there was no sample."""


@dataclass(frozen=True, slots=True)
class View:
    """The steps of the last hour or day, oldest first; the last is still open."""

    window: WindowName
    camera: str | None
    """Whose looks they are; None: of all cameras."""
    step: timedelta
    first: int
    """The number of the first step: they are counted through, and never anew."""
    start: datetime
    """When the first step begins."""
    since: datetime
    """When camscribe began to count."""
    now: datetime
    running: NDArray[np.bool_]
    """Whether camscribe ran in a step: where not, there are no zeros but gaps."""
    counts: NDArray[np.int64]
    """(steps, 2): looks, and those of them that failed."""
    spread: Spread
    queued: Series
    """The most that waited."""
    memory: Series
    """Of camscribe's own process, bytes."""
    engines: Mapping[str, Series]
    """The memory of each, bytes."""
    outputs: Mapping[str, Series]
    """The most that waited for each."""
    drops: Mapping[tuple[str, str], Series]
    """By what (``frames``, ``observations``, ``pictures``) and reason: how many, in each step."""
    whole: Summary
    """The window of this camera, or of all."""
    cameras: Mapping[str, Summary]
    """The window of each."""

    @property
    def complete(self) -> bool:
        """camscribe was started before it begins."""
        return self.now - self.since >= LENGTHS[self.window]

    def latest(self, count: int) -> View:
        """The last so many steps alone; what is of the whole window stays."""
        before = len(self.running) - count
        return replace(
            self,
            first=self.first + before,
            start=self.start + self.step * before,
            running=self.running[before:],
            counts=self.counts[before:],
            spread=self.spread[before:],
            queued=self.queued[before:],
            memory=self.memory[before:],
            engines={name: series[before:] for name, series in self.engines.items()},
            outputs={name: series[before:] for name, series in self.outputs.items()},
            drops={key: series[before:] for key, series in self.drops.items()},
        )
