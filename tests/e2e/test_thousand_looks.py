"""A thousand looks through the real engine: memory stays, the line is bounded, every frame is accounted for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent import control
from agent.runtime import control_socket
from tests.fakes.accounts import status, totals, unaccounted
from tests.fakes.service import Service, camscribe, write_config

LOOKS = 1000
WARM = 400
"""Looks after which everything has been loaded, pooled and cached that ever will be."""
GROWTH = 1.05
CAMERAS = {f"c{number}": {"source": {"use": "demo", "seed": number}, "every": "100ms"} for number in range(4)}
CONFIG: dict[str, Any] = {
    "model": {"preset": "tiny"},
    "cameras": CAMERAS,
    "outputs": {"log": {"format": "json", "file": "told"}},
    "keep": {"size": "20MB"},
}


def engine(service: Service) -> psutil.Process:
    (leaf,) = (child for child in service.children() if not child.children())
    return leaf


def memory(process: psutil.Process) -> int:
    return process.memory_info().rss


async def ask(folder: Path) -> None:
    """Somebody who keeps asking, beside the schedule."""
    while True:
        for id_ in CAMERAS:
            reply = await control.ask(control_socket(folder / "data"), {"do": "look", "camera": id_}, 60)
            assert reply["observation"]["caption"], reply
        await asyncio.sleep(1)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_thousand_looks_cost_no_memory_and_lose_no_frame(tmp_path: Path):
    samples: dict[str, list[tuple[int, int]]] = {"agent": [], "engine": []}
    longest = 0
    async with camscribe("run", "--config", str(write_config(tmp_path, CONFIG)), cwd=tmp_path) as service:
        await service.until(lambda: any("engine ready" in line for line in service.err), 60)
        watched = {"agent": psutil.Process(service.process.pid), "engine": engine(service)}
        asking = asyncio.create_task(ask(tmp_path))
        looks = 0
        while looks < LOOKS:
            now = await status(tmp_path)
            looks, longest = totals(now["counters"])["captions_total"], max(longest, now["queued"])
            for name, process in watched.items():
                samples[name].append((looks, memory(process)))
            await asyncio.wait({asking}, timeout=0.25)
            assert not asking.done(), asking.exception()
        asking.cancel()
        off = {id_: {**camera, "enabled": False} for id_, camera in CAMERAS.items()}
        write_config(tmp_path, {**CONFIG, "cameras": off})
        await service.until(lambda: any("is taken over" in line for line in service.err))
        async with asyncio.timeout(30):
            while unaccounted(counters := (await status(tmp_path))["counters"]):  # noqa: ASYNC110  another process
                await asyncio.sleep(0.05)
        assert await service.stop() == 0
    sums = totals(counters)
    assert sums["captions_total"] >= LOOKS
    assert sums["captions_failed_total"] == sums["bugs_total"] == 0, counters
    assert longest <= len(CAMERAS) + 1, "a frame a camera, and the one that somebody asks for"
    for name, taken in samples.items():
        # The least of many samples is what is held; the others have pictures in them that are just being worked on.
        early = min(size for looks, size in taken if WARM <= looks < WARM + 150)
        late = min(size for looks, size in taken if looks >= LOOKS - 150)
        told = f"{name}: {early / 1e6:.1f} MB at {WARM} looks, {late / 1e6:.1f} MB at {LOOKS}"
        print(told)
        assert late <= early * GROWTH, told
