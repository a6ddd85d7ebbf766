"""The figures of the last hour and day. Fed with every look, and with a sample every ten seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from agent.clock import Clock
from agent.figures.gauges import Gauges
from agent.figures.histogram import Histogram
from agent.figures.sample import Engine, Sample
from agent.figures.steps import Steps, Summary, times_of
from agent.figures.timeline import Timeline
from agent.figures.view import Series, View, WindowName
from agent.status import Counters
from agent.values import Observation

PACE = 10.0
"""Seconds between two samples."""
MOST_CAMERAS = 100
"""Known at once; of more, the one that looked the longest ago is forgotten."""
DROPS = {
    "frames": "frames_dropped_total",
    "observations": "dropped_total",
    "pictures": "pictures_dropped_total",
}
POINTS, POINTS_OF_ALL = 8, 64
"""Looks that a step keeps for the percentiles of its window."""


@dataclass(frozen=True, slots=True)
class _Span:
    seconds: int
    count: int


SPANS: Mapping[WindowName, _Span] = {"hour": _Span(10, 360), "day": _Span(60, 1440)}


class _Looks:
    """Of one camera, or of all."""

    def __init__(self, points: int) -> None:
        self.steps = {name: Steps(span.count, points) for name, span in SPANS.items()}
        self.histogram = Histogram()
        self.latest = 0.0
        """When it looked, on the timeline."""

    @property
    def nbytes(self) -> int:
        return sum(steps.nbytes for steps in self.steps.values())


class Figures:
    """In memory alone: after a start it begins with nothing."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters
        self._timeline = Timeline(clock.now())
        self._since = self._timeline.at(clock.now())
        self._all = _Looks(POINTS_OF_ALL)
        self._cameras: dict[str, _Looks] = {}
        self._gauges = {name: Gauges(span.count) for name, span in SPANS.items()}
        self._dropped: dict[tuple[str, str], int] = {}
        self._processes: dict[str, frozenset[int]] = {}
        self.latest: Sample | None = None

    @property
    def nbytes(self) -> int:
        """What the numbers of closed steps take."""
        looks = (self._all, *self._cameras.values())
        return sum(each.nbytes for each in looks) + sum(gauges.nbytes for gauges in self._gauges.values())

    @property
    def cameras(self) -> Collection[str]:
        """Those that have looked, and were not forgotten."""
        return self._cameras.keys()

    @property
    def histograms(self) -> Iterator[tuple[str, Histogram]]:
        """Of each camera, since it first looked."""
        return ((camera, looks.histogram) for camera, looks in self._cameras.items())

    def looked(self, observation: Observation) -> None:
        """A look has ended, in a caption or not."""
        at = self._timeline.at(self._clock.now())
        times = None if observation.error is not None else times_of(observation.latency_ms)
        camera = self._camera(observation.camera)
        camera.latest = at
        if times is not None:
            camera.histogram.add(times)
        for name, span in SPANS.items():
            step = int(at // span.seconds)
            for looks in (camera, self._all):
                looks.steps[name].add(step, times)
            self._gauges[name].mark(step)

    async def watch(self, sample: Callable[[], Awaitable[Sample]]) -> None:
        """Take samples, forever."""
        while True:
            self._take(await sample())
            await self._clock.sleep(PACE)

    def read(self, window: WindowName, camera: str | None = None) -> View:
        """``camera``: the steps are of its looks alone."""
        now = self._clock.now()
        span, at = SPANS[window], self._timeline.at(now)
        step = int(at // span.seconds)
        running, series = self._gauges[window].read(step)
        running[-1] = True  # now, whether or not there has been a sample yet
        found = {key: values for key, values in series if isinstance(key, tuple)}
        nothing = np.full(span.count, np.nan, np.float32)
        looks = self._all if camera is None else self._cameras.get(camera)
        steps = looks.steps[window] if looks else Steps(span.count, 1)
        counts, spread = steps.read(step)
        return View(
            window=window,
            camera=camera,
            step=timedelta(seconds=span.seconds),
            first=step + 1 - span.count,
            start=self._timeline.wall((step + 1 - span.count) * span.seconds),
            since=self._timeline.wall(self._since),
            now=now.wall,
            running=running,
            counts=counts,
            spread=spread,
            queued=found.get(("queued",), nothing),
            memory=found.get(("memory",), nothing),
            engines=_named("engine", found),
            outputs=_named("output", found),
            drops={(key[1], key[2]): values for key, values in found.items() if key[0] == "dropped"},
            whole=steps.summary(step),
            cameras=self._summaries(window, step),
        )

    def _summaries(self, window: WindowName, step: int) -> dict[str, Summary]:
        summaries = {camera: looks.steps[window].summary(step) for camera, looks in sorted(self._cameras.items())}
        return {camera: summary for camera, summary in summaries.items() if summary.looks}

    def _camera(self, id_: str) -> _Looks:
        found = self._cameras.get(id_)
        if found is None:
            if len(self._cameras) >= MOST_CAMERAS:
                del self._cameras[min(self._cameras, key=lambda each: self._cameras[each].latest)]
            found = self._cameras[id_] = _Looks(POINTS)
        return found

    def _take(self, sample: Sample) -> None:
        self.latest = sample
        at = self._timeline.at(self._clock.now())
        dropped = self._drops()
        for name, gauges in self._gauges.items():
            step = int(at // SPANS[name].seconds)
            gauges.mark(step)
            gauges.highest(step, ("queued",), sample.queued)
            gauges.highest(step, ("memory",), sample.memory)
            for engine, is_ in sample.engines.items():
                if is_.memory is not None:
                    gauges.highest(step, ("engine", engine), is_.memory)
            for output, outlet in sample.outputs.items():
                gauges.highest(step, ("output", output), outlet.waiting)
            for key, count in dropped.items():
                gauges.add(step, ("dropped", *key), count)
        self._count_restarts(sample.engines)

    def _drops(self) -> dict[tuple[str, str], int]:
        """Those since the last sample."""
        now: dict[tuple[str, str], int] = {}
        names = {name: what for what, name in DROPS.items()}
        for name, labels, count in self._counters:
            if name in names:
                key = (names[name], labels.get("reason", ""))
                now[key] = now.get(key, 0) + count
        new = {key: count - self._dropped.get(key, 0) for key, count in now.items()}
        self._dropped = now
        return {key: count for key, count in new.items() if count}

    def _count_restarts(self, engines: Mapping[str, Engine]) -> None:
        """One whose process is another than before; one that slept was not started again, but woken."""
        for name in self._processes.keys() - engines.keys():
            del self._processes[name]
        for name, engine in engines.items():
            processes = frozenset(engine.processes)
            if "asleep" in engine.state:
                self._processes.pop(name, None)
            elif processes:
                before = self._processes.get(name)
                if before and not before & processes:
                    self._counters.add("engine_restarts_total", captioner=name)
                self._processes[name] = processes


def _named(kind: str, found: Mapping[tuple[str, ...], Series]) -> dict[str, Series]:
    return {key[1]: values for key, values in sorted(found.items()) if key[0] == kind}
