"""What the timeline was asked for, in its address: a bookmark says it all, and one that makes no sense shows today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import groupby
from typing import Literal, Self
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from agent.journal import Filter
from agent.plugin import BooleanQuestion, CameraInfo, ChoiceQuestion, NumberQuestion, Question
from agent.values import Observation
from agent.web import words

TODAY, ALL = "today", "all"
LONGEST = 200
MOST_CAMERAS, MOST_ANSWERS = 100, 10
MOST_NUMBERS = 12
"""A number question offers its values as a filter where it has no more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``day``: None is every day."""

    today: date
    day: date | None
    cameras: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    outcome: Literal["caption", "error"] | None = None
    text: str = ""
    before: int | None = None
    """Only what was recorded before this one: the next page."""

    @classmethod
    def of(cls, query: QueryParams, today: date) -> Self:
        """Never refuses: what makes no sense is left out."""

        def listed(name: str, most: int) -> tuple[str, ...]:
            return tuple(dict.fromkeys(one[:LONGEST] for one in query.getlist(name) if one.strip()))[:most]

        outcome = query.get("outcome")
        before = query.get("before", "").removeprefix("s")
        return cls(
            today=today,
            day=_day(query.get("day", TODAY), today),
            cameras=listed("camera", MOST_CAMERAS),
            answers=tuple(one for one in listed("answer", MOST_ANSWERS) if one.partition(":")[2].strip()),
            outcome="caption" if outcome == "caption" else "error" if outcome == "error" else None,
            text=query.get("q", "")[:LONGEST].strip(),
            before=int(before) if before.isascii() and before.isdecimal() and len(before) <= 18 else None,
        )

    def filter(self, zone: tzinfo) -> Filter:
        since, until = self.span(zone)
        return replace(self.on_every_day(), since=since, until=until)

    def on_every_day(self) -> Filter:
        pairs = [answer.partition(":") for answer in self.answers]
        answers = tuple((name, value) for name, _, value in pairs)
        return Filter(cameras=self.cameras, text=self.text, answers=answers, outcome=self.outcome)

    def span(self, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
        """From midnight to midnight: 23 hours on some days, 25 on others."""
        if self.day is None:
            return None, None
        return midnight(self.day, zone), midnight(self.day + timedelta(days=1), zone)

    @property
    def narrowed(self) -> bool:
        """It leaves out some of the day."""
        return bool(self.cameras or self.answers or self.outcome or self.text)

    def address(self, **other: object) -> str:
        """The page's query, with something else in some places: ``day``, ``before``."""
        parts = {"day": self.day_text, **self._filters(), **other}
        return urlencode([(key, one) for key, value in parts.items() for one in _each(value)])

    def api(self, zone: tzinfo) -> str:
        """The same for the API."""
        since, until = self.span(zone)
        parts = {"from": since and since.isoformat(), "to": until and until.isoformat(), **self._filters()}
        return urlencode([(key, one) for key, value in parts.items() for one in _each(value)])

    @property
    def day_text(self) -> str:
        return ALL if self.day is None else TODAY if self.day == self.today else self.day.isoformat()

    def _filters(self) -> dict[str, object]:
        return {"camera": self.cameras, "answer": self.answers, "outcome": self.outcome, "q": self.text}


def _each(value: object) -> Iterable[object]:
    if isinstance(value, tuple):
        return value
    return () if value in (None, "") else (value,)


def _day(text: str, today: date) -> date | None:
    if text == ALL:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return day if 1970 < day.year < 9999 else today


def midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, zone)


def day_words(day: date, today: date) -> str:
    """``Today``, ``Yesterday``, ``Saturday 28 November``, with the year where it is another."""
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A} {day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else "")


@dataclass(frozen=True, slots=True)
class Hour:
    """A heading and what belongs under it."""

    key: str
    words: str
    seen: Sequence[Observation] = field(repr=False)


def hours(seen: Iterable[Observation], asked: Asked, zone: tzinfo) -> list[Hour]:
    def key(one: Observation) -> str:
        return f"{one.finished_at.astimezone(zone):%Y-%m-%dT%H%z}"

    made = []
    for hour, some in groupby(seen, key):
        them = list(some)
        at = them[0].finished_at.astimezone(zone)
        day = f"{day_words(at.date(), asked.today)}, " if asked.day is None else ""
        made.append(Hour(hour, f"{day}{at:%H}:00", them))
    return made


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that may be asked for."""

    value: str
    words: str


def answers(cameras: Mapping[str, CameraInfo], asked: Asked) -> dict[str, list[Choice]]:
    """What may be asked of the answers, by what people call the question; and what is asked already."""
    found: dict[str, dict[str, Choice]] = {}
    for camera in cameras.values():
        for name, question in camera.questions.items():
            group = found.setdefault(words.question(name, camera.questions), {})
            for value, said in _values(question):
                group.setdefault(f"{name}:{value}", Choice(f"{name}:{value}", said))
    known = {choice for group in found.values() for choice in group}
    for other in asked.answers:
        if other not in known:
            name, _, value = other.partition(":")
            found.setdefault(words.question(name, {}), {})[other] = Choice(other, value)
    return {name: list(group.values()) for name, group in found.items() if group}


def _values(question: Question) -> list[tuple[str, str]]:
    if isinstance(question, BooleanQuestion):
        return [("yes", "yes"), ("no", "no")]
    if isinstance(question, ChoiceQuestion):
        return [(option, option) for option in question.options]
    if isinstance(question, NumberQuestion) and not question.decimals and question.max - question.min < MOST_NUMBERS:
        numbers = range(int(question.min), int(question.max) + 1)
        return [(str(number), f"{number} {question.unit or ''}".strip()) for number in numbers]
    return []
