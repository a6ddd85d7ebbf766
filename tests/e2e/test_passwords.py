"""Seventeen odd passwords through the whole service at its most talkative: all get in, and none gets out."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from agent import control
from agent.runtime import control_socket
from tests.fakes import number_reader
from tests.fakes.passwords import PASSWORDS, USER, leaks, may_stand_raw
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.service import ROOT, Service, camscribe, write_config

RIGHT, WRONG = ("setting", "url"), ("wrong",)


def config_of(folder: Path, sources: Mapping[str, Any]) -> Path:
    plugins = folder / "plugins"
    plugins.mkdir(exist_ok=True)
    shutil.copy(number_reader.__file__, plugins)
    return write_config(
        folder,
        {
            "plugins_dir": str(plugins),
            "model": {"use": "number_reader"},
            "cameras": {id_: {"source": source, "every": "5s"} for id_, source in sources.items()},
            "outputs": {"log": {"format": "json"}},
        },
    )


def sources(camera: RtspCamera) -> dict[str, Any]:
    """Each password as a setting and in the URL, raw where that works; one method of authentication for each."""
    found: dict[str, Any] = {}
    for number, (path, password) in enumerate(paths().items()):
        place = f"{camera.host}:{camera.port}{path}"
        auth = ("digest", "basic") if number % 2 else ("basic", "digest")
        settings = {"use": "rtsp", "url": f"rtsp://{place}?auth={auth[0]}", "username": USER}
        found[f"setting_{number}"] = {**settings, "password": password}
        found[f"wrong_{number}"] = {**settings, "password": f"{password}x"}
        written = password if may_stand_raw(password) else quote(password, safe="")
        found[f"url_{number}"] = f"rtsp://{USER}:{written}@{place}?auth={auth[1]}"
    return found


def paths() -> dict[str, str]:
    return {f"/pw/{number}": password for number, password in enumerate(PASSWORDS)}


async def said_by(*arguments: str) -> str:
    """What another camscribe prints, all of it, on lines so long that no password is broken at their end."""
    async with camscribe(*arguments, env={"PYTHONPATH": str(ROOT), "COLUMNS": "2000"}) as other:
        await asyncio.wait_for(other.process.wait(), 60)
    return "\n".join([*other.out, *other.err])


def process_list(service: Service) -> str:
    """What ``ps`` shows to everybody, and the environment that the service's children were given."""
    lines = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            lines += process.cmdline()
    for process in [psutil.Process(service.process.pid), *service.children()]:
        lines += process.environ().values()
    return "\n".join(lines)


def files_below(folder: Path) -> Iterable[str]:
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.read_bytes().decode("utf-8", "replace")


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_password_gets_in_and_none_gets_out(tmp_path: Path) -> None:
    picture = {"fps": 5, "gop": 5, "size": (160, 120), "numbers": 20}
    async with rtsp_camera(user=USER, passwords=paths(), **picture) as camera:
        config = config_of(tmp_path, sources(camera))
        option = ("--config", str(config))
        said: dict[str, str] = {}
        async with camscribe("run", "--verbose", *option, env={"PYTHONPATH": str(ROOT)}) as service:

            def told(*kinds: str, good: bool) -> set[str]:
                looks = [look for look in service.observations if look["camera"].startswith(kinds)]
                return {look["camera"] for look in looks if (look["error"] is None) == good}

            many = len(PASSWORDS)
            await service.until(lambda: len(told(*RIGHT, good=True)) == 2 * many, 60)
            await service.until(lambda: len(told(*WRONG, good=False)) == many, 30)
            said["status"] = json.dumps(await control.ask(control_socket(tmp_path / "data"), {"do": "status"}, 5))
            said["doctor"] = await said_by("doctor", *option)
            said["doctor --json"] = await said_by("doctor", "--json", *option)
            said["look"] = await said_by("look", "wrong_3", "--verbose", *option)
            said["process list"] = process_list(service)
            assert await service.stop() == 0
        said["log"] = "\n".join(service.err)
        said["observations"] = "\n".join(service.out)
        said["check"] = await said_by("check", *option)
        said["doctor by itself"] = await said_by("doctor", *option)
        said["look by itself"] = await said_by("look", "setting_3", "--verbose", *option)
        said["wrong look by itself"] = await said_by("look", "wrong_4", "--verbose", "--json", *option)
        said["files"] = "\n".join(files_below(tmp_path / "data"))

    assert {where: found for where, text in said.items() if (found := leaks(text))} == {}
    assert {look["error"]["kind"] for look in service.observations if look["error"]} == {"unauthorized"}
    assert "connecting to" in said["log"]  # it was talkative
    assert "wrong_16" in said["status"]
    assert "wrong_16" in said["doctor"]
    assert "refused the user name or password" in said["doctor by itself"]
    assert "refused the user name or password" in said["look"]
    assert "good" in said["check"]


@pytest.mark.parametrize("mistake", ["port", "key", "space behind the host", "number"])
async def test_a_mistake_beside_a_password_does_not_show_it(tmp_path: Path, mistake: str) -> None:
    sources: dict[str, Any] = {}
    for number, password in enumerate(PASSWORDS):
        place = "192.168.1.20:554/stream1"
        written = password if may_stand_raw(password) else quote(password, safe="")
        sources[f"camera_{number}"] = {
            "port": f"rtsp://{USER}:{written}@192.168.1.20:port/stream1",
            "key": {"use": "rtsp", "url": f"rtsp://{place}", "usrname": USER, "pasword": password},
            "space behind the host": f"rtsp://{USER}:{written}@{place} stream1",
            "number": {"use": "rtsp", "url": f"rtsp://{place}", "password": [password]},
        }[mistake]
    said = await said_by("check", "--config", str(config_of(tmp_path, sources)))
    assert leaks(said) == {}
    assert f"cameras.camera_{len(PASSWORDS) - 1}.source" in said
    assert "Traceback" not in said
