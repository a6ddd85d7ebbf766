"""Observations as a file to take away: JSON as they are, or a table for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agent.journal import Filter, Journal
from agent.values import Observation

PAGE = 100
"""Observations in memory at once."""
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in full width too."""
_NEXT = re.compile(rf"(;\s*)(?=[{''.join(FORMULA).replace('-', '')}-])")
"""Some take a semicolon for the end of a cell."""
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
PLAIN = ("id", "camera", "reason", "taken_at", "finished_at", "caption", "truncated")
NESTED = {
    "error": ("kind", "message"),
    "latency_ms": ("capture", "queue", "encode", "image", "generate", "other", "total"),
    "picture": ("width", "height", "sha256"),
    "sent": ("width", "height", "geometry", "sha256"),
}
ABOUT = ("changed", "captioner", "model", "prompt", "ad_hoc", "tokens")


async def pages(journal: Journal, wanted: Filter) -> AsyncIterator[list[Observation]]:
    """All of them, newest first, never many at once. Raises JournalUnavailable now rather than under way."""
    return _pages(journal, wanted, await journal.find(wanted, None, PAGE))


async def _pages(
    journal: Journal, wanted: Filter, found: list[tuple[int, Observation]]
) -> AsyncIterator[list[Observation]]:
    yield [observation for _, observation in found]
    while len(found) == PAGE:
        found = await journal.find(wanted, found[-1][0], PAGE)
        yield [observation for _, observation in found]


async def as_json(observations: AsyncIterator[list[Observation]]) -> AsyncIterator[bytes]:
    """An array, an observation a line."""
    separator = b"[\n"
    async for page in observations:
        for observation in page:
            yield separator + observation.model_dump_json().encode()
            separator = b",\n"
    yield b"\n]\n" if separator == b",\n" else b"[]\n"


async def as_csv(observations: AsyncIterator[list[Observation]], answers: Sequence[str]) -> AsyncIterator[bytes]:
    """One row each; two columns for each answer of these names."""
    nested = [(part, name) for part, names in NESTED.items() for name in names]
    columns = [*PLAIN, *(f"{part}.{name}" for part, name in nested), *ABOUT]
    columns += [column for name in answers for column in (f"answers.{name}", f"answers.{name}.confidence")]
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(map(_cell, columns))
    async for page in observations:
        for observation in page:
            told = observation.model_dump(mode="json")
            row = [told[name] for name in PLAIN]
            row += [(told[part] or {}).get(name) for part, name in nested]
            row += [told[name] for name in ABOUT]
            given = [told["answers"].get(name) or {} for name in answers]
            row += [cell for answer in given for cell in (answer.get("value"), answer.get("confidence"))]
            table.writerow(map(_cell, row))
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _cell(value: Any) -> Any:
    """``yes`` and ``no``; a text that a spreadsheet would take for a formula begins with a ' there."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        shown = _UNSEEN.sub("", value)
        mark = "'" if shown.lstrip().startswith(FORMULA) else ""
        return mark + _NEXT.sub(r"\1'", shown)
    return value
