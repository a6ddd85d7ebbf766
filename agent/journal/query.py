"""Which observations are wanted, and the SQL that finds them. Whatever somebody typed is a bound value in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

QUARTER = 900
"""Seconds: every time zone's midnight is the beginning of a quarter of an hour, in Unix time."""


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is given has to be so; one without anything is every observation."""

    cameras: tuple[str, ...] = ()
    """One of these."""
    since: datetime | None = None
    """Recorded then or later."""
    until: datetime | None = None
    """Recorded before then."""
    text: str = ""
    """The caption has words that begin like each of these."""
    answers: tuple[tuple[str, str], ...] = ()
    """Name and value: ``yes``, ``no``, and otherwise as JSON prints it."""
    outcome: Literal["caption", "error"] | None = None

    @property
    def words(self) -> list[str]:
        return self.text.replace("\0", " ").split()  # SQLite's queries end at a NUL


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the values bound to it."""

    sql: str
    values: tuple[object, ...]


def seqs(wanted: Filter, before: int | None, limit: int, searchable: bool) -> Query:
    """The seqs, newest first. Out of the indexes alone: a row is a kilobyte and more."""
    parts = _parts(wanted, searchable=searchable)
    if before is not None:
        parts.where(f"{parts.seq} < ?", before)
    sql = f"SELECT {parts.seq} FROM {parts.source}{parts.conditions} ORDER BY {parts.seq} DESC LIMIT ?"  # noqa: S608
    return Query(sql, (*parts.values, limit))


def quarters(wanted: Filter, searchable: bool) -> Query:
    """How many were recorded in which QUARTER (counted from 1970)."""
    parts = _parts(wanted, searchable=searchable)
    columns = f"CAST(o.recorded / {QUARTER} AS INTEGER), count(*)"
    return Query(f"SELECT {columns} FROM {parts.source}{parts.conditions} GROUP BY 1", tuple(parts.values))  # noqa: S608


@dataclass(slots=True)
class _Parts:
    source: str
    seq: str = "o.seq"
    _conditions: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def where(self, condition: str, *values: object) -> None:
        self._conditions.append(condition)
        self.values += values

    @property
    def conditions(self) -> str:
        return " WHERE " + " AND ".join(self._conditions) if self._conditions else ""


def _parts(wanted: Filter, *, searchable: bool) -> _Parts:
    parts = _begun(wanted, searchable=searchable)
    if wanted.cameras:
        marks = ", ".join("?" * len(wanted.cameras))
        parts.where(f"o.camera IN ({marks})", *wanted.cameras)
    if wanted.since is not None:
        parts.where("o.recorded >= ?", wanted.since.timestamp())
    if wanted.until is not None:
        parts.where("o.recorded < ?", wanted.until.timestamp())
    for name, value in wanted.answers:
        parts.where("EXISTS (SELECT 1 FROM answers WHERE name = ? AND value = ? AND seq = o.seq)", name, value)
    for word in wanted.words if not searchable or wanted.outcome == "error" else []:
        parts.where("o.caption LIKE ? ESCAPE '!'", f"%{_escaped(word)}%")
    if wanted.outcome == "caption":
        parts.where("o.seq NOT IN (SELECT seq FROM observations INDEXED BY failed WHERE caption IS NULL)")
    return parts


def _begun(wanted: Filter, *, searchable: bool) -> _Parts:
    """Where the search begins: with what is rarest as a rule (of answers, the first). It goes from the newest on, and
    ends with the last one wanted.

    The planner does not know how many there are of what, so that the order is said: CROSS JOIN, INDEXED BY.
    """
    if wanted.outcome == "error":
        parts = _Parts("observations AS o INDEXED BY failed")
        parts.where("o.caption IS NULL")
        return parts
    if wanted.words and searchable:
        parts = _Parts("captions CROSS JOIN observations AS o INDEXED BY in_order ON o.seq = captions.rowid")
        parts.seq = "captions.rowid"
        parts.where("captions MATCH ?", " ".join('"' + word.replace('"', '""') + '"*' for word in wanted.words))
        return parts
    if wanted.answers:
        parts = _Parts("answers AS a CROSS JOIN observations AS o INDEXED BY in_order ON o.seq = a.seq")
        parts.seq = "a.seq"
        parts.where("a.name = ? AND a.value = ?", *wanted.answers[0])
        return parts
    return _Parts(f"observations AS o INDEXED BY {'of_camera' if len(wanted.cameras) == 1 else 'in_order'}")


def _escaped(word: str) -> str:
    for special in "!%_":
        word = word.replace(special, "!" + special)
    return word
