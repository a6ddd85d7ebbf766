"""All bad cameras at once, in the real service: two good ones beside them get every look, fresh.

The captioner is a plugin that reads the number burned into each picture, so that a picture's age is measured inside the
service when it is handed over, and by nobody's word; a model on two cores could not keep up with this many cameras.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent import control
from agent.runtime import control_socket
from tests.fakes import number_reader
from tests.fakes.bad_cameras import BAD, bad_cameras
from tests.fakes.gst_camera import gst_camera
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.service import ROOT, Service, camscribe, write_config

LASTS = 75.0
EVERY = 5.0
TIMEOUT = 4.0
DOWN = (20.0, 30.0)
"""The killed server's time off."""
A_FEW = 12
"""Threads beside one a camera: main, journal, log, pictures, name lookups, decoding."""


@dataclass
class Record:
    """What a run of the service showed."""

    began: float
    states: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    last: dict[str, str] = field(default_factory=dict)
    looks: dict[str, list[tuple[float, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))
    """Of the cameras that the test asks: when it asked, how long it took, and the observation."""
    took: list[tuple[str, float]] = field(default_factory=list)
    threads: list[tuple[float, int]] = field(default_factory=list)
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def since(self) -> float:
        return time.monotonic() - self.began

    def threads_between(self, begin: float, end: float) -> int:
        return min(count for at, count in self.threads if begin <= at <= end)


def config_of(folder: Path, good: Mapping[str, str], bad: Mapping[str, str]) -> Path:
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(number_reader.__file__, plugins)
    timeout = f"{TIMEOUT:g}s"
    cameras: dict[str, Any] = {id_: {"source": url, "every": "5s", "timeout": timeout} for id_, url in good.items()}
    # By schedule a failure's repeats are only counted; these are asked by the test, and every look answers.
    cameras |= {id_: {"source": url, "cron": "0 0 29 2 *", "timeout": timeout} for id_, url in bad.items()}
    return write_config(
        folder,
        {
            "plugins_dir": str(plugins),
            "model": {"use": "number_reader"},
            "cameras": cameras,
            "outputs": {"log": {"format": "json"}},
        },
    )


async def keep_asking(socket: Path, id_: str, start: float, record: Record) -> None:
    """A look each 5 s until the end."""
    due = start
    while due < LASTS:
        await asyncio.sleep(max(0.0, due - record.since))
        asked = time.monotonic()
        reply = await control.ask(socket, {"do": "look", "camera": id_}, 30)
        record.took.append((id_, time.monotonic() - asked))
        record.looks[id_].append((record.since, reply["observation"]))
        due += EVERY


async def keep_watching(socket: Path, service: Service, record: Record) -> None:
    process = psutil.Process(service.process.pid)
    while record.since < LASTS + 1:
        status = await control.ask(socket, {"do": "status"}, 5)
        for id_, camera in status["cameras"].items():
            record.states[id_].add(camera["state"])
            record.last[id_] = camera["state"]
        record.threads.append((record.since, process.num_threads()))
        record.counters = status["counters"]
        await asyncio.sleep(0.5)


async def kill_for_a_while(camera: RtspCamera, record: Record) -> None:
    await asyncio.sleep(DOWN[0] - record.since)
    await camera.kill()
    await asyncio.sleep(DOWN[1] - record.since)
    await camera.restart()


def age_at_hand_over(observation: Mapping[str, Any], camera: RtspCamera) -> float:
    """By the number in the picture and the captioner's clock, less what lay between hand-over and captioner."""
    number, seen = observation["caption"].split()
    spent = observation["latency_ms"]
    handed_over = float(seen) - (spent["queue"] + spent["encode"]) / 1000
    return (handed_over - camera.epoch - int(number) / camera.fps) % camera.loop_seconds


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_good_cameras_get_every_look_beside_all_the_bad_ones(tmp_path: Path) -> None:
    assert len(BAD) >= 24
    async with (
        rtsp_camera(fps=25, gop=25) as own,
        gst_camera() as other,
        bad_cameras() as bad,
    ):
        good = {"own": own, "gst": other}
        config = config_of(tmp_path, {id_: camera.url() for id_, camera in good.items()}, bad.urls)
        async with camscribe("run", "--config", str(config), env={"PYTHONPATH": str(ROOT)}) as service:
            await service.until(lambda: any("watches" in line for line in service.err))
            record = Record(time.monotonic())
            socket = control_socket(tmp_path / "data")
            async with asyncio.TaskGroup() as group:
                group.create_task(keep_watching(socket, service, record))
                group.create_task(kill_for_a_while(bad.doomed, record))
                for place, id_ in enumerate(bad.urls):
                    group.create_task(keep_asking(socket, id_, place * EVERY / len(bad.urls), record))
            below = service.children()
            assert await service.stop(10) == 0
    observations = service.observations
    print(describe(record))

    for id_, camera in good.items():
        looks = [look for look in observations if look["camera"] == id_]
        assert [look["error"] for look in looks if look["error"]] == []
        assert not any(id_ in name for name in record.counters if name.startswith(("looks_failed", "looks_merged")))
        assert len(looks) >= LASTS / EVERY - 1
        ages = [age_at_hand_over(look, camera) for look in looks]
        print(id_, len(looks), [f"{age:.2f}" for age in ages])
        assert max(ages) <= 0.5

    for id_, found in record.looks.items():
        assert len(found) >= LASTS / EVERY - 1
        for _, look in found:
            assert not look["error"] or look["latency_ms"]["total"] <= TIMEOUT * 1000, (id_, look)
            assert look["error"] or not look["caption"].startswith("damaged"), (id_, look)
            assert not look["error"] or look["error"]["kind"] != "internal", (id_, look)
    assert max(took for _, took in record.took) <= TIMEOUT + 1

    wrong = {}
    for id_, camera in BAD.items():
        if not record.states[id_] & camera.shows or record.last[id_] not in camera.ends:
            wrong[id_] = f"{record.states[id_]}, in the end {record.last[id_]}"
        if camera.comes_back and not any(not look["error"] for _, look in record.looks[id_][-3:]):
            wrong[id_] = f"no picture in the end: {record.looks[id_][-1][1]['error']}"
    assert wrong == {}

    assert max(count for _, count in record.threads) <= len(BAD) + len(good) + A_FEW
    assert record.threads_between(LASTS - 10, LASTS) <= record.threads_between(35, 45) + 2
    assert below == []  # nobody is left: it had no child, and was waited for itself
    everything = "\n".join(service.out + service.err)
    assert "Traceback" not in everything
    assert "hangs" not in everything
    assert "did not end" not in everything


def describe(record: Record) -> str:
    """For whoever has to find out why."""
    lines = [f"threads {[count for _, count in record.threads][::10]}"]
    for id_ in BAD:
        looks = "".join("+" if not look["error"] else look["error"]["kind"][0] for _, look in record.looks[id_])
        lines.append(f"{id_:24} {looks}  {', '.join(sorted(record.states[id_]))}; {record.last.get(id_)}")
    return "\n".join(lines)
