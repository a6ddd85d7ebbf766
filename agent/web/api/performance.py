"""How fast looks were over the last hour or day, what waited, what was dropped, and what it all took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agent.figures import STAGES, Stage, Summary, View, WindowName
from agent.figures.steps import MAX, MEAN, P50, P95
from agent.values import Timestamp
from agent.web.problems import Problem, described
from agent.web.services import Given, Services

router = APIRouter(tags=["performance"])

Counts = list[int | None]
"""A number a step; null where camscribe did not run."""
Times = list[float | None]
"""Milliseconds a step; null where no look came to a caption."""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StageSteps(_Shape):
    """One stage of the looks, milliseconds a step; null where no look came to a caption."""

    mean: Times
    p50: Times
    p95: Times
    longest: Times


class SummaryShape(_Shape):
    """The whole window. Times are milliseconds, of looks that came to a caption; null where there are none."""

    looks: int
    failed: int
    """Those of them that came to nothing."""
    p50: float | None
    p95: float | None
    longest: float | None
    means: Mapping[Stage, float]
    """Of each stage; they add up to the mean look."""
    slowest: Stage | None
    """The stage that takes the longest."""

    @classmethod
    def facts(cls, summary: Summary) -> dict[str, Any]:
        return {
            "looks": summary.looks,
            "failed": summary.failed,
            "p50": _rounded(summary.p50),
            "p95": _rounded(summary.p95),
            "longest": _rounded(summary.longest),
            "means": {stage: round(ms, 1) for stage, ms in summary.means.items()},
            "slowest": summary.slowest,
        }


class CameraSummary(SummaryShape):
    """One camera over the window."""

    camera: str
    """Its id; one that looked and is no more in the config is here as well."""
    name: str


class MemorySteps(_Shape):
    """Resident bytes a step, the most of each; null where nothing was measured."""

    camscribe: Counts
    engines: Mapping[str, Counts]
    """Of the processes of each captioner's engine, by the captioner's name."""


class Drops(_Shape):
    """What was dropped for one reason."""

    what: Literal["frames", "observations", "pictures"]
    """Frames never captioned; observations that never got to an output or the journal; pictures the journal lost."""
    reason: str
    count: int
    """In the window."""
    steps: Counts


class EngineShape(_Shape):
    """A captioner that runs, at most ten seconds ago."""

    name: str
    state: str
    """``ready``, ``starting``, ``failed: …``."""
    model: str
    memory: int | None
    """Resident bytes of its engine's processes; null where it has none here."""
    restarts: int
    """Since the start."""


class OutputShape(_Shape):
    """An output that runs, at most ten seconds ago."""

    name: str
    waiting: int
    """Observations it has not confirmed: its lag."""
    problem: str | None


class PerformanceShape(_Shape):
    """The steps are oldest first; the last is still going on. Kept in memory: a start begins with nothing."""

    model_config = ConfigDict(title="Performance")

    window: WindowName
    camera: str | None
    """Whose looks ``looks``, ``failed``, ``latency_ms`` and ``whole`` are of; null: of all cameras."""
    start: Timestamp
    """When the first step begins."""
    step_s: int
    """Seconds a step."""
    since: Timestamp
    """When camscribe was started: before, it knows nothing."""
    now: Timestamp
    running: list[bool]
    """Whether camscribe ran in a step; false as well where the machine slept."""
    looks: Counts
    failed: Counts
    latency_ms: Mapping[Stage, StageSteps]
    queued: Counts
    """The most frames that waited for a captioner; null where nobody looked."""
    memory: MemorySteps
    waiting: Mapping[str, Counts]
    """The most observations that each output had not confirmed."""
    dropped: list[Drops]
    whole: SummaryShape
    cameras: list[CameraSummary]
    engines: list[EngineShape]
    outputs: list[OutputShape]


@router.get("/api/v1/performance", responses=described(404))
async def performance(
    services: Given,
    window: Annotated[
        WindowName, Query(description="The last hour in steps of 10 s, or the last day by the minute")
    ] = "hour",
    camera: Annotated[str | None, Query(description="The looks of this camera alone", max_length=100)] = None,
) -> PerformanceShape:
    """How fast looks were, stage by stage and over time, and what waited, was dropped and was used meanwhile."""
    view = services.figures.read(window, known_camera(services, camera))
    return PerformanceShape(
        window=view.window,
        camera=view.camera,
        start=view.start,
        step_s=round(view.step.total_seconds()),
        since=view.since,
        now=view.now,
        running=view.running.tolist(),
        looks=_counts(view.counts[:, 0], view.running),
        failed=_counts(view.counts[:, 1], view.running),
        latency_ms=_stages(view),
        queued=_counts(view.queued),
        memory=MemorySteps(
            camscribe=_counts(view.memory), engines={name: _counts(series) for name, series in view.engines.items()}
        ),
        waiting={name: _counts(series) for name, series in view.outputs.items()},
        dropped=_drops(view),
        whole=SummaryShape.model_validate(SummaryShape.facts(view.whole)),
        cameras=cameras(services, view),
        engines=engines(services),
        outputs=outputs(services),
    )


def known_camera(services: Services, camera: str | None) -> str | None:
    """Raises Problem where nobody knows it."""
    if camera and camera not in services.house.cameras and camera not in services.figures.cameras:
        raise Problem(404, f"There is no camera '{camera}', and none of that name has looked since the start.")
    return camera or None


def cameras(services: Services, view: View) -> list[CameraSummary]:
    """Those of the config in its order, and those that are no more."""
    there = services.house.cameras
    nothing = Summary(0, 0, None, None, None, {})
    return [
        CameraSummary.model_validate(
            {
                "camera": id_,
                "name": there[id_].settings.name if id_ in there else id_,
                **SummaryShape.facts(view.cameras.get(id_, nothing)),
            }
        )
        for id_ in dict.fromkeys((*there, *view.cameras))
    ]


def engines(services: Services) -> list[EngineShape]:
    latest = services.figures.latest
    return [
        EngineShape(
            name=name,
            state=engine.state,
            model=engine.model,
            memory=engine.memory,
            restarts=services.counters.value("engine_restarts_total", captioner=name),
        )
        for name, engine in (latest.engines if latest else {}).items()
    ]


def outputs(services: Services) -> list[OutputShape]:
    latest = services.figures.latest
    return [
        OutputShape(name=name, waiting=outlet.waiting, problem=outlet.problem)
        for name, outlet in (latest.outputs if latest else {}).items()
    ]


def _stages(view: View) -> dict[Stage, StageSteps]:
    rounded = np.round(view.spread.astype(np.float64), 1)
    found = rounded.astype(object)
    found[np.isnan(rounded)] = None
    return {
        stage: StageSteps.model_construct(
            mean=found[:, at, MEAN].tolist(),
            p50=found[:, at, P50].tolist(),
            p95=found[:, at, P95].tolist(),
            longest=found[:, at, MAX].tolist(),
        )
        for at, stage in enumerate(STAGES)
    }


def _drops(view: View) -> list[Drops]:
    return [
        Drops.model_validate(
            {
                "what": what,
                "reason": reason,
                "count": int(np.nansum(series)),
                "steps": _counts(np.nan_to_num(series), view.running),
            }
        )
        for (what, reason), series in sorted(view.drops.items())
    ]


def _counts(series: NDArray[Any], there: NDArray[np.bool_] | None = None) -> Counts:
    there = ~np.isnan(series) if there is None else there
    whole = np.nan_to_num(series).astype(np.int64).astype(object)
    whole[~there] = None
    counts: Counts = whole.tolist()
    return counts


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
