"""``camscribe model``, as its user runs it, against a hub of its own (tests/fakes/hub.py)."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.hub import BIG, REPO, FakeHub, fake_hub, make_repository
from tests.fakes.service import Service, camscribe, command, write_config
from tests.fakes.waiting import eventually

SMALL, LARGE = f"{REPO}:F16", f"{REPO}:Q8_0"


@dataclass
class Home:
    """A user's machine: a config, a home folder, an environment."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    async def model(self, *arguments: str, config: bool = True) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        named = ["--config", str(self.config)] if config else []
        async with camscribe("model", *arguments, *named, env=self.env, cwd=self.folder) as run:
            status = await asyncio.wait_for(run.process.wait(), 60)
            await asyncio.gather(*run._readers)
            return status, "\n".join(run.out), "\n".join(run.err)

    async def listed(self, **options: bool) -> dict[str, dict[str, Any]]:
        status, out, err = await self.model("list", "--json", **options)
        assert (status, err) == (0, "")
        return {entry["name"]: entry for entry in json.loads(out)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    write_config(
        tmp_path,
        {
            "model": {"hf": SMALL},
            "captioners": {"drawn": {"preset": "tiny"}},
            "cameras": {"door": {"source": "demo", "enabled": False}},
        },
    )
    env = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "share"), "XDG_CONFIG_HOME": str(tmp_path / "none")}
    env |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "", "COLUMNS": "200", "HF_HUB_DOWNLOAD_TIMEOUT": "3"}
    return Home(tmp_path, env)


@pytest_asyncio.fixture
async def hub(tmp_path: Path, home: Home) -> AsyncIterator[FakeHub]:
    await asyncio.to_thread(make_repository, tmp_path / "hub")
    async with fake_hub(tmp_path / "hub") as running:
        home.env["HF_ENDPOINT"] = running.url
        yield running


def parts(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.part"))


async def test_list_works_without_a_config_and_without_a_network(home: Home):
    home.config.unlink()
    entries = await home.listed(config=False)
    assert [name for name, entry in entries.items() if entry["default"]] == ["smolvlm-500m"]
    assert [name for name, entry in entries.items() if entry["complete"]] == ["tiny"]
    assert all(entry["plugin"] for entry in entries.values())
    status, out, err = await home.model("list", config=False)
    assert (status, err) == (0, "")
    assert re.search(r"^smolvlm-500m +546 MB +900 MB +no +Small and quick", out, re.MULTILINE)
    assert re.search(r"^tiny +- +100 MB +built in ", out, re.MULTILINE)
    assert f"{home.folder}/share/camscribe/models (without a config)" in out


async def test_pull_list_rm(home: Home, hub: FakeHub):
    status, out, err = await home.model("pull", SMALL)
    assert (status, err) == (0, "")
    *lines, last = out.splitlines()
    assert lines[0] == "Tiny-F16.gguf: 0.0 MB of 1.4 MB"
    assert lines[-1] == "mmproj-Tiny-F16.gguf: 2.1 MB of 2.1 MB"
    assert last == f"{SMALL} is here: {home.folder}/data/models/owner--Tiny-GGUF"
    entry = (await home.listed())[SMALL]
    assert entry["complete"]
    assert entry["used_by"] == ["default"]
    assert "(in use by model:)" in (await home.model("list"))[1]
    assert "(in use by captioner drawn)" in (await home.model("list"))[1]

    hub.requests.clear()
    assert (await home.model("pull", SMALL))[0] == 0
    assert hub.requests == []

    status, out, err = await home.model("rm", SMALL)
    assert status == 0
    assert out == f"{SMALL} is deleted: 3.5 MB are free again."
    assert err == f"But {home.config} uses it (model:): the next start downloads it again."
    assert SMALL not in await home.listed()
    assert await asyncio.to_thread(lambda: list((home.folder / "data" / "models").rglob("*"))) == []


async def test_ctrl_c_keeps_what_is_there_and_says_how_to_go_on(home: Home, hub: FakeHub):
    await hub.set(bytes_a_second=2_000_000)
    async with camscribe("model", "pull", LARGE, "-c", str(home.config), env=home.env) as run:
        await eventually(lambda: parts(home.folder) > 1_000_000)
        run.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(run.process.wait(), 10) == 1
        await asyncio.gather(*run._readers)
    assert run.err == [
        f"Stopped. What has arrived is kept. Go on with: camscribe model pull {LARGE} --config {home.config}"
    ]
    assert re.search(rf"^{LARGE} .* \d\d? % ", (await home.model("list"))[1], re.MULTILINE)
    await hub.set()
    assert (await home.model("pull", LARGE))[0] == 0
    assert len(hub.ranges) == 1


async def test_terminal_gets_bars_with_size_speed_and_time(home: Home, hub: FakeHub):
    await hub.set(bytes_a_second=6_000_000)
    shown = await on_a_terminal(["model", "pull", LARGE, "-c", str(home.config)], home.env)
    assert re.search(r"Tiny-Q8_0\.gguf .*\d+\.\d/12\.0 MB +\d+\.\d MB/s +0?0:0\d", shown)
    assert f"{LARGE} is here" in shown


async def on_a_terminal(arguments: list[str], env: dict[str, str]) -> str:
    """What a terminal of 120 columns is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    screen = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | env | {"TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(*command(*arguments), stdout=theirs, stderr=theirs, env=screen)
    os.close(theirs)

    def read() -> bytes:
        sent = b""
        with suppress(OSError):  # what Linux says at the end of a terminal
            while piece := os.read(ours, 65536):
                sent += piece
        return sent

    sent = await asyncio.to_thread(read)
    os.close(ours)
    assert await process.wait() == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent.decode())


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["pull", "smolvlm-500"], 2, r"There is no model 'smolvlm-500'\. Did you mean smolvlm-500m\?"),
        (["pull", "smolvlm-500m"], 1, r"can't be reached .* Check the network"),
        (["rm", "smolvlm-500m"], 2, "Nothing of smolvlm-500m is on this machine"),
        (["rm", "tiny"], 2, "tiny comes with camscribe"),
        (["pull", "owner/"], 2, "write owner/repo"),
        (["pull"], 2, "Missing argument"),
        (["list", "--config", "/nowhere.yaml"], 2, "/nowhere.yaml"),
    ],
    ids=str,
)
async def test_faults_are_sentences_and_exit_statuses(home: Home, arguments: list[str], status: int, sentence: str):
    ended, out, err = await home.model(*arguments, config="--config" not in arguments)
    assert ended == status
    assert re.search(sentence, err.replace("\n", " "))
    assert "Traceback" not in out + err


async def test_full_disk_is_told_before_the_download(home: Home, hub: FakeHub):
    await hub.set(claimed_size=10**15)
    status, _, err = await home.model("pull", SMALL)
    assert status == 2
    assert "needs 2,000,000.0 GB more" in err


async def test_wrong_checksum_is_refused(home: Home, hub: FakeHub):
    await hub.set(wrong_byte=True)
    status, _, err = await home.model("pull", SMALL)
    assert status == 2
    assert "wrong checksum" in err
    assert not (await home.listed()).get(SMALL, {"complete": False})["complete"]


async def test_config_with_a_fault_is_told_with_its_line(home: Home):
    home.config.write_text("model: {preset: smolvlm}\ncameras: {}\n")
    status, _, err = await home.model("list")
    assert status == 2
    assert "config.yaml:1" in err


@pytest.mark.parametrize("name", ["list", "pull", "rm"])
async def test_help_has_an_example(home: Home, name: str):
    status, out, _ = await home.model(name, "--help", config=False)
    assert status == 0
    assert f"Example: camscribe model {name}" in out


async def test_service_and_pull_at_once_download_it_once(home: Home, hub: FakeHub):
    await hub.set(bytes_a_second=1_000_000)
    async with camscribe("run", "-c", str(home.config), env=home.env) as service:
        await service.until(lambda: parts(home.folder) > 100_000)
        assert (await home.model("pull", SMALL))[0] == 0
        await service.until(lambda: any("engine ready" in line for line in service.err), 60)
        assert len([request for request in hub.requests if request["content"]]) == 2
        status, _, err = await home.model("rm", SMALL)
        assert status == 0
        assert "the running service keeps it in memory until it ends" in err
        assert await service.stop() == 0


@pytest.mark.parametrize("faults", [{"bytes_a_second": 100_000}, {"silent": "api"}, {"silent": "file"}], ids=str)
async def test_service_is_stopped_in_the_middle_of_a_download(home: Home, hub: FakeHub, faults: dict[str, Any]):
    await hub.set(**faults)
    async with camscribe("run", "-c", str(home.config), env=home.env) as service:
        await service.until(_asked(hub, content=faults != {"silent": "api"}))
        assert await service.stop(within=5) == 0
    assert not any("Traceback" in line for line in service.err)


def _asked(hub: FakeHub, *, content: bool) -> Callable[[], bool]:
    return lambda: any(request["content"] == content for request in hub.requests)


async def test_service_starts_without_asking_anybody_where_the_model_is_here(home: Home, hub: FakeHub):
    assert (await home.model("pull", SMALL))[0] == 0
    hub.requests.clear()
    async with camscribe("run", "-c", str(home.config), env=home.env) as service:
        await _ready(service)
        assert await service.stop() == 0
    assert hub.requests == []


async def _ready(service: Service) -> None:
    await service.until(lambda: any("engine ready" in line for line in service.err), 60)


async def test_service_takes_up_a_download_that_pull_began(home: Home, hub: FakeHub):
    write_config(home.folder, {"model": {"hf": LARGE}, "cameras": {"door": {"source": "demo", "enabled": False}}})
    await hub.set(bytes_a_second=2_000_000)
    async with camscribe("model", "pull", LARGE, "-c", str(home.config), env=home.env) as run:
        await eventually(lambda: parts(home.folder) > 1_000_000)
        run.kill()
    await hub.set()
    async with camscribe("run", "-c", str(home.config), env=home.env) as service:
        await service.until(lambda: any("downloaded owner/Tiny-GGUF:Q8_0" in line for line in service.err), 60)
        assert await service.stop() == 0
    (asked,) = hub.ranges
    assert 1_000_000 <= int(asked.removeprefix("bytes=").rstrip("-")) < BIG
