"""The looks of one camera, or of all, in steps: how many, and how long each stage took."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agent.values import Latency

Stage = Literal["capture", "queue", "encode", "image", "generate", "other", "total"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""Of a look; the last is the whole of it."""
PARTS = STAGES[:-1]
TOTAL = STAGES.index("total")
MOST_EXACT = 512
"""Looks in one step of which each counts for the percentiles; of more, so many picked at random."""
UNIT = 16.0
"""Milliseconds. In it, half floats hold 1 ms to 17 minutes to 0.05 %."""

Spread = NDArray[np.float32]
"""(steps, stages, 4): mean, p50, p95 and the longest, in milliseconds; NaN where nothing was captioned."""
MEAN, P50, P95, MAX = range(4)
Times = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole window. Milliseconds are of looks that came to a caption; None where there are none."""

    looks: int
    failed: int
    p50: float | None
    p95: float | None
    longest: float | None
    means: Mapping[Stage, float]
    """Of each part of a look; they add up to the mean look."""

    @property
    def slowest(self) -> Stage | None:
        """The stage that takes the longest."""
        return max(self.means, key=lambda stage: self.means[stage], default=None)


class Steps:
    """The last ``count`` steps. Closed ones are a few numbers each; only the open one knows its single looks."""

    def __init__(self, count: int, points: int) -> None:
        """``points``: of each step so many looks are kept, evenly over its range, for the percentiles of a window."""
        self._count = count
        self._points = points
        self._open: int | None = None
        self._looks = self._failed = 0
        self._times: list[Times] = []
        self._counts = np.zeros((count, 2), np.uint16)
        self._spread = np.full((count, len(STAGES), 4), np.nan, np.float16)
        self._kept = np.full((count, points), np.nan, np.float16)

    @property
    def nbytes(self) -> int:
        return self._counts.nbytes + self._spread.nbytes + self._kept.nbytes

    def add(self, step: int, times: Times | None) -> None:
        """A look of that step or a later one; None: it failed, and how long that took says nothing of captions."""
        self.advance(step)
        self._looks += 1
        if times is None:
            self._failed += 1
            return
        good = self._looks - self._failed
        if good <= MOST_EXACT:
            self._times.append(times)
        elif (place := random.randrange(good)) < MOST_EXACT:  # noqa: S311 (each look is as likely to be among them)
            self._times[place] = times

    def advance(self, step: int) -> None:
        """It is that step by now: those before are closed, those without looks have none."""
        if self._open is None:
            self._open = step
        if step <= self._open:
            return
        self._write(self._open)
        stale = [each % self._count for each in range(max(self._open + 1, step - self._count + 1), step + 1)]
        self._counts[stale] = 0
        self._spread[stale] = np.nan
        self._kept[stale] = np.nan
        self._open = step
        self._looks = self._failed = 0
        self._times = []

    def read(self, step: int) -> tuple[NDArray[np.int64], Spread]:
        """Up to and with that step, oldest first: looks and failed ones (steps, 2), and the times."""
        order = self._order(step)
        return self._counts[order].astype(np.int64), self._spread[order].astype(np.float32) * UNIT

    def summary(self, step: int) -> Summary:
        order = self._order(step)
        counts = self._counts[order].astype(np.int64)
        spread = self._spread[order].astype(np.float64) * UNIT
        looks, failed = (int(each) for each in counts.sum(axis=0))
        good = counts[:, 0] - counts[:, 1]
        some = good > 0
        if not some.any():
            return Summary(looks, failed, None, None, None, {})
        means = np.average(spread[some, :TOTAL, MEAN], axis=0, weights=good[some])
        p50, p95 = self._percentiles(order, good)
        longest = float(spread[some, TOTAL, MAX].max())
        return Summary(looks, failed, p50, p95, longest, dict(zip(PARTS, means.tolist(), strict=True)))

    def _order(self, step: int) -> NDArray[np.int64]:
        """The places of the steps, oldest first."""
        self.advance(step)
        if self._open is not None and self._looks:
            self._write(self._open)
        return np.arange(step + 1, step + 1 + self._count) % self._count

    def _percentiles(self, order: NDArray[np.int64], good: NDArray[np.int64]) -> tuple[float, float]:
        """Of the window's looks, each step's kept ones standing for all of its own."""
        kept = self._kept[order].astype(np.float64) * UNIT
        there = ~np.isnan(kept)
        stands_for = (good / np.maximum(there.sum(axis=1), 1))[:, np.newaxis]
        weights = np.broadcast_to(stands_for, kept.shape)[there]
        values = kept[there]
        rank = np.argsort(values)
        reached = np.cumsum(weights[rank])
        at = np.searchsorted(reached, np.array([0.5, 0.95]) * reached[-1] - 1e-9)
        p50, p95 = values[rank][np.minimum(at, len(values) - 1)]
        return float(p50), float(p95)

    def _write(self, step: int) -> None:
        place = step % self._count
        self._counts[place] = min(self._looks, 0xFFFF), min(self._failed, 0xFFFF)
        if not self._times:
            return
        times = np.sort(np.array(self._times, np.float64), axis=0) / UNIT
        at = [_rank(len(times), part) for part in (0.5, 0.95)]
        self._spread[place] = np.column_stack([times.mean(axis=0), times[at[0]], times[at[1]], times[-1]])
        self._kept[place] = np.nan
        picked = _evenly(len(times), self._points)
        self._kept[place, : len(picked)] = times[picked, TOTAL]


def times_of(latency: Latency) -> Times:
    return tuple(getattr(latency, stage) for stage in STAGES)


def _rank(count: int, part: float) -> int:
    """Where the value stands that ``part`` of them do not exceed."""
    return max(0, math.ceil(part * count) - 1)


def _evenly(count: int, points: int) -> Sequence[int]:
    """``points`` places in ``count``, each in the middle of its share."""
    return range(count) if count <= points else [int((point + 0.5) * count / points) for point in range(points)]
