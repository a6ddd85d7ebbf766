"""A changed config.yaml is taken over while everything runs, and no frame, look or observation is lost by it."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent import control
from agent.runtime import control_socket
from tests.fakes.accounts import status, totals, unaccounted
from tests.fakes.service import Service, camscribe, command, write_config
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.slow


def config(**changed: Any) -> dict[str, Any]:
    return {
        "model": {"preset": "tiny"},
        "captioners": {"spare": {"preset": "tiny"}},
        "cameras": {
            "one": {"source": "demo", "every": "200ms", "max_age": "1m"},
            "two": {"source": "demo", "every": "200ms", "max_age": "1m", "captioner": "spare"},
            "asked": {"source": "demo", "max_age": "1m"},
        },
        "outputs": {"log": {"format": "json"}},
        **changed,
    }


@asynccontextmanager
async def running(folder: Path, first: dict[str, Any]) -> AsyncIterator[Service]:
    async with camscribe("run", "--config", str(write_config(folder, first))) as service:
        await service.until(lambda: {o["camera"] for o in captions(service)} >= {"one"}, 60)
        yield service
        assert not any("Traceback" in line for line in service.err), service.err


def captions(service: Service, **wanted: Any) -> list[dict[str, Any]]:
    good = [o for o in service.observations if o["caption"] is not None]
    return [o for o in good if all(o[key] == value for key, value in wanted.items())]


def taken_over(service: Service) -> list[str]:
    return [line for line in service.err if "is taken over" in line]


def engines(service: Service) -> list[psutil.Process]:
    """The processes that serve the models: the leaves below camscribe."""
    return [child for child in service.children() if not child.children()]


async def told(folder: Path, condition: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the service's status says so."""
    async with asyncio.timeout(20):
        while not condition(await status(folder)):  # noqa: ASYNC110  another process tells when it is asked
            await asyncio.sleep(0.05)


async def every_frame_is_accounted_for(service: Service, folder: Path, last: dict[str, Any]) -> dict[str, int]:
    """Switch all cameras off, so that nothing new comes, and let what is under way end."""
    before = len(taken_over(service))
    off = {id_: {**camera, "enabled": False} for id_, camera in last["cameras"].items()}
    write_config(folder, {**last, "cameras": off})
    await service.until(lambda: len(taken_over(service)) > before)
    counters: dict[str, int] = {}
    async with asyncio.timeout(30):
        while not counters or unaccounted(counters):
            counters = (await status(folder))["counters"]
    sums = totals(counters)
    assert sums["bugs_total"] == 0
    assert sums["captions_failed_total"] == 0, counters
    reasons = {name for name in counters if name.startswith("frames_dropped_total")}
    assert all('reason="overtaken"' in name or 'reason="switched_off"' in name for name in reasons), reasons
    return counters


async def test_a_changed_engine_takes_over_while_frames_wait_and_a_look_is_in_flight(tmp_path: Path):
    async with running(tmp_path, config()) as service:
        await service.until(lambda: captions(service, camera="two"), 60)
        victims = engines(service)
        assert len(victims) == 2
        for victim in victims:
            victim.suspend()  # what is in flight stays in flight
        request = {"do": "look", "camera": "asked"}
        looks = [asyncio.create_task(control.ask(control_socket(tmp_path / "data"), request, 60)) for _ in range(2)]
        await told(tmp_path, lambda status: status["queued"] >= 2)
        new = config(model={"preset": "tiny", "parallel": 2})
        new["cameras"]["two"]["captioner"] = "default"  # what waits for the spare one moves over
        new["cameras"]["three"] = {"source": "demo", "every": "500ms"}
        write_config(tmp_path, new)
        await told(tmp_path, lambda status: "three" in status["cameras"])
        assert not taken_over(service), "the new engine waits for what is in flight"
        assert not any(victim.status() == psutil.STATUS_ZOMBIE for victim in victims), "ended before its work was"
        for victim in victims:
            victim.resume()
        for reply in await asyncio.gather(*looks):
            assert reply["observation"]["caption"], reply
        (said,) = await service.until(lambda: taken_over(service))
        assert said.endswith("model (parallel), camera three added, camera two (captioner).")
        await eventually(lambda: len(engines(service)) == 1, 10)
        assert engines(service)[0].pid not in {victim.pid for victim in victims}
        before = len(captions(service, camera="two", captioner="default"))
        await service.until(lambda: len(captions(service, camera="two", captioner="default")) > before + 1)
        await service.until(lambda: captions(service, camera="three"))
        await every_frame_is_accounted_for(service, tmp_path, new)
        assert await service.stop() == 0


async def test_a_stop_in_the_middle_of_a_reload_ends_in_time(tmp_path: Path):
    async with running(tmp_path, config()) as service:
        for victim in engines(service):
            victim.suspend()
        await told(tmp_path, lambda status: status["queued"] >= 2)
        new = config(model={"preset": "tiny", "parallel": 2})
        new["cameras"]["three"] = {"source": "demo"}
        write_config(tmp_path, new)
        await told(tmp_path, lambda status: "three" in status["cameras"])
        assert not taken_over(service), "it waits for what is in flight"
        began = time.monotonic()
        assert await service.stop() == 0
        assert time.monotonic() - began < 10


async def test_a_faulty_file_changes_nothing_and_is_told_once(tmp_path: Path):
    async with running(tmp_path, config()) as service:
        broken = config(model={"preset": "tinny"})
        broken["cameras"]["one"]["every"] = "1 fortnight"
        write_config(tmp_path, broken)
        await service.until(lambda: any("the config that runs goes on" in line for line in service.err))
        errors = [line for line in service.err if " ERROR " in line]
        assert len(errors) == 3, errors  # as check prints them: a line a fault, and a closing one
        assert "cameras.one.every" in "".join(errors)
        before = len(captions(service))
        await service.until(lambda: len(captions(service)) > before + 20)
        assert [line for line in service.err if " ERROR " in line] == errors
        write_config(tmp_path, config())
        await service.until(lambda: any("is good again" in line for line in service.err))
        good = config()
        good["cameras"]["one"]["prompt"] = "What is there?"
        write_config(tmp_path, good)
        await service.until(lambda: captions(service, prompt="What is there?"))
        assert await service.stop() == 0


async def test_an_output_that_changes_goes_on_where_it_was(tmp_path: Path):
    def written(name: str) -> list[str]:
        path = tmp_path / name
        return [json.loads(line)["id"] for line in path.read_text().splitlines()] if path.exists() else []

    def writing_to(name: str) -> dict[str, Any]:
        return config(outputs={"log": {"format": "json"}, "kept": {"use": "log", "format": "json", "file": name}})

    async with running(tmp_path, writing_to("first")) as service:
        await eventually(lambda: len(written("first")) > 5)
        write_config(tmp_path, writing_to("second"))
        await eventually(lambda: len(written("second")) > 5)
        both = [*written("first"), *written("second")]
        assert both == list(dict.fromkeys(both))
        everything = [o["id"] for o in service.observations]
        assert both[: len(everything)] == everything[: len(both)]
        write_config(tmp_path, config())
        await service.until(lambda: any("output kept removed" in line for line in service.err))
        before, missed = len(service.observations), len(written("second"))
        await service.until(lambda: len(service.observations) > before + 5)
        write_config(tmp_path, writing_to("second"))  # as after a file that was saved by half
        await eventually(lambda: len(written("second")) > missed + 10)
        both = [*written("first"), *written("second")]
        everything = [o["id"] for o in service.observations]
        assert both[: len(everything)] == everything[: len(both)], "back under its name it goes on where it was"
        assert await service.stop() == 0


async def test_a_camera_that_goes_is_forgotten_and_its_looks_are_answered(tmp_path: Path):
    async with running(tmp_path, config()) as service:
        for victim in (victims := engines(service)):
            victim.suspend()
        request = {"do": "look", "camera": "two", "prompt": "And now?"}
        looks = [
            asyncio.create_task(control.ask(control_socket(tmp_path / "data"), {**request, "prompt": prompt}, 60))
            for prompt in ("One?", "Two?", "Three?")
        ]
        await told(tmp_path, lambda status: status["queued"] >= 3)
        less = config()
        del less["cameras"]["two"]
        del less["captioners"]
        write_config(tmp_path, less)
        await told(tmp_path, lambda status: set(status["cameras"]) == {"one", "asked"})
        for victim in victims:
            victim.resume()
        answers = [(await look)["observation"] for look in looks]
        assert all(answer["caption"] or answer["error"]["kind"] == "stopped" for answer in answers), answers
        assert any(answer["error"] for answer in answers)
        await service.until(lambda: taken_over(service))
        assert set((await status(tmp_path))["cameras"]) == {"one", "asked"}
        reply = await control.ask(control_socket(tmp_path / "data"), request, 60)
        assert reply == {"error": "There is no camera 'two' in the running service."}
        counters = (await status(tmp_path))["counters"]
        assert any('reason="removed"' in name for name in counters), counters
        assert await service.stop() == 0


async def test_a_stop_answers_the_looks_of_a_camera_that_has_just_gone(tmp_path: Path):
    one = {"source": "demo", "every": "200ms", "captioner": "spare"}
    alone = config(cameras={"one": one})
    async with running(tmp_path, config(cameras={"one": one, "asked": {"source": "demo"}})) as service:
        await eventually(lambda: len(engines(service)) == 2)
        for victim in engines(service):
            victim.suspend()
        request = {"do": "look", "camera": "asked"}
        look = asyncio.create_task(control.ask(control_socket(tmp_path / "data"), request, 60))
        await told(tmp_path, lambda status: 'frames_total{camera="asked"}' in status["counters"])
        write_config(tmp_path, alone)
        await told(tmp_path, lambda status: set(status["cameras"]) == {"one"})
        assert await service.stop() == 0
        assert (await look)["observation"]["error"]["kind"] == "stopped"


async def test_a_camera_with_a_new_source_that_fails_as_the_old_one_did_says_so(tmp_path: Path):
    def looking_at(path: str) -> dict[str, Any]:
        nobody = {"source": f"rtsp://127.0.0.1:9/{path}", "every": "300ms"}
        return config(cameras={**config()["cameras"], "gone": nobody})

    def said(service: Service) -> int:
        return sum("gone: no caption (unreachable)" in line for line in service.err)

    async with running(tmp_path, looking_at("old")) as service:
        await service.until(lambda: said(service) == 1)
        write_config(tmp_path, looking_at("new"))
        await service.until(lambda: said(service) == 2)
        assert taken_over(service)[0].endswith("camera gone (source).")
        assert await service.stop() == 0


@pytest.mark.parametrize("how", ["command", "signal"])
async def test_a_file_that_is_not_watched_is_taken_over_when_somebody_says_so(tmp_path: Path, how: str):
    async with running(tmp_path, config(reload="manual")) as service:
        new = config(reload="manual")
        new["cameras"]["one"]["prompt"] = "What is there?"
        path = write_config(tmp_path, new)
        before = len(captions(service))
        await service.until(lambda: len(captions(service)) > before + 20)
        assert not taken_over(service)
        if how == "signal":
            service.process.send_signal(signal.SIGHUP)
        else:
            asking = await asyncio.create_subprocess_exec(
                *command("reload", "--config", str(path)), stdout=asyncio.subprocess.PIPE
            )
            said, _ = await asking.communicate()
            assert (asking.returncode, said.decode()) == (0, f"{path} is taken over: camera one (prompt).\n")
        await service.until(lambda: captions(service, prompt="What is there?"))
        assert await service.stop() == 0


async def test_what_needs_a_restart_is_said(tmp_path: Path):
    async with running(tmp_path, config()) as service:
        write_config(tmp_path, config(data_dir=str(tmp_path / "elsewhere"), keep={"days": 3}))
        await service.until(lambda: taken_over(service))
        (warning,) = [line for line in service.err if "needs a restart" in line]
        assert "data_dir changed" in warning
        assert taken_over(service)[0].endswith("keep.")
        assert await service.stop() == 0
    assert not (tmp_path / "elsewhere").exists()
