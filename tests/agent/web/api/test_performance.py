"""The figures as JSON, over real HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI

from agent.figures import STAGES
from agent.web.api.performance import PerformanceShape, router
from tests.fakes.figured import failure, lived_in, look, sample
from tests.fakes.website import website


@pytest.mark.parametrize(("window", "step", "count"), [("hour", 10, 360), ("day", 60, 1440)])
async def test_a_window_is_told_in_steps(tmp_path, window: str, step: int, count: int):
    cameras = ("front_door", "yard")
    async with website(tmp_path, cameras, figures=lived_in(cameras)) as site:
        answer = await site.client.get("/api/v1/performance", params={"window": window})
        assert answer.status_code == 200
        told = PerformanceShape.model_validate_json(answer.text)
        assert (told.window, told.step_s, told.camera) == (window, step, None)
        latency = [values for stage in told.latency_ms.values() for _, values in stage]
        drops = [drop.steps for drop in told.dropped]
        memory = [told.memory.camscribe, *told.memory.engines.values()]
        series = [told.running, told.looks, told.failed, told.queued, *memory, *told.waiting.values(), *latency, *drops]
        assert {len(each) for each in series} == {count}
        assert set(told.latency_ms) == set(STAGES)
        assert told.start + timedelta(seconds=step * count) >= told.now > told.start
        assert sum(looks or 0 for looks in told.looks) == told.whole.looks > 200
        assert sum(each.looks for each in told.cameras) == told.whole.looks
        assert [(each.camera, each.name) for each in told.cameras] == [("front_door", "Front door"), ("yard", "Yard")]
        longest = [ms for ms in told.latency_ms["total"].longest if ms is not None]
        assert told.whole.longest == max(longest)
        assert told.whole.p50 < sum(told.whole.means.values()) < told.whole.longest
        assert told.whole.p50 < told.whole.p95 <= told.whole.longest
        assert told.whole.slowest == max(told.whole.means, key=told.whole.means.get)
        assert {(drop.what, drop.reason) for drop in told.dropped if drop.count} == {
            ("frames", "overtaken"),
            ("frames", "stale"),
            ("observations", "expired"),
        }
        assert [(each.name, each.model, each.memory is None) for each in told.engines] == [
            ("default", "smolvlm-500m", False),
            ("careful", "moondream2", True),
        ]
        assert [(each.name, each.waiting) for each in told.outputs if each.problem] == [("alerts", 17)]
        assert set(told.waiting) == {"log", "mqtt", "alerts"}


async def test_a_stretch_without_camscribe_is_null_and_not_zero(tmp_path):
    async with website(tmp_path, ("yard",), figures=lived_in(("yard",))) as site:
        told = (await site.client.get("/api/v1/performance?window=day")).json()
        asleep = [at for at, running in enumerate(told["running"]) if not running]
        assert len(asleep) >= 89
        series = (told["looks"], told["failed"], told["queued"], told["memory"]["camscribe"], told["waiting"]["mqtt"])
        for each in (*series, told["dropped"][0]["steps"], told["latency_ms"]["total"]["p50"]):
            assert {each[at] for at in asleep} == {None}
        awake = [looks for looks, running in zip(told["looks"], told["running"], strict=True) if running]
        assert None not in awake


async def test_one_cameras_looks_alone(tmp_path):
    async with website(tmp_path) as site:
        site.figures.looked(look("yard", image=300, generate=100))
        site.figures.looked(look("door", image=50))
        site.figures.looked(failure("yard"))
        site.figures.looked(look("gone", image=20))
        told = (await site.client.get("/api/v1/performance?camera=yard")).json()
        assert (told["camera"], told["whole"]["looks"], told["whole"]["failed"]) == ("yard", 2, 1)
        assert (told["whole"]["p50"], told["whole"]["slowest"]) == (400, "image")
        assert sum(looks or 0 for looks in told["looks"]) == 2
        assert [each["camera"] for each in told["cameras"]] == ["door", "yard", "gone"]
        assert (await site.client.get("/api/v1/performance?camera=gone")).json()["whole"]["looks"] == 1


async def test_before_anything_has_happened_there_is_nothing_wrong(tmp_path):
    async with website(tmp_path) as site:
        told = (await site.client.get("/api/v1/performance")).json()
        assert told["whole"] == {
            "looks": 0, "failed": 0, "p50": None, "p95": None, "longest": None, "means": {}, "slowest": None
        }  # fmt: skip
        assert (told["engines"], told["outputs"], told["dropped"]) == ([], [], [])
        assert [each["looks"] for each in told["cameras"]] == [0, 0]
        since = datetime.fromisoformat(told["since"])
        assert timedelta() <= datetime.fromisoformat(told["now"]) - since < timedelta(seconds=60)
        site.figures._take(sample(queued=2))
        assert (await site.client.get("/api/v1/performance")).json()["queued"][-1] == 2


@pytest.mark.parametrize("query", ["window=week", "window=", f"camera={'x' * 101}"])
async def test_what_is_no_window_is_a_problem(tmp_path, query: str):
    async with website(tmp_path) as site:
        answer = await site.client.get(f"/api/v1/performance?{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_a_camera_that_nobody_knows_is_a_problem(tmp_path):
    async with website(tmp_path) as site:
        for path in ("/api/v1/performance", "/performance"):
            answer = await site.client.get(path, params={"camera": "<b>attic</b>"})
            assert answer.status_code == 404


def test_openapi_says_what_each_figure_is():
    app = FastAPI()
    app.include_router(router)
    told = app.openapi()
    schemas = told["components"]["schemas"]
    assert schemas["PerformanceShape"]["properties"]["running"]["description"]
    for name in (
        "PerformanceShape",
        "CameraSummary",
        "StageSteps",
        "MemorySteps",
        "Drops",
        "EngineShape",
        "OutputShape",
    ):
        assert schemas[name]["description"]
    assert "404" in told["paths"]["/api/v1/performance"]["get"]["responses"]
