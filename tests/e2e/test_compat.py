"""Pictures that are brought along, to the whole service with real engines: right captions, and the cameras go on."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.accounts import status, unaccounted
from tests.fakes.scenes import known_scenes
from tests.fakes.service import Service, camscribe, write_config
from tests.fakes.tiny_checkpoint import checkpoint
from tests.fakes.torch_python import INSTEAD, torch_python
from tests.fakes.visiting import bad_pictures, jpeg, text

pytestmark = pytest.mark.slow

PAGE = "http://localhost:5173"
LLAMA, TORCH, CAPTIONS = "/vlm/process_frame_llamacpp", "/vlm/process_frame", "/api/v1/captions"
CONFIG = {
    "model": {"preset": "tiny"},
    "captioners": {"spare": {"preset": "tiny"}},
    "cameras": {"door": {"source": "demo", "every": "300ms"}},
    "outputs": {"log": {"format": "json"}},
    "web": {"port": 0, "compat": {"port": 0, "origins": [PAGE]}},
}
STARTS = 60


def address(service: Service, what: str) -> str | None:
    """Where it says that it is."""
    found = re.search(rf"{what}: (http://\S+)", "\n".join(service.err))
    return found and found[1]


@asynccontextmanager
async def running(folder: Path, **config: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient, httpx.AsyncClient]]:
    """With a client of the pages, and one of the prototype's endpoints as its page is."""
    path = write_config(folder, {**CONFIG, **config})
    async with camscribe("run", "--config", str(path)) as service:
        await service.until(lambda: service.observations, STARTS)
        pages, compat = address(service, "The web pages"), address(service, "The prototype's endpoints")
        assert pages
        assert compat
        more = {"trust_env": False, "timeout": 120}
        async with (
            httpx.AsyncClient(base_url=pages, **more) as site,
            httpx.AsyncClient(base_url=compat, headers={"Origin": PAGE}, **more) as page,
        ):
            yield service, site, page


async def pictures(count: int) -> list[tuple[str, str]]:
    """The truth about each, and the picture as a page sends it."""
    scenes = await asyncio.to_thread(known_scenes, count)
    return [(truth, await asyncio.to_thread(lambda p=picture: text(jpeg(p, quality=90)))) for truth, picture in scenes]


async def test_what_is_brought_is_captioned_right_and_the_cameras_go_on(tmp_path: Path):
    scenes = await pictures(6)
    async with running(tmp_path) as (service, site, page):
        for truth, image in scenes:
            answer = await page.post(LLAMA, json={"image": image, "prompt": "Describe the image."})
            assert answer.json()["caption"] == truth
            assert answer.json()["model"] == "smolvlm-llamacpp"
            assert answer.json()["latency_ms"] > 0
        known = {each["name"]: each["state"] for each in (await site.get("/api/v1/captioners")).json()["captioners"]}
        assert known == {"default": "ready", "spare": "not running"}
        for truth, image in scenes:  # the first has the engine started
            seen = (await site.post(CAPTIONS, json={"image": image, "captioner": "spare"})).json()
            assert (seen["caption"], seen["captioner"], seen["camera"]) == (truth, "spare", "live-page")
        assert set((await status(tmp_path))["captioners"]) == {"default", "spare"}

        before = len(service.observations)
        bad = await asyncio.to_thread(lambda: [text(data) for _, data, _ in bad_pictures()])
        posts = (site.post(CAPTIONS, json={"image": image}) for image in bad)
        pages = (page.post(LLAMA, json={"image": image}) for _, image in scenes * 3)
        answers = await asyncio.gather(*posts, *pages)
        assert {answer.status_code for answer in answers} <= {200, 400, 413, 415, 429}
        await service.until(lambda: len(service.observations) > before + 3)
        assert {observation["camera"] for observation in service.observations} == {"door"}
        assert not any(observation["error"] for observation in service.observations)
        lacking = await page.post(TORCH, json={"image": scenes[0][1]})
        assert (lacking.status_code, list(lacking.json())) == (503, ["detail"])

        async def visit() -> None:
            while True:
                await page.post(LLAMA, json={"image": scenes[0][1]})

        visiting = asyncio.create_task(visit())
        assert await service.stop() == 0
        with pytest.raises(httpx.HTTPError):
            await visiting
    assert "live-page" not in "\n".join(service.out)
    assert not [line for line in service.err if "Traceback" in line or "bug" in line]


async def test_cameras_have_their_turn_beside_a_page_that_sends_without_a_pause(tmp_path: Path):
    ((_, image),) = await pictures(1)
    async with running(tmp_path) as (service, _, page):
        sent = 0

        async def visit() -> None:
            nonlocal sent
            while True:
                answer = await page.post(LLAMA, json={"image": image})
                sent += answer.status_code == 200

        visiting = [asyncio.create_task(visit()) for _ in range(4)]
        before = len(service.observations)
        await service.until(lambda: len(service.observations) >= before + 10)
        for task in visiting:
            task.cancel()  # in the middle of it
        await asyncio.wait(visiting)
        assert sent > 10
        before = len(service.observations)
        await service.until(lambda: len(service.observations) >= before + 3)

        async def settled() -> bool:
            return unaccounted((await status(tmp_path))["counters"]) <= 1  # the camera's own

        async with asyncio.timeout(10):
            while not await settled():
                pass


async def test_without_transformers_its_endpoint_says_what_is_missing(tmp_path: Path):
    captioners = {"vlm": {"use": "transformers", "preset": "smolvlm-500m", "python": sys.executable}}
    async with running(tmp_path, captioners=captioners) as (service, _, page):
        answer = await page.post(TORCH, json={"image": text(jpeg())})
        assert answer.status_code == 503
        assert "needs torch" in answer.json()["detail"]
        again = await page.post(TORCH, json={"image": text(jpeg())})
        assert (again.status_code, again.json()) == (503, answer.json())
        before = len(service.observations)
        await service.until(lambda: len(service.observations) > before)


async def test_both_back_ends_see_the_same_in_the_same_pictures(tmp_path: Path):
    python = torch_python()
    if python is None:
        if os.environ.get("CI") == "true":
            pytest.fail(INSTEAD)
        pytest.skip(INSTEAD)
    model = await asyncio.to_thread(checkpoint, tmp_path / "tiny")
    captioners = {"vlm": {"use": "transformers", "model": str(model), "python": str(python)}}
    async with running(tmp_path, captioners=captioners) as (_, _, page):
        scenes = await pictures(3)
        async with asyncio.timeout(100):
            while (answer := await page.post(TORCH, json={"image": scenes[0][1]})).status_code == 503:
                assert "still loading" in answer.json()["detail"]
        for truth, image in scenes:
            body = {"image": image, "prompt": "Describe the image."}
            for path in (LLAMA, TORCH):
                assert (await page.post(path, json=body)).json()["caption"] == truth
