"""What camscribe promises about ingest, and whether the numbers keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from benchmarks.ingest.results import Result, joined

CPU_MS = 15.0
"""A camera-second, at 8 cameras or more."""
CPU_MS_ALONE = 25.0
MEGABYTES = 30.0
"""A camera at most, at 8 cameras or more."""
AGE = 0.5
RATIO = 5.0
"""So many times below an OpenCV reader thread, at 2 cameras."""


@dataclass(frozen=True, slots=True)
class Verdict:
    what: str
    value: float
    limit: float
    unit: str
    at_least: bool = False
    """It says how many times as much the other way takes: noise may have come over that one, and flatter us."""
    disturbed: str | None = None
    """Why a number beyond the limit proves nothing. One within it does all the same, unless noise may flatter it."""

    @property
    def kept(self) -> bool | None:
        """None: can't be judged."""
        if self.disturbed and (self.at_least or self.value > self.limit):
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        word = {True: "kept", False: "BROKEN", None: "not judged"}[self.kept]
        why = f"; {self.disturbed}" if self.kept is None else ""
        bound = "at least" if self.at_least else "at most"
        number = f"{self.value:.2f}" if self.value < 1 else f"{self.value:.1f}"
        return f"{word}: {self.what}: {number}{self.unit} ({bound} {self.limit:g}{why})"


def verdicts(results: Sequence[Result]) -> list[Verdict]:
    told = []
    for one in results:
        if one.case.table == "main" and one.case.way == "camscribe":
            told += of_row(one)
    pair = pair_of(results)
    if pair:
        told.append(_ratio(*pair))
    return told


def of_row(one: Result) -> list[Verdict]:
    """What a row of camscribe's own must keep."""
    cameras = one.case.title.partition(",")[0]
    if one.missing:
        return [Verdict(f"{cameras}, that gave no picture", one.case.cameras, 0, "")]
    why = one.disturbed
    # Contention only ever adds CPU time, so a value within the limit is one; too few pictures would make it too good.
    starved = one.server_sent_share < 0.98
    cpu = float("inf") if starved else one.cpu_ms
    told = [
        Verdict(f"{cameras}, oldest picture", max(one.ages, default=float("inf")), AGE, " s", disturbed=why),
        Verdict(f"{cameras}, looks without a good picture", one.missed + one.damaged, 0, "", disturbed=why),
    ]
    if one.case.cameras == 1:
        told.append(Verdict(f"{cameras}, CPU a camera-second", cpu, CPU_MS_ALONE, " ms", disturbed=why))
    if one.case.cameras >= 8:
        told.append(Verdict(f"{cameras}, CPU a camera-second", cpu, CPU_MS, " ms", disturbed=why))
        told.append(Verdict(f"{cameras}, memory a camera at its peak", one.megabytes_peak, MEGABYTES, " MB"))
    return told


def pair_of(results: Sequence[Result]) -> tuple[Result, Result] | None:
    """camscribe and OpenCV side by side, all rounds of each."""
    rounds = sorted((one for one in results if one.case.table == "pair"), key=lambda one: one.case.way)
    by_way = {way: joined([*ones]) for way, ones in groupby(rounds, key=lambda one: one.case.way)}
    return (by_way["camscribe"], by_way["opencv"]) if {"camscribe", "opencv"} <= by_way.keys() else None


def _ratio(ours: Result, theirs: Result) -> Verdict:
    what = "2 cameras, CPU of OpenCV reader threads over ours, in turns"
    if missing := ours.missing or theirs.missing:
        return Verdict(what, 0, RATIO, "x", at_least=True, disturbed=missing)
    ratio = theirs.cpu_seconds / theirs.seconds / (ours.cpu_seconds / ours.seconds)
    return Verdict(what, ratio, RATIO, "x", at_least=True, disturbed=ours.disturbed or theirs.disturbed)
