"""What became of every frame, by a running camscribe's own counters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import control
from agent.runtime import control_socket

_NAME = re.compile(r"(?P<name>\w+?)(\{(?P<labels>.*)\})?")


async def status(folder: Path) -> dict[str, Any]:
    """Of the camscribe whose data_dir is ``folder/data``."""
    return await control.ask(control_socket(folder / "data"), {"do": "status"}, 10)


def totals(counters: Mapping[str, int]) -> Counter[str]:
    """Each counter over all its labels."""
    sums: Counter[str] = Counter()
    for name, count in counters.items():
        found = _NAME.fullmatch(name)
        assert found
        sums[found["name"]] += count
    return sums


def unaccounted(counters: Mapping[str, int]) -> int:
    """Frames handed over that are neither captioned, nor failed, nor dropped with a reason: under way, or lost."""
    sums = totals(counters)
    ended = sums["captions_total"] + sums["captions_failed_total"] + sums["frames_dropped_total"]
    return sums["frames_total"] - ended
