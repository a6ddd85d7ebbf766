"""A window in fewer, wider steps, for drawings and for tables that say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.figures import STAGES, View
from agent.figures.steps import MEAN, P95, TOTAL
from agent.web.charts import Values


class Columns:
    """Their edges stay where they are while time goes on. None stands where camscribe did not run, or nothing was."""

    def __init__(self, view: View, count: int) -> None:
        self._each = len(view.running) // count
        self._count = count
        self._skipped = -view.first % self._each
        self.width = view.step * self._each
        self.start = view.start + view.step * self._skipped
        self.end = self.start + self.width * count
        self.running: list[bool] = np.logical_or.reduce(self._cut(view.running), axis=1).tolist()
        counts = self._cut(view.counts)
        self.looks = self._where_running(counts[:, :, 0].sum(axis=1))
        self.failed = self._where_running(counts[:, :, 1].sum(axis=1))
        good = (counts[:, :, 0] - counts[:, :, 1])[:, :, np.newaxis]
        spent = (np.nan_to_num(self._cut(view.spread[:, :, MEAN])) * good).sum(axis=1)
        means = spent / np.where(good.any(axis=1), good.sum(axis=1), np.nan)
        self.means = {stage: _values(means[:, at]) for at, stage in enumerate(STAGES)}
        self.p95 = self.most(view.spread[:, TOTAL, P95])
        """The most that it was in one of a column's steps: at least 95 of 100 looks of the column were as fast."""

    def most(self, series: NDArray[np.float32]) -> Values:
        return _values(np.fmax.reduce(self._cut(series), axis=1))

    def sum(self, series: NDArray[np.float32]) -> Values:
        return self._where_running(np.nansum(self._cut(series), axis=1))

    def _cut(self, series: NDArray[Any]) -> NDArray[Any]:
        """(columns, steps of each, …); the last column is filled up with nothing."""
        kept = series[self._skipped :]
        nothing = np.nan if series.dtype.kind == "f" else 0
        missing = np.full((self._skipped, *series.shape[1:]), nothing, series.dtype)
        return np.concatenate([kept, missing]).reshape(self._count, self._each, *series.shape[1:])

    def _where_running(self, values: NDArray[Any]) -> Values:
        return _values(np.where(self.running, values, np.nan))


def _values(series: NDArray[Any]) -> Values:
    return [None if value != value else value for value in series.tolist()]  # noqa: PLR0124 (NaN is not itself)
