"""Bad cameras each end in an error observation of the right kind, in time, and the good one doesn't notice."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import pytest

from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.scenes import known_scenes
from tests.fakes.service import camscribe, write_config

TIMEOUT = 6.0
EXPECTED = {
    "wrong_password": {"unauthorized"},
    "wrong_path": {"not_found"},
    "refused": {"unreachable"},
    "never_answers": {"timeout"},
    "mute": {"timeout"},
    "freezes": {"stale", "timeout"},
    "no_key_frame": {"no_video"},
    "sound_only": {"no_video"},
}


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def _listen_and_say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the other side gives up
    writer.close()


@pytest.mark.slow
async def test_each_bad_camera_says_its_kind_in_time_and_the_good_one_goes_on(tmp_path: Path):
    scenes = known_scenes(3)
    pictures = [picture for _, picture in scenes]
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(rtsp_camera(pictures))
        locked = await stack.enter_async_context(rtsp_camera(pictures, user="viewer", password="right"))
        silent = await asyncio.start_server(_listen_and_say_nothing, "127.0.0.1", 0)
        await stack.enter_async_context(silent)
        silent_port = silent.sockets[0].getsockname()[1]
        sources = {
            "good": good.url(),
            "wrong_password": locked.url().replace("right", "marker-wr0ng"),
            "wrong_path": good.url("/nothing"),
            "refused": f"rtsp://127.0.0.1:{_closed_port()}/live",
            "never_answers": f"rtsp://127.0.0.1:{silent_port}/live",
            "mute": good.url(fault="mute", at="PLAY"),
            "freezes": good.url(fault="freeze", after=3),
            "no_key_frame": good.url(fault="nokey"),
            "sound_only": good.url(fault="audio"),
        }
        cameras = {
            id_: {"source": source, "every": "2s", "timeout": f"{TIMEOUT:g}s"} for id_, source in sources.items()
        }
        outputs = {"log": {"format": "json"}}
        config = write_config(tmp_path, {"model": {"preset": "tiny"}, "cameras": cameras, "outputs": outputs})
        service = await stack.enter_async_context(camscribe("run", "--config", str(config)))

        def failed() -> dict[str, list[dict]]:
            found: dict[str, list[dict]] = {}
            for observation in service.observations:
                if observation["error"]:
                    found.setdefault(observation["camera"], []).append(observation)
            return found

        def told(camera: str) -> bool:
            return any(o["error"]["kind"] in EXPECTED[camera] for o in failed().get(camera, []))

        await service.until(lambda: all(told(camera) for camera in EXPECTED), 60)
        before = len([o for o in service.observations if o["camera"] == "good"])
        await service.until(lambda: len([o for o in service.observations if o["camera"] == "good"]) >= before + 3, 20)
        assert await service.stop() == 0

    assert "good" not in failed()
    for camera, observations in failed().items():
        for observation in observations:
            assert observation["caption"] is None
            assert observation["error"]["message"].endswith((".", "?"))
            began, ended = (datetime.fromisoformat(observation[key]) for key in ("taken_at", "finished_at"))
            assert (ended - began).total_seconds() <= TIMEOUT, (camera, observation)
    captions = {o["caption"] for o in service.observations if o["camera"] == "good"}
    assert captions <= {truth for truth, _ in scenes}
    everything = "\n".join(service.out + service.err)
    assert "marker-wr0ng" not in everything
    assert "Traceback" not in everything
