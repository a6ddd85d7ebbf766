"""The service with a real llama-server: kill -9 of it, or of its guard, in the middle of captions; they go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from tests.fakes.engine.llama import llama_server
from tests.fakes.scenes import known_scenes
from tests.fakes.service import Service, camscribe, lives, write_config
from tests.fakes.slow_model import slow_model
from tests.fakes.tiny_model import MMPROJ
from tests.fakes.waiting import eventually

CAMERAS = ("yard", "doorstep", "still")
LAYERS = 150
"""More than the tiny model's, for captions of half a second: with three cameras the engine is never idle."""


def config(folder: Path) -> tuple[Path, str]:
    """And what there is to see on the camera whose picture never changes."""
    ((truth, picture),) = known_scenes(1)
    picture.save(folder / "still.png")
    return write_config(
        folder,
        {
            "model": {
                "binary": str(llama_server()),
                "model": str(slow_model(folder, LAYERS)),
                "mmproj": str(MMPROJ),
            },
            "cameras": {
                "yard": {"source": "demo", "every": "1s"},
                "doorstep": {"source": "demo", "every": "1s"},
                "still": {"source": "file:still.png", "every": "1s"},
            },
            "outputs": {"log": {"format": "json"}},
        },
    ), truth


def engine(service: Service) -> psutil.Process | None:
    """The llama-server below camscribe, beside its guard."""
    for child in service.children():
        words = child.cmdline()
        if words and words[0].endswith("llama-server"):
            return child
    return None


def good(service: Service, camera: str) -> int:
    return sum(o["camera"] == camera and o["caption"] is not None for o in service.observations)


async def captions_of_all(service: Service, more: int) -> None:
    """Wait for so many more of each camera."""
    wanted = {camera: good(service, camera) + more for camera in CAMERAS}
    await service.until(lambda: all(good(service, camera) >= count for camera, count in wanted.items()), 60)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_captions_go_on_after_kill_9_of_llama_server_and_of_its_guard(tmp_path: Path):
    if llama_server() is None:
        pytest.skip("no llama-server: make llama-server")
    path, truth = await asyncio.to_thread(config, tmp_path)
    async with camscribe("run", "--config", str(path)) as service:
        await captions_of_all(service, more=1)
        killed = []
        for victim_of in (lambda it: it, psutil.Process.parent):
            await eventually(lambda: engine(service))
            running = engine(service)
            victim_of(running).kill()
            await eventually(lambda gone=running: not lives(gone), 10)
            await captions_of_all(service, more=2)
            killed.append(running.pid)
        last = engine(service)
        assert last.pid not in killed
        assert await service.stop() == 0
    failed = [o["error"] for o in service.observations if o["error"]]
    assert {error["kind"] for error in failed} <= {"engine"}
    assert 1 <= len(failed) <= 2 * len(CAMERAS), "each kill costs a camera one look at most"
    said = [o["caption"] for o in service.observations if o["camera"] == "still" and o["caption"]]
    assert set(said) == {truth}
    assert sum("Starting it again" in line for line in service.err) == 2
    assert not any("Traceback" in line for line in service.err)
    await eventually(lambda: not lives(last), 10)
