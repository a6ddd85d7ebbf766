"""The main job on real parts: an RTSP server, a llama engine, mosquitto, an HTTP server, and camscribe between them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.broker import Broker, Listener
from tests.fakes.receiver import Receiver
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.scenes import known_scenes
from tests.fakes.service import Service, camscribe, lives, write_config
from tests.fakes.waiting import eventually

SECONDS_EACH = 4.0
OBSERVATION = "camscribe/door/observation"


def _config(camera: RtspCamera, broker: Broker, receiver: Receiver) -> dict:
    return {
        "model": {"preset": "tiny"},
        "cameras": {"door": {"source": camera.url(), "every": "1s", "timeout": "5s"}},
        "outputs": {
            "log": {"format": "json"},
            "mqtt": broker.config,
            "alerts": {"use": "webhook", "url": receiver.url, "picture": "base64"},
        },
    }


def _showing(camera: RtspCamera, taken_at: str) -> set[int]:
    """Which picture was on when a frame was taken; the camera runs on CLOCK_MONOTONIC.

    Two where the pictures changed within a tenth of a second of it: `taken_at` is in whole milliseconds, and the first
    frame of a picture is sent at the very moment of the change.
    """
    ago = (datetime.now(UTC) - datetime.fromisoformat(taken_at)) / timedelta(seconds=1)
    taken = time.monotonic() - ago - camera.epoch
    return {int((moment % camera.loop_seconds) / camera.seconds_each) for moment in (taken - 0.1, taken + 0.1)}


def _good(observations: list[dict]) -> list[dict]:
    return [observation for observation in observations if observation["caption"] is not None]


def _in_order_once(ids: list[str]) -> list[str]:
    """The ids as they first came; at least once may mean twice."""
    return list(dict.fromkeys(ids))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_captions_reach_log_broker_and_webhook_and_outlive_every_outage(tmp_path: Path):
    scenes = known_scenes(4)
    pictures = [picture for _, picture in scenes]
    async with (
        rtsp_camera(pictures, seconds_each=SECONDS_EACH) as camera,
        Broker.running(tmp_path / "broker") as broker,
        Listener.at(broker, "camscribe/#") as listener,
        Receiver.running() as receiver,
    ):
        config = write_config(tmp_path, _config(camera, broker, receiver))
        async with camscribe("run", "--config", str(config)) as service:
            await _captions_arrive_everywhere(service, listener, receiver, camera, [truth for truth, _ in scenes])
            await _the_camera_goes_and_comes_back(service, camera)
            await _the_broker_goes_and_comes_back(service, broker, listener)
            await _the_webhook_fails_three_times(service, receiver)
            began = time.monotonic()
            assert await service.stop() == 0
            assert time.monotonic() - began < 10
            await listener.until(lambda heard: heard.text("camscribe/status")[-1:] == ["offline"])

        told = [observation["id"] for observation in service.observations]
        assert told == sorted(told)  # UUIDv7: in the order of the looks
        heard = _in_order_once([observation["id"] for observation in listener.heard.json(OBSERVATION)])
        posted = _in_order_once([request.json["id"] for request in receiver.requests])
        assert heard == told
        assert posted == told
    assert not any("Traceback" in line for line in service.err)


async def _captions_arrive_everywhere(
    service: Service, listener: Listener, receiver: Receiver, camera: RtspCamera, truths: list[str]
) -> None:
    await service.until(lambda: len(_good(service.observations)) >= 5)
    for observation in (seen := _good(service.observations)[:5]):
        assert observation["caption"] in {truths[number] for number in _showing(camera, observation["taken_at"])}
        parts = dict(observation["latency_ms"])
        assert parts.pop("total") == sum(parts.values())
        assert observation["camera"] == "door"
        taken, finished = (datetime.fromisoformat(observation[key]) for key in ("taken_at", "finished_at"))
        assert abs((finished - taken) / timedelta(milliseconds=1) - observation["latency_ms"]["total"]) <= 1
    wanted = [observation["id"] for observation in seen]
    await listener.until(lambda heard: len(heard.json(OBSERVATION)) >= 5)
    assert listener.heard.json(OBSERVATION)[:5] == seen
    await eventually(lambda: len(receiver.requests) >= 5)
    assert [request.json["id"] for request in receiver.requests[:5]] == wanted
    await listener.until(lambda heard: heard.json("camscribe/door/state"))
    state = listener.heard.json("camscribe/door/state")[-1]
    assert state["caption"] in truths
    assert len(state["short"]) <= 255
    pictures = listener.heard.on("camscribe/door/picture")
    assert bytes(pictures[0].payload[:2]) == b"\xff\xd8"
    assert listener.heard.text("camscribe/status")[0] == "online"
    assert "online" in listener.heard.text("camscribe/door/availability")


async def _the_camera_goes_and_comes_back(service: Service, camera: RtspCamera) -> None:
    await camera.kill()
    await service.until(lambda: any(o["error"] for o in service.observations))
    await camera.restart()
    before = len(_good(service.observations))
    await service.until(lambda: len(_good(service.observations)) >= before + 2)


async def _the_broker_goes_and_comes_back(service: Service, broker: Broker, listener: Listener) -> None:
    await broker.kill()
    before = len(service.observations)
    await service.until(lambda: len(service.observations) >= before + 3)
    await broker.start()
    latest = service.observations[-1]["id"]
    await listener.until(lambda heard: latest in [o["id"] for o in heard.json(OBSERVATION)], 60)


async def _the_webhook_fails_three_times(service: Service, receiver: Receiver) -> None:
    receiver.answer(500, 500, 500)
    before = len(receiver.requests)
    await eventually(lambda: len(receiver.requests) >= before + 5, 40)
    failed = receiver.requests[before : before + 4]
    assert len({request.json["id"] for request in failed}) == 1  # the same one, until it was taken
    latest = service.observations[-1]["id"]
    await eventually(lambda: latest in [request.json["id"] for request in receiver.requests], 30)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_kill_9_in_the_middle_of_publishing_loses_nothing(tmp_path: Path):
    rounds = 5
    async with (
        Broker.running(tmp_path / "broker") as broker,
        Listener.at(broker, "camscribe/#") as listener,
        Receiver.running() as receiver,
    ):
        outputs = {
            "log": {"format": "json", "file": "log.jsonl"},
            "mqtt": broker.config,
            "alerts": {"use": "webhook", "url": receiver.url},
        }
        cameras = {f"c{n}": {"source": f"demo:{n}", "every": "300ms"} for n in range(4)}
        config = write_config(tmp_path, {"model": {"preset": "tiny"}, "cameras": cameras, "outputs": outputs})
        left: list = []
        for number in range(rounds):
            before = _ids(receiver)
            async with camscribe("run", "--config", str(config)) as service:
                await eventually(lambda before=before: len(_ids(receiver) - before) > 20, 40)
                await asyncio.sleep(0.11 * number)  # another moment each time
                left += service.children()
                service.kill()
                await service.process.wait()
        async with camscribe("run", "--config", str(config)) as service:
            await service.until(lambda: any("watches" in line for line in service.err))
            last = (await asyncio.to_thread(_journaled, tmp_path / "data"))[-1]
            await eventually(lambda: last in [request.json["id"] for request in receiver.requests], 40)
            await listener.until(lambda heard: last in [o["id"] for o in heard.json("camscribe/+/observation")], 40)
            await eventually(lambda: last in (tmp_path / "log.jsonl").read_text(), 40)
            assert await service.stop() == 0
        journaled = await asyncio.to_thread(_journaled, tmp_path / "data")
        told = {
            "webhook": [request.json["id"] for request in receiver.requests],
            "mqtt": [observation["id"] for observation in listener.heard.json("camscribe/+/observation")],
            "log": _logged(tmp_path / "log.jsonl"),
        }
    print(f"{len(journaled)} observations; told " + ", ".join(f"{name} {len(ids)}" for name, ids in told.items()))
    until_stop = journaled.index(last) + 1
    for name, ids in told.items():
        assert _in_order_once(ids)[:until_stop] == journaled[:until_stop], name
    await eventually(lambda: not [child for child in left if lives(child)], 10)


def _ids(receiver: Receiver) -> set[str]:
    return {request.json["id"] for request in receiver.requests}


def _journaled(data_dir: Path) -> list[str]:
    with closing(sqlite3.connect(data_dir / "journal.sqlite3")) as db:
        return [row[0] for row in db.execute("SELECT id FROM observations ORDER BY seq")]


def _logged(path: Path) -> list[str]:
    # A line that kill -9 cut short is followed by the whole one.
    return [json.loads(line)["id"] for line in path.read_text().splitlines() if line.endswith("}")]
