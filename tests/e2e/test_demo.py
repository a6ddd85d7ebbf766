"""The demo, as a user runs it: real engine, tiny model, no camera."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from tests.fakes.service import camscribe


def _exact(observations: list[dict], scenes: list[dict]) -> list[bool]:
    """For each observation: is its caption the truth of the scene that was drawn when its frame was taken?"""
    begun = [(datetime.fromisoformat(scene["began_at"]), scene["truth"]) for scene in scenes]
    results = []
    for observation in observations:
        taken = datetime.fromisoformat(observation["taken_at"])
        truth = [truth for began, truth in begun if began <= taken][-1]
        results.append(observation["caption"] == truth)
    return results


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_sixty_seconds_give_twenty_looks_over_eight_scenes_and_true_captions():
    async with camscribe("demo", "--for", "60s", "--json") as demo:
        assert await demo.process.wait() == 0
    logged = [json.loads(line) for line in demo.err]
    scenes = [record for record in logged if "truth" in record]
    observations = demo.observations
    exact = _exact(observations, scenes)
    seen = {observation["caption"] for observation in observations}
    print(f"{len(observations)} looks, {len(scenes)} scenes, {sum(exact)} exact")
    assert len(observations) >= 20
    assert len(scenes) >= 8
    assert len(seen) >= 6
    assert sum(exact) / len(exact) >= 0.85
    assert [record for record in logged if record["level"] in ("ERROR", "CRITICAL")] == []


def _captioned(line: str) -> bool:
    return "doorstep" in line and ("daylight" in line or "night" in line or "blank" in line)


async def test_for_people_it_prints_captions_until_it_is_told_to_stop():
    async with camscribe("demo") as demo:
        await demo.until(lambda: any(map(_captioned, demo.out)), 90)  # on a busy machine the engine takes its time
        assert await demo.stop() == 0
    assert not any("Traceback" in line for line in demo.err)


async def test_it_ends_by_itself_however_far_it_has_come():
    async with camscribe("demo", "--for", "1s") as demo:
        assert await demo.process.wait() == 0
    assert not any("Traceback" in line for line in demo.err)
