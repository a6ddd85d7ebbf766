"""What a run has measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.captioning.plan import PLAN

BUSY_CORES = 0.25
"""As much of a core may somebody else use on a quiet machine."""
BIG, TINY = "SmolVLM-500M's size", "the tiny model"
"""Which model a number is of."""


@dataclass(slots=True)
class Times:
    """A rival's milliseconds, by the number of the frame."""

    title: str
    picture: str
    ms: dict[int, float] = field(default_factory=dict)
    bare_ms: dict[int, float] = field(default_factory=dict)
    tokens: list[int] = field(default_factory=list)
    engine: str = ""
    megabytes: float | None = None
    image_ms: list[float] = field(default_factory=list)
    generate_ms: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return median(self.ms.values())

    def against(self, other: Times) -> list[float]:
        """How many times as long the other took, frame by frame."""
        return [other.ms[number] / ms for number, ms in self.ms.items() if number in other.ms]

    @property
    def overheads(self) -> list[float]:
        """What camscribe adds, as a share, frame by frame."""
        return [ms / self.bare_ms[number] - 1 for number, ms in self.ms.items() if number in self.bare_ms]


@dataclass(slots=True)
class Questions:
    """Looks with one question beside the caption and looks with five, in turns."""

    tokens: int = 0
    """An answer's at most."""
    one_ms: list[float] = field(default_factory=list)
    five_ms: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return median(five / one for one, five in zip(self.one_ms, self.five_ms, strict=True))


@dataclass(slots=True)
class Accuracy:
    """Exact captions of the tiny model's strict twin on one engine, in percent."""

    engine: str
    scenes: int
    slow: float
    """Without a budget, the picture as it is."""
    fast: float
    """As camscribe's presets do it."""


@dataclass(slots=True)
class Results:
    """Everything. ``others_cores``: what everybody else on the machine used, by the part of the run."""

    rivals: dict[str, Times] = field(default_factory=dict)
    questions: dict[str, Questions] = field(default_factory=dict)
    long_questions: dict[str, Questions] = field(default_factory=dict)
    """The same with answers of a sentence each."""
    tiny_overhead_ms: float | None = None
    tiny_looks: int = 0
    tiny_p50_ms: float | None = None
    accuracy: list[Accuracy] = field(default_factory=list)
    others_cores: dict[str, float] = field(default_factory=dict)

    def disturbed(self, part: str) -> str | None:
        """Why a number of that part that is too high proves nothing."""
        cores = self.others_cores.get(part, 0.0)
        return f"something else on the machine used {cores:.1f} cores" if cores > BUSY_CORES else None

    def faster(self, name: str) -> float | None:
        """How many times as fast as the plan's command line: the median over the frames."""
        if name not in self.rivals or PLAN not in self.rivals:
            return None
        return median(self.rivals[name].against(self.rivals[PLAN]))

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = _rounded(asdict(self))
        for name, rival in told["rivals"].items():
            times = self.rivals[name]
            rival["p50_ms"] = _rounded(times.p50)
            if name != PLAN:
                rival["times_as_fast_as_the_plan"] = _rounded(self.faster(name))
            if times.overheads:
                rival["overhead_share"] = _rounded(median(times.overheads))
        for kind in ("questions", "long_questions"):
            for name, questions in told[kind].items():
                questions["ratio"] = _rounded(getattr(self, kind)[name].ratio)
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Results:
        """What ``as_json`` wrote."""
        rivals = {name: _of(Times, rival) for name, rival in told["rivals"].items()}
        for rival in rivals.values():
            rival.ms = {int(number): ms for number, ms in rival.ms.items()}
            rival.bare_ms = {int(number): ms for number, ms in rival.bare_ms.items()}
        questions, long_questions = (
            {name: _of(Questions, one) for name, one in told[kind].items()} for kind in ("questions", "long_questions")
        )
        accuracy = [_of(Accuracy, one) for one in told["accuracy"]]
        rest = {key: told[key] for key in ("tiny_overhead_ms", "tiny_looks", "tiny_p50_ms", "others_cores")}
        return cls(rivals, questions, long_questions, accuracy=accuracy, **rest)


def _of(kind: Any, told: Mapping[str, Any]) -> Any:
    return kind(**{key: value for key, value in told.items() if key in kind.__dataclass_fields__})


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value
