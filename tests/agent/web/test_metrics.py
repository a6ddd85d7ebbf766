"""What Prometheus gets: everything that is counted, in a form that its own parser takes."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from agent.figures import STAGES, Engine, Figures, Outlet
from agent.status import Counters
from agent.web.counted import COUNTERS
from agent.web.exposition import media_type, write
from agent.web.metrics import BOUNDS, MOST_CAMERAS, OTHERS, CamscribeCollector
from tests.fakes.clock import FakeClock
from tests.fakes.figured import failure, look, sample
from tests.fakes.website import website

ROOT = Path(__file__).parents[3]
NONE = "\N{EN DASH}"
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
"""What a Prometheus server accepts."""


class Rig:
    """The collector on a home that is only told."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.figures = Figures(FakeClock(), self.counters)
        state = SimpleNamespace(version="1.2", cameras={}, captions_per_minute=7.0, paused=False, queued=3)
        self.state = state
        services = SimpleNamespace(
            counters=self.counters,
            figures=self.figures,
            house=SimpleNamespace(state=state),
            journal=SimpleNamespace(bytes=12_345),
        )
        self.registry = CollectorRegistry()
        self.registry.register(CamscribeCollector(services))

    def text(self, accept: str = "") -> str:
        return write(self.registry.collect(), media_type(accept)).decode()

    def value(self, name: str, **labels: str) -> float | None:
        found = [one for family in read_text(self.text()) for one in family.samples if one.name == name]
        return next((one.value for one in found if labels.items() <= one.labels.items()), None)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def lived_in(rig: Rig, cameras: int) -> None:
    for number in range(cameras):
        camera = f"camera_{number}"
        for ms in (3, 40, 700, 90_000):
            rig.figures.looked(look(camera, capture=4, image=ms))
        for name, counted in COUNTERS.items():
            for reason in ("one", "two", "three") if {"reason", "kind"} & set(counted.labels) else ("one",):
                rig.counters.add(name, **dict.fromkeys(counted.labels, reason) | {"camera": camera})
    engines = {"default": Engine("ready", "m", (1,), 10**9), "spare": Engine("failed: no file", "m", (), None)}
    rig.figures._take(sample(2, 80_000_000, engines, {"mqtt": Outlet(4, None), "alerts": Outlet(9, "gone")}))


def facts(families: Iterable[Metric]) -> dict[str, object]:
    return {
        family.name: (
            family.type,
            family.documentation,
            sorted((one.name, sorted(one.labels.items()), one.value) for one in family.samples),
        )
        for family in families
    }


def test_both_forms_say_what_the_clients_own_writer_says(rig: Rig):
    lived_in(rig, 2)
    assert facts(read_text(rig.text())) == facts(read_text(generate_latest(rig.registry).decode()))
    ours = rig.text("application/openmetrics-text")
    assert facts(read_openmetrics(ours)) == facts(read_openmetrics(generate_openmetrics(rig.registry).decode()))
    assert ours.endswith("# EOF\n")


def test_values_with_quotes_and_line_breaks_stay_values(rig: Rig):
    hostile = 'a"b\\c\nd} 1\n# TYPE x counter\ud800'
    rig.counters.add("bugs_total", part=hostile)
    for read, accept in ((read_text, ""), (read_openmetrics, "application/openmetrics-text")):
        families = {family.name: family for family in read(rig.text(accept))}
        (bug,) = families["camscribe_bugs"].samples
        assert bug.labels == {"part": hostile.replace("\ud800", "?")}
        assert "x" not in families


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain"),
        (PROMETHEUS, "application/openmetrics-text"),
        ("application/openmetrics-text; version=0.0.1", "application/openmetrics-text"),
        ("application/openmetrics-text;q=0,text/plain", "text/plain"),
        ("application/openmetrics-text;version=9.0.0,text/plain", "text/plain"),
        (";;=,;q=", "text/plain"),
    ],
)
def test_openmetrics_is_for_those_who_take_it(accept: str, kind: str):
    assert media_type(accept).split(";")[0] == kind


def test_times_are_in_cumulated_buckets_by_stage_and_camera(rig: Rig):
    for ms in (5, 6, 700, 90_000):
        rig.figures.looked(look("door", image=ms))
    rig.figures.looked(failure("door"))
    rig.figures.looked(look("yard", image=1))

    def at(bound: str) -> float | None:
        return rig.value("camscribe_look_seconds_bucket", camera="door", stage="image", le=bound)

    reached = {bound: at(bound) for bound in BOUNDS}
    assert [reached[bound] for bound in ("0.005", "0.01", "0.5", "1.0", "60.0", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert rig.value("camscribe_look_seconds_sum", camera="door", stage="total") == pytest.approx(90.711)
    assert rig.value("camscribe_look_seconds_count", camera="door", stage="total") == 4
    assert rig.value("camscribe_look_seconds_count", camera="yard", stage="queue") == 1
    assert (float(BOUNDS[0]), float(BOUNDS[-2])) == (0.005, 60)


def test_what_is_sampled_is_told_once_there_is_a_sample(rig: Rig):
    assert rig.value("camscribe_memory_bytes") is None
    lived_in(rig, 1)
    assert rig.value("camscribe_memory_bytes") == 80_000_000
    assert rig.value("camscribe_engine_memory_bytes", captioner="default") == 10**9
    assert rig.value("camscribe_engine_memory_bytes", captioner="spare") is None
    assert rig.value("camscribe_engine_state", captioner="spare", state="failed") == 1
    assert rig.value("camscribe_engine_state", captioner="spare", state="ready") == 0
    assert rig.value("camscribe_output_waiting", output="alerts") == 9
    assert rig.value("camscribe_output_up", output="alerts") == 0
    assert rig.value("camscribe_output_up", output="mqtt") == 1
    assert rig.value("camscribe_journal_bytes") == 12_345
    assert rig.value("camscribe_queue_frames") == 3
    assert rig.value("camscribe_build_info", version="1.2") == 1


def test_what_never_happened_is_a_zero_where_it_has_no_labels(rig: Rig):
    assert rig.value("camscribe_journal_errors_total") == 0


def test_more_cameras_than_have_labels_count_together(rig: Rig):
    for number in range(MOST_CAMERAS + 5):
        rig.counters.add("frames_total", camera=f"camera_{number:03}")
        rig.figures.looked(look(f"camera_{number:03}", image=1))
    for _ in range(2):
        assert rig.value("camscribe_frames_total", camera=OTHERS) == 5
        assert rig.value("camscribe_frames_total", camera="camera_001") == 1
        samples = [one for family in read_text(rig.text()) for one in family.samples]
        assert len({one.labels.get("camera") for one in samples} - {None}) == MOST_CAMERAS + 1
        assert len({(one.name, *sorted(one.labels.items())) for one in samples}) == len(samples)


def test_thirty_cameras_are_told_quickly(rig: Rig):
    """It takes 6 ms alone on a machine, where the client's own writer takes 45."""
    lived_in(rig, 30)

    def cost() -> float:
        began = time.thread_time()
        assert len(rig.text(PROMETHEUS)) > 100_000
        return time.thread_time() - began

    cost()
    assert min(cost() for _ in range(10)) < 0.020


def test_every_counter_of_the_code_is_told_about():
    """With every label that it is given somewhere."""
    used = set()
    for path in (*ROOT.glob("agent/**/*.py"), *ROOT.glob("plugins/**/*.py")):
        if path.name == "counted.py":
            continue
        text = path.read_text()
        used |= set(re.findall(r'"([a-z_]+_total)"', text))
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            named = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
            if named in COUNTERS and isinstance(call.func, ast.Attribute) and call.func.attr == "add":
                labels = {keyword.arg for keyword in call.keywords} - {"amount"}
                assert labels <= set(COUNTERS[named].labels), f"{named} in {path}"
    assert used == COUNTERS.keys()


def test_the_documentation_lists_every_metric(rig: Rig):
    lived_in(rig, 1)
    told = (ROOT / "docs" / "metrics.md").read_text()
    for family in rig.registry.collect():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {label for one in family.samples for label in one.labels} - {"le"}
        if family.type == "counter":
            labels = set(COUNTERS[name.removeprefix("camscribe_")].labels)
        row = f"| `{name}` | {family.type} | {', '.join(sorted(labels)) or NONE} | {family.documentation} |"
        assert row in told
    listed = re.findall(r"^\| `(camscribe_\w+)`", told, re.MULTILINE)
    assert len(listed) == len(set(listed)) == len(list(rig.registry.collect()))
    assert all(f"`{stage}`" in told for stage in STAGES)


async def test_a_running_camscribe_is_scraped(tmp_path):
    async with website(tmp_path) as site:
        site.figures.looked(look("door", image=300))
        site.desk.counters.add("captions_total", camera="door", captioner="default")
        for accept, kind, read in (
            (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8", read_openmetrics),
            ("*/*", "text/plain; version=1.0.0; charset=utf-8", read_text),
        ):
            answer = await site.client.get("/metrics", headers={"Accept": accept})
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            assert answer.headers["vary"] == "Accept"
            families = {family.name: family for family in read(answer.text)}
            (captions,) = families["camscribe_captions"].samples
            assert (captions.labels, captions.value) == ({"camera": "door", "captioner": "default"}, 1)
            assert {one.labels["camera"]: one.value for one in families["camscribe_camera_up"].samples} == {
                "door": 1,
                "yard": 1,
            }
            assert families["camscribe_cameras"].samples[0].value == 2
