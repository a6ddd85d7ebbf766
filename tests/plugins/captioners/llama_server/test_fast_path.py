"""The fast path on both real engines: as right as the slow one, a picture computed once, slots that never overflow."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from agent import picture
from agent.plugin import CaptionRequest, Detail, TextQuestion, Wire
from plugins.captioners.llama_server import LlamaServer
from plugins.captioners.llama_server.gguf import CUTS
from plugins.sources.demo.doorstep import caption, random_scene
from plugins.sources.demo.scenes import draw
from tests.fakes.engine.both import RealEngine
from tests.fakes.scenes import as_sent, known_scenes
from tests.fakes.slow_model import slow_model
from tests.fakes.tiny_model import MMPROJ, STRICT_MMPROJ, STRICT_TEXT
from tests.plugins.captioners.llama_server.conftest import Running
from tiny_model.gguf_copy import copy_with

Ask = Callable[..., CaptionRequest]
TILE, TILE_TOKENS = 96, 16
SIZES = ((640, 480), (1280, 720), (480, 640), (333, 517), (641, 359))
QUESTIONS = {
    kind: TextQuestion(ask=f"Is there a {kind}?", max_tokens=5)
    for kind in ("person", "car", "dog", "cat", "package", "bicycle")
}


@pytest.fixture
def strict(tmp_path: Path) -> dict[str, Any]:
    """The twin that is only right where the geometry is, with a projector that has pictures cut, as SmolVLM's has."""
    cutting = tmp_path / "mmproj-strict.gguf"
    copy_with(STRICT_MMPROJ, cutting, {CUTS: 4 * TILE})
    return {"preset": None, "model": STRICT_TEXT, "mmproj": cutting}


def scenes(count: int, seed: int = 23) -> list[tuple[str, Image.Image]]:
    rng = random.Random(seed)
    drawn = [random_scene(rng, blank=0, empty=0, two=0) for _ in range(count)]
    return [(caption(scene), draw(scene, *SIZES[n % len(SIZES)], rng)) for n, scene in enumerate(drawn)]


async def exact(engine: LlamaServer, request_: Ask, count: int) -> int:
    await engine.ready(60)
    right = 0
    for truth, image in await asyncio.to_thread(scenes, count):
        sent = await asyncio.to_thread(picture.sent, np.asarray(image), engine.view())
        right += (await engine.caption(request_(sent.jpeg, timeout=30))).text == truth
    return right


async def timings(wire: Wire | None) -> dict[str, Any]:
    assert wire
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(wire.socket))) as client:
        answer = await client.post(wire.url, content=wire.body, headers=wire.headers, timeout=60)
    said: dict[str, Any] = answer.json()["timings"]
    return said


async def slots_of(engine: LlamaServer) -> list[dict[str, Any]]:
    wire = engine.wire(CaptionRequest("front_door", b"", "", 1, 1))
    assert wire
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(wire.socket))) as client:
        said: list[dict[str, Any]] = (await client.get("http://engine/slots", timeout=60)).json()
    return said


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="once"),
        pytest.param({"mmproj_type": "bf16"}, id="once, bf16"),
        pytest.param({"mmproj_type": "q8_0"}, id="once, q8_0"),
        pytest.param({"copies": False}, id="the files as they are, and a budget"),
    ],
)
async def test_every_aspect_is_seen_right(
    real: RealEngine, running: Running, request_: Ask, strict: dict[str, Any], config: dict[str, Any]
):
    async with running(**strict, **config, **real.config) as engine:
        assert await exact(engine, request_, 20) >= 18


async def test_aspect_kept_is_seen_wrong_so_the_twin_would_notice(
    real: RealEngine, running: Running, request_: Ask, strict: dict[str, Any]
):
    kept = {"geometry": "aspect", "picture_size": 4 * TILE, "image_tokens": TILE_TOKENS}
    async with running(**strict, **kept, **real.config) as engine:
        assert await exact(engine, request_, 20) <= 14


async def prompt_tokens(engine: LlamaServer, jpeg: bytes) -> int:
    said = await timings(engine.wire(CaptionRequest("front_door", jpeg, "Describe the image.", 60, 10)))
    return int(said["prompt_n"] + said["cache_n"])


async def test_one_tile_is_encoded_once_until_a_camera_wants_high_detail(
    real: RealEngine, running: Running, request_: Ask, strict: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    (truth, image), *_ = known_scenes(1)
    pixels = np.asarray(image)
    async with running(**strict, **real.config) as engine:
        await engine.ready(60)
        medium = await asyncio.to_thread(picture.sent, pixels, engine.view(Detail.MEDIUM))
        low = await asyncio.to_thread(picture.sent, pixels, engine.view(Detail.LOW))
        assert low.jpeg == medium.jpeg
        once = await prompt_tokens(engine, medium.jpeg)
        high = await asyncio.to_thread(picture.sent, pixels, engine.view(Detail.HIGH))
        both = await asyncio.gather(
            engine.caption(request_(medium.jpeg, timeout=30)), engine.caption(request_(high.jpeg, timeout=30))
        )
        assert both[0].text == truth
        assert both[1].text
        twice = await prompt_tokens(engine, medium.jpeg)
        assert (await engine.caption(request_(medium.jpeg, timeout=30))).text == truth
        tiles = await prompt_tokens(engine, high.jpeg)
    assert TILE_TOKENS < once < 2 * TILE_TOKENS + 5
    assert twice - once == TILE_TOKENS + 3, "a tile beside the overview, with its marks"
    assert 3 * TILE_TOKENS <= tiles - twice < 6 * TILE_TOKENS + 40
    assert len([line for line in caplog.messages if line.startswith("a camera wants detail: high")]) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_high_detail_that_is_expected_needs_no_second_start(
    running: Running,
    captioner: Callable[..., LlamaServer],
    request_: Ask,
    strict: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    engine = await asyncio.to_thread(captioner, **strict)
    engine.expects({Detail.MEDIUM, Detail.HIGH})
    async with running(engine):
        await engine.ready(60)
        high = await asyncio.to_thread(picture.sent, np.asarray(known_scenes(1)[0][1]), engine.view(Detail.HIGH))
        assert (await engine.caption(request_(high.jpeg, timeout=30))).text
    [ready] = [line for line in caplog.messages if line.startswith("engine ready")]
    assert "encoded once" not in ready


async def test_picture_is_computed_once_for_all_that_is_asked_about_it(
    real: RealEngine, running: Running, request_: Ask
):
    (_, image), *_ = known_scenes(1)
    async with running(**real.config) as engine:
        await engine.ready(60)
        jpeg = await asyncio.to_thread(as_sent, image, TILE)
        first = await engine.caption(request_(jpeg))
        both = await engine.caption(dataclasses.replace(request_(jpeg), questions=QUESTIONS))
        assert both.text == first.text
        assert all(answer.value for answer in both.answers.values())
        for question in QUESTIONS.values():  # as it was asked, so what is left of it is at most its text
            said = await timings(engine.wire(request_(jpeg, prompt=question.ask)))
            assert said["cache_n"] >= 2 * TILE_TOKENS
            assert said["prompt_n"] <= 30
        other = await timings(engine.wire(request_(jpeg, prompt="Another look: describe the image, briefly.")))
        assert other["cache_n"] >= 2 * TILE_TOKENS


async def test_each_picture_keeps_its_slot_while_others_are_asked_about(
    real: RealEngine, running: Running, request_: Ask
):
    jpegs = [await asyncio.to_thread(as_sent, image, TILE) for _, image in known_scenes(2)]
    async with running(parallel=2, **real.config) as engine:
        await engine.ready(60)
        first = [await engine.caption(request_(jpeg)) for jpeg in jpegs]
        tasks = {slot["id"]: slot["id_task"] for slot in await slots_of(engine)}
        assert len(set(tasks.values())) == 2, "each has its own"
        again = [await engine.caption(request_(jpeg, prompt="Describe the image, please.")) for jpeg in jpegs]
    assert [caption.text for caption in again] == [caption.text for caption in first]


async def test_engine_is_never_asked_more_than_it_has_slots(real: RealEngine, running: Running, request_: Ask):
    known = known_scenes(8)
    jpegs = [await asyncio.to_thread(as_sent, image, TILE) for _, image in known]
    metrics = {"extra_args": ("--metrics",)} if real.name == "llama-server" else {}
    async with running(parallel=2, **metrics, **real.config) as engine:
        await engine.ready(60)
        many = [asyncio.create_task(engine.caption(request_(jpegs[n % 8], timeout=60))) for n in range(48)]
        most = deferred = 0
        wire = engine.wire(request_())
        assert wire
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(wire.socket))) as client:
            while not all(task.done() for task in many):
                slots = (await client.get("http://engine/slots", timeout=60)).json()
                most = max(most, sum(slot["is_processing"] for slot in slots))
                if metrics:
                    told = (await client.get("http://engine/metrics", timeout=60)).text
                    deferred += "requests_deferred 0" not in told
        texts = [(await task).text for task in many]
    assert most in {1, 2}
    assert deferred == 0
    assert sum(text == known[n % 8][0] for n, text in enumerate(texts)) >= 46


async def test_cancelled_caption_lets_its_slot_go(real: RealEngine, running: Running, request_: Ask, tmp_path: Path):
    model = {"preset": None, "model": await asyncio.to_thread(slow_model, tmp_path, 400), "mmproj": MMPROJ}
    jpegs = [await asyncio.to_thread(as_sent, image, TILE) for _, image in known_scenes(3)]
    async with running(**model, **real.config) as engine:
        await engine.ready(60)
        began = time.monotonic()
        await engine.caption(request_(jpegs[0], timeout=60))
        whole = time.monotonic() - began
        asking = asyncio.create_task(engine.caption(request_(jpegs[1], timeout=60)))
        await until_processing(engine)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        began = time.monotonic()
        await engine.caption(request_(jpegs[2], timeout=60))
        waited = time.monotonic() - began
    print(f"{real.name}: a caption {whole:.2f} s, the one after a cancelled one {waited:.2f} s")
    assert waited < 3 * whole + 8, "at most the second in which the server looks for its caller, and one step of work"


async def until_processing(engine: LlamaServer) -> None:
    async with asyncio.timeout(30):
        while not any(slot["is_processing"] for slot in await slots_of(engine)):
            pass


async def test_many_cancelled_captions_leave_no_slot_taken(real: RealEngine, running: Running, request_: Ask):
    jpegs = [await asyncio.to_thread(as_sent, image, TILE) for _, image in known_scenes(4)]
    async with running(parallel=2, **real.config) as engine:
        await engine.ready(60)
        for round_ in range(10):
            tasks = [asyncio.create_task(engine.caption(request_(jpeg, timeout=60))) for jpeg in jpegs]
            await asyncio.wait(tasks, timeout=0.005 * round_, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        done = await asyncio.gather(*(engine.caption(request_(jpeg, timeout=60)) for jpeg in jpegs))
        assert all(one.text for one in done)

        async def idle() -> bool:
            return not any(slot["is_processing"] for slot in await slots_of(engine))

        async with asyncio.timeout(10):
            while not await idle():
                pass
