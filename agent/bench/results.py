"""What a run has found out, and its JSON form: schema 1."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.bench.machine import Machine
from agent.errors import Misconfigured
from agent.values import Geometry, Latency, Timestamp

PARTS = ("capture", "queue", "encode", "image", "generate", "other")
RANDOM = "random-weights"
"""What the name of a model has in it whose captions mean nothing: benchmarks/captioning/random_weights.py."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Look(_Record):
    """One request: through camscribe, or straight to the engine."""

    number: int
    """Which look it was; the same one both ways has the same picture."""
    way: Literal["agent", "bare"]
    ms: float
    """From asking to the answer."""
    caption: str | None = None
    failure: str | None = None
    """Its kind, where there is no caption."""
    message: str | None = None
    tokens: int = 0
    latency_ms: Latency | None = None


class Engine(_Record):
    """Who answered, as far as it tells."""

    about: str
    build: str | None = None
    threads: int | None = None


class Memory(_Record):
    """The most that was resident, in bytes."""

    engine: int | None = None
    """None where the captioner has no process of its own."""
    agent: int


class Row(_Record):
    """One captioner."""

    name: str
    plugin: str
    model: str
    engine: Engine
    geometry: Geometry | None = None
    size: int | None = None
    started_s: float | None = None
    """Until it was ready for its first picture."""
    problem: str | None = None
    """Why it was not measured."""
    looks: tuple[Look, ...] = ()
    memory: Memory | None = None

    @property
    def agent(self) -> list[Look]:
        """The good looks through camscribe."""
        return [look for look in self.looks if look.way == "agent" and look.failure is None]

    @property
    def bare(self) -> list[Look]:
        return [look for look in self.looks if look.way == "bare" and look.failure is None]

    @property
    def failures(self) -> Mapping[str, int]:
        """By kind, the commonest first."""
        return dict(Counter(look.failure for look in self.looks if look.failure is not None).most_common())

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Milliseconds of the same look both ways: camscribe, bare."""
        bare = {look.number: look.ms for look in self.bare}
        return [(look.ms, bare[look.number]) for look in self.agent if look.number in bare]

    @property
    def overhead_ms(self) -> float | None:
        """What camscribe adds to the engine's own time: the median over the pictures."""
        return median(ours - bare for ours, bare in self.pairs) if self.pairs else None

    @property
    def overhead(self) -> float | None:
        """The same, as a share of the engine's own time."""
        return median(ours / bare - 1 for ours, bare in self.pairs) if self.pairs else None

    @property
    def tokens_per_second(self) -> float | None:
        """How fast words are generated."""
        seconds = sum(look.latency_ms.generate for look in self.agent if look.latency_ms) / 1000
        return sum(look.tokens for look in self.agent) / seconds if seconds else None

    @property
    def breakdown(self) -> Mapping[str, float]:
        """Milliseconds of each part: means, so that they add up."""
        known = [look.latency_ms for look in self.agent if look.latency_ms]
        return {part: fmean(getattr(one, part) for one in known) for part in PARTS} if known else {}

    @property
    def random_weights(self) -> bool:
        return RANDOM in self.model


class Run(_Record):
    """A whole run."""

    schema_version: Literal[1] = 1
    tool: Literal["camscribe bench"] = "camscribe bench"
    at: Timestamp
    command: str
    machine: Machine
    pictures: str
    count: int
    prompt: str
    max_tokens: int
    captioners: tuple[Row, ...]

    @property
    def random_weights(self) -> bool:
        return any(row.random_weights for row in self.captioners)

    def as_json(self) -> str:
        """With what is computed of it, for those who read no Python."""
        told = self.model_dump(mode="json")
        told["random_weights"] = self.random_weights
        for row, shown in zip(self.captioners, told["captioners"], strict=True):
            shown["summary"] = summary(row)
        return _dumps(told)


def summary(row: Row) -> dict[str, object]:
    """A captioner's figures."""
    return {
        "agent_p50_ms": p50(row.agent),
        "agent_p95_ms": p95(row.agent),
        "bare_p50_ms": p50(row.bare),
        "bare_p95_ms": p95(row.bare),
        "overhead_p50_ms": row.overhead_ms,
        "overhead_share": row.overhead,
        "tokens_p50": median(look.tokens for look in row.agent) if row.agent else None,
        "tokens_per_second": row.tokens_per_second,
        "breakdown_mean_ms": row.breakdown,
        "failures": row.failures,
        "random_weights": row.random_weights,
    }


def p50(looks: Sequence[Look]) -> float | None:
    return median(look.ms for look in looks) if looks else None


def p95(looks: Sequence[Look]) -> float | None:
    return quantile(looks, 0.95) if looks else None


def quantile(looks: Sequence[Look], share: float) -> float:
    """Milliseconds within which that share of the looks was done; between the two nearest where it falls there."""
    ordered = sorted(look.ms for look in looks)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def read(path: Path) -> Run:
    """Raises Misconfigured."""
    try:
        return Run.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}.") from None
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(step) for step in wrong["loc"])
        raise Misconfigured(
            f"{path} is no report of camscribe bench that this version can read ({where or 'as a whole'}: "
            f"{wrong['msg']}). Write one with: camscribe bench --json {path.name}"
        ) from None


def rounded(value: object) -> object:
    """Three decimals are plenty of a millisecond."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def _dumps(value: object) -> str:
    return json.dumps(rounded(value), indent=1, ensure_ascii=False) + "\n"
