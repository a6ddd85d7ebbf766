"""A llama-server that somebody already runs, asked over TCP with its key."""

from __future__ import annotations

import asyncio
import io
import logging
import random
from contextlib import suppress
from pathlib import Path

import pytest

from agent.plugin import BooleanQuestion, CaptionUnavailable, Context
from plugins.captioners.llama_server import LlamaServer, LlamaServerConfig
from plugins.sources.demo.scenes import caption, draw, random_scene
from tests.fakes.broker import free_port
from tests.plugins.captioners.openai.conftest import Ask, Make

KEY = "sk-marker-4711"


async def test_a_llama_server_that_already_runs_captions_exactly(
    captioner: Make, request_: Ask, tmp_path: Path
) -> None:
    rng = random.Random(5)
    scenes = [random_scene(rng, blank=0, empty=0, two=0) for _ in range(10)]
    port = free_port()
    context = Context("theirs", logging.getLogger("camscribe.test"), tmp_path / "data", tmp_path / "run")
    engine = LlamaServer(LlamaServerConfig(preset="tiny", port=port, api_key=KEY), context)
    serving = asyncio.create_task(engine.run())
    try:
        await engine.ready(30)
        options = {"url": f"http://127.0.0.1:{port}", "model": engine.model, "geometry": "square", "picture_size": 96}
        remote = captioner(**options, api_key=KEY)
        assert "served by" in await remote.check()
        for scene in scenes:
            file = io.BytesIO()
            draw(scene, 640, 480, rng).resize((96, 96)).save(file, "JPEG", quality=95)
            cat = BooleanQuestion(type="boolean", ask="Is there a cat?")
            said = await remote.caption(request_(file.getvalue(), questions={"cat": cat, "word": cat.ask}))
            assert said.text == caption(scene)
            assert said.answers["cat"].value is ("cat" in caption(scene))
            assert said.answers["word"].value == ("yes" if "cat" in caption(scene) else "no")
            assert all((answer.confidence or 0) > 0.5 for answer in said.answers.values())
            assert said.image_ms > 0
        stranger = captioner(**options, api_key="wrong")
        with pytest.raises(CaptionUnavailable, match="api_key"):
            await stranger.caption(request_(file.getvalue()))
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
