"""The real engine with real models: the bundled one, and its twin that is only right where the geometry is."""

from __future__ import annotations

import asyncio
import io
import logging
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from agent.plugin import CaptionRequest, CaptionUnavailable, Failure, Geometry, Misconfigured, ModelView
from plugins.captioners.llama_server import LlamaServer
from plugins.captioners.llama_server.presets import TINY
from plugins.sources.demo.scenes import Scene, caption, draw, random_scene
from tests.fakes.engine.real import real_server
from tests.fakes.engine.waiting import gone, until
from tests.plugins.captioners.llama_server.conftest import Running

ROOT = Path(__file__).parents[4]
STRICT = {
    f"{part}": ROOT / f"tests/data/strict/tinyvlm-strict-{name}-f16.gguf"
    for part, name in (("model", "text"), ("mmproj", "mmproj"))
}
BUDGET = {"image_tokens": 64}
"""What a SmolVLM's preset sets; with it llama.cpp letterboxes a picture that is not square."""
Ask = Callable[..., CaptionRequest]


def seen(picture: Image.Image, view: ModelView) -> bytes:
    """The JPEG a model with this view is sent."""
    if view.geometry is Geometry.SQUARE:
        picture = picture.resize((view.size, view.size), Image.Resampling.LANCZOS)
    else:
        picture.thumbnail((view.size, view.size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def single_thing_scenes(count: int, seed: int) -> list[tuple[Scene, Image.Image]]:
    rng = random.Random(seed)
    scenes = [random_scene(rng, blank=0, empty=0, two=0) for _ in range(count)]
    return [(scene, draw(scene, 640, 480, rng)) for scene in scenes]


async def exact(engine: LlamaServer, request_: Ask, count: int = 20, seed: int = 11) -> int:
    """How many of the scenes it describes exactly."""
    await engine.ready(30)
    right = 0
    for scene, picture in await asyncio.to_thread(single_thing_scenes, count, seed):
        jpeg = await asyncio.to_thread(seen, picture, engine.view())
        right += (await engine.caption(request_(jpeg))).text == caption(scene)
    return right


async def test_wheel_describes_drawn_scenes_exactly(running: Running, request_: Ask, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    async with running() as engine:
        assert await exact(engine, request_) >= 19
        answer = await engine.caption(request_(seen(single_thing_scenes(1, 5)[0][1], engine.view())))
    assert answer.model == "tiny"
    assert answer.tokens > 5
    assert answer.image_ms > 0
    assert answer.generate_ms > 0
    assert [r.getMessage() for r in caplog.records if "engine ready in" in r.getMessage()]


async def test_llama_server_describes_them_too(running: Running, request_: Ask, short: Path):
    async with running(binary=real_server(short)) as engine:
        assert await exact(engine, request_) >= 19


@pytest.mark.parametrize(
    ("config", "least", "most"),
    [
        pytest.param({}, 18, 20, id="the files' own facts"),
        pytest.param(BUDGET, 18, 20, id="a budget, and the square we send"),
        pytest.param({**BUDGET, "geometry": "aspect", "picture_size": 384}, 0, 12, id="a budget, and the aspect kept"),
    ],
)
async def test_model_that_is_strict_about_geometry_sees_right(
    running: Running, request_: Ask, config: dict[str, Any], least: int, most: int
):
    async with running(preset=None, **STRICT, **config) as engine:
        assert least <= await exact(engine, request_) <= most


async def test_engine_killed_in_the_middle_of_a_caption_comes_back_by_itself(running: Running, request_: Ask):
    async with running() as engine:
        await engine.ready(30)
        process = psutil.Process(engine.engine.pid)
        process.suspend()  # so that the caption is surely in the middle when the kill comes
        asking = asyncio.create_task(engine.caption(request_(seen(single_thing_scenes(1, 5)[0][1], engine.view()))))
        await asyncio.sleep(0)
        assert await asyncio.wait({asking}, timeout=0.3) == (set(), {asking})
        began = time.monotonic()
        process.kill()
        with pytest.raises(CaptionUnavailable) as caught:
            await asking
        assert time.monotonic() - began < 2
        assert caught.value.kind is Failure.ENGINE
        assert "middle of the caption" in str(caught.value)
        assert await exact(engine, request_, count=3) == 3
        assert engine.engine.pid != process.pid


AGENT = """
import asyncio, logging, subprocess, sys
from pathlib import Path
from agent.plugin import Context
from plugins.captioners.llama_server import LlamaServer, LlamaServerConfig

async def main():
    folder = Path(sys.argv[1])
    engine = LlamaServer(LlamaServerConfig(preset="tiny"), Context("default", logging.getLogger(), folder, folder))
    running = asyncio.create_task(engine.run())
    await engine.ready(30)
    other = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=-3, stderr=-3)  # inherits all it can
    print(engine.engine.pid, other.pid, flush=True)
    await running

asyncio.run(main())
"""


async def test_no_engine_is_left_of_an_agent_that_was_killed(short: Path):
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, str(short), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert agent.stdout
    engine, other = (psutil.Process(int(pid)) for pid in (await agent.stdout.readline()).split())
    guard = engine.parent()
    assert guard
    agent.kill()
    await agent.wait()
    await until(lambda: gone(engine) and gone(guard), within=10)
    assert other.is_running(), "the pipe's end that keeps the engine alive must be the agent's alone"
    other.kill()


async def test_broken_model_file_is_told_with_the_engines_words(running: Running, tmp_path: Path):
    whole = TINY / "tinyvlm-text-f16.gguf"
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:600_000])
    async with running(preset=None, model=cut, mmproj=TINY / "tinyvlm-mmproj-f16.gguf") as engine:
        with pytest.raises(CaptionUnavailable, match=r"is broken or cut short.*model is corrupted or incomplete"):
            await engine.ready(30)


async def test_picture_it_cannot_read_is_refused_and_the_next_one_works(running: Running, request_: Ask):
    async with running() as engine:
        await engine.ready(30)
        with pytest.raises(CaptionUnavailable) as caught:
            await engine.caption(request_(b"\xff\xd8 this is no jpeg"))
        assert caught.value.kind is Failure.REFUSED
        assert await exact(engine, request_, count=2) == 2


async def test_prompt_beyond_the_context_is_refused(running: Running, request_: Ask):
    async with running() as engine:
        await engine.ready(30)
        jpeg = await asyncio.to_thread(lambda: seen(single_thing_scenes(1, 5)[0][1], engine.view()))
        with pytest.raises(CaptionUnavailable, match="context") as caught:
            await engine.caption(request_(jpeg, prompt="word " * 3000))
        assert caught.value.kind is Failure.REFUSED


async def test_check_tells_what_there_is_without_starting_it(captioner: Callable[..., LlamaServer]):
    assert (await captioner().check()).startswith("tiny (on disk), served by xllamacpp ")
    assert "to be downloaded" in await captioner(preset="smolvlm-500m").check()


async def test_extra_args_without_a_llama_server_are_a_fault(captioner: Callable[..., LlamaServer]):
    with pytest.raises(Misconfigured, match="extra_args"):
        await captioner(extra_args=("--mlock",)).run()
