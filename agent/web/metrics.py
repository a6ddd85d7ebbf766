"""/metrics for Prometheus: what is counted anyway, how long looks take, how everything is. docs/metrics.md lists it."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from itertools import accumulate

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from agent.figures.histogram import BUCKETS
from agent.web.counted import COUNTERS, Counted
from agent.web.exposition import media_type, write
from agent.web.services import Services

PREFIX = "camscribe_"
MOST_CAMERAS = 100
"""Cameras with a label of their own, in one run. Those beyond are counted together, as"""
OTHERS = "others"
"""and have no times."""
STATES = ("ready", "starting", "stopping", "stopped", "failed")
"""Of an engine; whatever else a plugin says is"""
UNKNOWN = "unknown"
BOUNDS = (*(str(bucket) for bucket in BUCKETS), "+Inf")


def make_metrics(services: Services) -> APIRouter:
    router = APIRouter()
    registry = CollectorRegistry()
    registry.register(CamscribeCollector(services))

    @router.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        kind = media_type(request.headers.get("accept", ""))
        return Response(write(registry.collect(), kind), headers={"Content-Type": kind, "Vary": "Accept"})

    return router


class CamscribeCollector(Collector):
    """Everything, as it is when somebody asks. What takes a while to find out is at most ten seconds old."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._labels: set[str] = set()

    def describe(self) -> Iterator[Metric]:
        """Nothing: else the registry would collect it all to see whether a name is there twice."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        facts = {"version": self._services.house.state.version, "python": platform.python_version()}
        build = InfoMetricFamily(f"{PREFIX}build", "The version that runs.")
        build.add_metric((), facts)
        yield build
        yield from self._counters()
        yield from self._home()
        yield from self._engines()
        yield from self._outputs()
        yield self._looks()

    def _counters(self) -> Iterator[Metric]:
        about = dict(COUNTERS)
        found: dict[str, dict[tuple[str, ...], int]] = {
            name: {} if counted.labels else {(): 0} for name, counted in COUNTERS.items()
        }
        for name, labels, count in self._services.counters:
            keys = about.setdefault(name, Counted("Counted by camscribe.", tuple(labels))).labels
            values = tuple(
                self._camera(labels[key]) if key == "camera" and key in labels else labels.get(key, "") for key in keys
            )
            counts = found.setdefault(name, {})
            counts[values] = counts.get(values, 0) + count
        for name, counts in found.items():
            family = CounterMetricFamily(PREFIX + name, about[name].about, labels=about[name].labels)
            for values, count in counts.items():
                family.add_metric(values, count)
            yield family

    def _home(self) -> Iterator[Metric]:
        state = self._services.house.state
        up = {id_: int(camera.online) for id_, camera in state.cameras.items() if self._camera(id_) != OTHERS}
        yield _gauge("cameras", "Cameras of the config.", len(state.cameras))
        yield _gauges("camera_up", "1 where a camera gives pictures and its last caption is fresh.", "camera", up)
        yield _gauge("cameras_up", "How many of them do.", sum(camera.online for camera in state.cameras.values()))
        yield _gauge("captions_per_minute", "Captions in the last minute.", state.captions_per_minute)
        yield _gauge("paused", "1 while all cameras are paused.", int(state.paused))
        yield _gauge("queue_frames", "Frames that wait for a captioner.", state.queued)
        yield _gauge("journal_bytes", "What the journal takes on the disk.", self._services.journal.bytes)

    def _engines(self) -> Iterator[Metric]:
        latest = self._services.figures.latest
        engines = latest.engines if latest else {}
        memory = {name: engine.memory for name, engine in engines.items() if engine.memory is not None}
        own = GaugeMetricFamily(f"{PREFIX}memory_bytes", "Memory that camscribe's own process holds.")
        if latest:
            own.add_metric((), latest.memory)
        yield own
        yield _gauges("engine_memory_bytes", "Memory that an engine's processes hold.", "captioner", memory)
        states = GaugeMetricFamily(
            f"{PREFIX}engine_state", "1 for the state that an engine is in.", labels=("captioner", "state")
        )
        for name, engine in engines.items():
            said = engine.state.split(":")[0].split(" ")[0]
            now = said if said in STATES else UNKNOWN
            for state in (*STATES, UNKNOWN):
                states.add_metric((name, state), int(state == now))
        yield states

    def _outputs(self) -> Iterator[Metric]:
        latest = self._services.figures.latest
        outputs = latest.outputs if latest else {}
        up = {name: int(outlet.problem is None) for name, outlet in outputs.items()}
        waiting = {name: outlet.waiting for name, outlet in outputs.items()}
        yield _gauges("output_up", "1 where nothing is wrong with an output.", "output", up)
        yield _gauges("output_waiting", "Observations an output has not confirmed: its lag.", "output", waiting)

    def _looks(self) -> Metric:
        about = "How long each stage of a look took, and the whole (total). Looks that failed are not in it."
        family = HistogramMetricFamily(f"{PREFIX}look_seconds", about, labels=("camera", "stage"))
        bucket, count_, sum_ = (family.name + suffix for suffix in ("_bucket", "_count", "_sum"))
        add = family.samples.append  # the family's own way takes twice as long
        for camera, histogram in self._services.figures.histograms:
            if self._camera(camera) == OTHERS:
                continue
            for stage, counts, seconds in histogram:
                reached = list(accumulate(counts))
                for bound, count in zip(BOUNDS, reached, strict=True):
                    add(Sample(bucket, {"camera": camera, "le": bound, "stage": stage}, count))
                labels = {"camera": camera, "stage": stage}
                add(Sample(count_, labels, reached[-1]))
                add(Sample(sum_, labels, seconds))
        return family

    def _camera(self, id_: str) -> str:
        """Its label: cameras come and go with the config, and Prometheus keeps each label for weeks."""
        if id_ not in self._labels and len(self._labels) >= MOST_CAMERAS:
            return OTHERS
        self._labels.add(id_)
        return id_


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, about, value=value)


def _gauges(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, about, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family
