"""How long a source leaves a camera alone that could not be had."""

from __future__ import annotations

import random


def pause_after(failures: int, first: float, longest: float, least: float = 0.0) -> float:
    """Seconds after so many failures in a row: doubled each time, and up to a tenth more, so that cameras spread."""
    doubled = min(first * 2.0 ** min(failures - 1, 16), longest)
    return max(doubled, least) * random.uniform(1.0, 1.1)  # noqa: S311 - no secret hangs on it
