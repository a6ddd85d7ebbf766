"""Cron's five fields, as cron reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ONE = r"[0-9]{1,4}|[a-z]{3}"
_ITEM = re.compile(rf"(?:(?P<all>\*)|(?P<first>{_ONE})(?:-(?P<last>{_ONE}))?)(?:/(?P<step>[0-9]{{1,4}}))?")


@dataclass(frozen=True)
class _Field:
    name: str
    """What APScheduler calls it."""
    title: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def values(self, text: str) -> set[int]:
        """What the field allows. Raises ValueError."""
        found: set[int] = set()
        for item in text.split(","):
            match = _ITEM.fullmatch(item)
            if not match:
                raise ValueError(f"the {self.title} '{item}' is not a number, a range, * or a list of these")
            first = self.low if match["all"] else self._number(match["first"])
            last = self._number(match["last"]) if match["last"] else first
            if match["all"] or (match["step"] and not match["last"]):
                last = self.high
            step = int(match["step"] or 1)
            if step == 0:
                raise ValueError(f"the {self.title} '{item}' has a step of 0")
            if last < first and self.high == 7:  # fri-mon
                last += 7
            if last < first:
                raise ValueError(f"the {self.title} '{item}' ends before it begins: write two ranges")
            found.update(range(first, last + 1, step))
        return found

    def _number(self, text: str) -> int:
        if text in self.words:
            return self.words.index(text) + self.low
        if not text.isdecimal() or not self.low <= int(text) <= self.high:
            words = f", or {self.words[0]} to {self.words[-1]}," if self.words else ""
            raise ValueError(f"the {self.title} '{text}' is not within {self.low} to {self.high}{words}")
        return int(text)


_FIELDS = (
    _Field("minute", "minute", 0, 59),
    _Field("hour", "hour", 0, 23),
    _Field("day", "day of the month", 1, 31),
    _Field("month", "month", 1, 12, _MONTHS),
    _Field("day_of_week", "weekday", 0, 7, _WEEKDAYS),
)


def trigger_fields(text: str) -> dict[str, str]:
    """``*/5 8-18 * * 1-5`` as the keyword arguments of APScheduler's CronTrigger. Raises ValueError: a sentence.

    Plain lists of numbers, and weekdays by name: nothing is left that APScheduler reads otherwise than cron does (its
    Monday is 0, its ``*/2`` counts from there).
    """
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        five = "five fields (minute, hour, day of the month, month, weekday)"
        raise ValueError(f"it needs {five}, such as '*/5 8-18 * * mon-fri', and has {len(parts)}")
    values = {field.name: field.values(part) for field, part in zip(_FIELDS, parts, strict=True)}
    weekdays = values["day_of_week"] = {day % 7 for day in values["day_of_week"]}
    every_day = len(values["day"]) == 31
    if not every_day and len(weekdays) < 7:
        # cron would take either, APScheduler both: neither is what everybody expects.
        raise ValueError("it names both days of the month and weekdays: leave one of them *")
    if min(values["day"]) > max(_LONGEST_MONTH[month - 1] for month in values["month"]):
        raise ValueError("there is no such day in those months")
    fields = {}
    for field in _FIELDS:
        allowed = values[field.name]
        fields[field.name] = "*" if len(allowed) > field.high - field.low else ",".join(map(str, sorted(allowed)))
    fields["day_of_week"] = "*" if len(weekdays) == 7 else ",".join(_WEEKDAYS[day] for day in sorted(weekdays))
    return fields
