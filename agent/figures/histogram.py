"""How long looks took since the start, in buckets: what Prometheus wants."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from agent.figures.steps import STAGES, Times

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""
_MS = tuple(round(bucket * 1000) for bucket in BUCKETS)


class Histogram:
    """Of one camera, by stage."""

    __slots__ = ("_counts", "_sums")

    def __init__(self) -> None:
        self._counts = [[0] * (len(BUCKETS) + 1) for _ in STAGES]
        self._sums = [0] * len(STAGES)

    def add(self, times: Times) -> None:
        for stage, ms in enumerate(times):
            self._counts[stage][bisect_left(_MS, ms)] += 1
            self._sums[stage] += ms

    def __iter__(self) -> Iterator[tuple[str, list[int], float]]:
        """Each stage, its buckets (the last is beyond all; not cumulated) and its seconds in all."""
        for stage, counts, ms in zip(STAGES, self._counts, self._sums, strict=True):
            yield stage, counts, ms / 1000
