"""What is sampled every few seconds, in steps: a value each, of which the highest or the sum stands for the step."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import numpy as np
from numpy.typing import NDArray

MOST = 100
"""Series; engines and outputs come and go with the config, and nothing may grow for ever."""


class Gauges:
    """The last ``count`` steps of each series. A step without a sample is NaN in all of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._open: int | None = None
        self._series: dict[Hashable, NDArray[np.float32]] = {}
        self.sampled = np.zeros(count, np.bool_)

    @property
    def nbytes(self) -> int:
        return self.sampled.nbytes + sum(series.nbytes for series in self._series.values())

    def advance(self, step: int) -> None:
        if self._open is None:
            self._open = step
        if step <= self._open:
            return
        stale = [each % self._count for each in range(max(self._open + 1, step - self._count + 1), step + 1)]
        self.sampled[stale] = False
        for key, series in list(self._series.items()):
            series[stale] = np.nan
            if np.isnan(series).all():
                del self._series[key]
        self._open = step

    def highest(self, step: int, key: Hashable, value: float) -> None:
        series = self._at(step, key)
        if series is not None:
            series[step % self._count] = np.fmax(series[step % self._count], value)

    def add(self, step: int, key: Hashable, value: float) -> None:
        series = self._at(step, key)
        if series is not None:
            series[step % self._count] = np.nansum([series[step % self._count], value])

    def mark(self, step: int) -> None:
        """camscribe ran in that step."""
        self.advance(step)
        self.sampled[step % self._count] = True

    def read(self, step: int) -> tuple[NDArray[np.bool_], Iterator[tuple[Hashable, NDArray[np.float32]]]]:
        """Up to and with that step, oldest first: which were sampled, and the series."""
        self.advance(step)
        order = np.arange(step + 1, step + 1 + self._count) % self._count
        return self.sampled[order], ((key, series[order]) for key, series in self._series.items())

    def _at(self, step: int, key: Hashable) -> NDArray[np.float32] | None:
        self.advance(step)
        if key not in self._series:
            if len(self._series) >= MOST:
                return None
            self._series[key] = np.full(self._count, np.nan, np.float32)
        return self._series[key]
