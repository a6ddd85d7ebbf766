"""Downloads, from a real process that speaks Hugging Face's API (tests/fakes/hub.py)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from agent.plugin import Misconfigured, Progress
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.llama_server import hub
from plugins.captioners.llama_server.downloader import WAITING
from plugins.captioners.llama_server.presets import Files, Hosted
from plugins.captioners.llama_server.refusals import NoRoom
from tests.fakes.hub import COMMIT, REPO, SIGNATURE, FakeHub, fake_hub, make_repository
from tests.fakes.service import ROOT, lives
from tests.fakes.waiting import eventually
from tests.plugins.captioners.llama_server.conftest import Running

LOG = logging.getLogger("camscribe.captioner.default")
SMALL, LARGE = Hosted(REPO, "F16"), Hosted(REPO, "Q8_0")
TOKEN = "hf_nobodyMaySeeThis"


@pytest_asyncio.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    await asyncio.to_thread(make_repository, tmp_path / "hub")
    async with fake_hub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
        monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "2")
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def fetch(data: Path, origin: Hosted = SMALL, progress: Callable[[Progress], None] = lambda _: None) -> Files:
    return await hub.fetch(origin, data, LOG, progress)


def same(one: Path, other: Path) -> bool:
    return hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest()


async def is_same(one: Path, other: Path) -> bool:
    return await asyncio.to_thread(same, one, other)


def files(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith((".json", ".lock"))
    )


async def arrived(data: Path, size: int) -> None:
    """Until that much of a download is on the disk."""
    await eventually(lambda: any(path.stat().st_size >= size for path in data.rglob("*.part")))


async def test_model_is_downloaded_once_and_captions(server: FakeHub, running: Running, data: Path):
    async with running(preset=None, hf=str(SMALL)) as engine:
        await engine.ready(60)
        assert engine.model == "Tiny-GGUF"
    server.requests.clear()
    model = await fetch(data)
    assert server.requests == []
    assert await is_same(model.model, server.file("Tiny-F16.gguf"))
    assert await asyncio.to_thread(files, data) == ["Tiny-F16.gguf", "mmproj-Tiny-F16.gguf"]


async def test_what_is_asked_is_a_fixed_commit_and_nothing_about_the_user(server: FakeHub, data: Path):
    await fetch(data)
    asked = [request["path"] for request in server.requests if not request["content"]]
    assert asked == [
        f"/api/models/{REPO}?blobs=true",
        f"/{REPO}/resolve/{COMMIT}/Tiny-F16.gguf",
        f"/{REPO}/resolve/{COMMIT}/mmproj-Tiny-F16.gguf",
    ]
    assert all(request["agent"].startswith("camscribe/") for request in server.requests)


async def test_progress_is_told_in_bytes_up_to_the_whole(server: FakeHub, data: Path):
    await server.set(bytes_a_second=2_000_000)
    told: list[Progress] = []
    await fetch(data, SMALL, told.append)
    model = [step for step in told if step.file == "Tiny-F16.gguf"]
    assert model[0].done == 0
    assert len(model) > 2
    assert [step.done for step in model] == sorted(step.done for step in model)
    assert all(step.done == step.total for step in (model[-1], told[-1]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": None},
        {"size": "12"},
        {"size": -1},
        {"rfilename": "\0-F16.gguf"},
        {"rfilename": "\x1b[2J-F16.gguf"},
        {"rfilename": f"{'x' * 300}-F16.gguf"},
        {"lfs": {"sha256": "../../x", "size": 1, "pointerSize": 1}},
    ],
    ids=str,
)
async def test_list_that_makes_no_sense_is_told_and_nothing_is_written(server: FakeHub, data: Path, wrong: dict):
    await server.set(
        listed=[{"rfilename": "Tiny-F16.gguf", "size": 5} | wrong, {"rfilename": "mmproj.gguf", "size": 5}]
    )
    with pytest.raises(NotStarted, match="makes no sense"):
        await fetch(data)
    assert await asyncio.to_thread(files, data) == []


async def test_list_without_an_end_is_told(server: FakeHub, data: Path):
    await server.set(more_files=200_000)
    with pytest.raises(NotStarted, match="makes no sense"):
        await fetch(data)


async def test_files_stay_in_their_folder_whatever_they_are_called(server: FakeHub, data: Path):
    names = ("../../Tiny-F16.gguf", "/tmp/mmproj-F16.gguf")
    await server.set(listed=[{"rfilename": name, "size": 5, "lfs": {"sha256": "a" * 64, "size": 5, "pointerSize": 1}}
                             for name in names])  # fmt: skip
    with pytest.raises((NotStarted, Misconfigured)):
        await fetch(data)
    plan = await asyncio.to_thread(hub.Plan.read, hub.plan_of(SMALL, data))
    assert plan
    assert (plan.model, plan.mmproj) == ("Tiny-F16.gguf", "mmproj-F16.gguf")


async def test_two_files_of_one_name_are_not_mistaken_for_each_other(server: FakeHub, data: Path):
    names = ("text/Tiny-F16.gguf", "mmproj/Tiny-F16.gguf")
    await server.set(listed=[{"rfilename": name, "size": 5} for name in names])
    with pytest.raises(Misconfigured, match=r"several files called Tiny-F16\.gguf"):
        await fetch(data)


async def test_broken_connection_is_taken_up_again_where_it_broke(server: FakeHub, data: Path):
    await server.set(breaks_after=4_000_000)
    model = await fetch(data, LARGE)
    assert len(server.ranges) >= 2
    assert "bytes=0-" not in server.ranges
    assert await is_same(model.model, server.file("Tiny-Q8_0.gguf"))


async def test_download_goes_on_after_camscribe_was_killed(server: FakeHub, data: Path):
    await server.set(bytes_a_second=2_000_000)
    script = (
        "import asyncio, logging, pathlib, sys; from plugins.captioners.llama_server import hub, presets;"
        f"asyncio.run(hub.fetch(presets.hosted({str(LARGE)!r}), pathlib.Path(sys.argv[1]), logging.getLogger()))"
    )
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(data), cwd=ROOT)
    await arrived(data, 1_000_000)
    (fetcher,) = await asyncio.to_thread(psutil.Process(agent.pid).children)
    agent.send_signal(signal.SIGKILL)
    await agent.wait()
    await eventually(lambda: not lives(fetcher))  # nothing goes on downloading for nobody
    assert await asyncio.to_thread(hub.on_disk, LARGE, data) is None
    await server.set()
    model = await fetch(data, LARGE)
    (asked,) = server.ranges
    assert int(asked.removeprefix("bytes=").rstrip("-")) >= 1_000_000
    assert await is_same(model.model, server.file("Tiny-Q8_0.gguf"))


async def test_server_that_knows_no_ranges_sends_it_anew(server: FakeHub, data: Path):
    await server.set(breaks_after=8_000_000)
    task = asyncio.create_task(fetch(data, LARGE))
    await arrived(data, 4_000_000)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await server.set(no_ranges=True)
    model = await fetch(data, LARGE)
    assert await is_same(model.model, server.file("Tiny-Q8_0.gguf"))


async def test_other_file_of_the_same_name_is_not_put_behind_the_old_part(server: FakeHub, data: Path):
    await server.set(bytes_a_second=1_000_000)
    task = asyncio.create_task(fetch(data, LARGE))
    await arrived(data, 500_000)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(server.file("Tiny-Q8_0.gguf").write_bytes, os.urandom(3_000_000))
    await server.set()
    model = await fetch(data, LARGE)
    assert server.ranges == []
    assert await is_same(model.model, server.file("Tiny-Q8_0.gguf"))
    assert await asyncio.to_thread(files, data) == ["Tiny-Q8_0.gguf", "mmproj-Tiny-F16.gguf"]


async def test_wrong_checksum_is_refused_and_the_file_deleted(
    server: FakeHub, data: Path, caplog: pytest.LogCaptureFixture
):
    await server.set(wrong_byte=True)
    with pytest.raises(Misconfigured, match=r"Tiny-F16\.gguf from .* \(wrong checksum\), and was deleted"):
        await fetch(data)
    assert await asyncio.to_thread(files, data) == []
    assert await asyncio.to_thread(hub.on_disk, SMALL, data) is None
    assert "It is fetched once more." in caplog.text
    assert len([request for request in server.requests if request["content"]]) == 2


async def test_file_that_nobody_vouches_for_is_refused(server: FakeHub, data: Path):
    await server.set(no_checksums=True)
    with pytest.raises(Misconfigured, match=r"doesn't tell the checksum of Tiny-F16\.gguf"):
        await fetch(data)


async def test_full_disk_is_told_before_anything_is_downloaded(server: FakeHub, data: Path):
    await server.set(claimed_size=10**15)
    with pytest.raises(NoRoom, match=r"needs 2,000,000\.0 GB more, .* has [\d.,]+ .B free\. Make room"):
        await fetch(data)
    assert not [request for request in server.requests if request["content"]]


async def test_only_what_is_missing_needs_room(server: FakeHub, data: Path, monkeypatch: pytest.MonkeyPatch):
    await fetch(data)
    free = await asyncio.to_thread(hub.free_bytes, data)
    monkeypatch.setattr(hub, "MARGIN", free + 10**9)
    with pytest.raises(NoRoom, match="needs 12 MB more"):
        await fetch(data, LARGE)  # its projector is here


async def test_nobody_there_is_said_with_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://someone:hunter2@127.0.0.1:9")
    with pytest.raises(
        NotStarted, match=r"can't be reached .* HF_ENDPOINT a mirror\), or name your own files"
    ) as error:
        await fetch(data)
    assert "hunter2" not in str(error.value)


async def test_address_that_is_none_is_said(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror.com")
    with pytest.raises(Misconfigured, match=r"HF_ENDPOINT .* is no address"):
        await fetch(data)


async def test_offline_means_offline(server: FakeHub, data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Misconfigured, match="HF_HUB_OFFLINE forbids"):
        await fetch(data)
    assert server.requests == []


async def test_proxy_is_used(server: FakeHub, data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(NotStarted, match=r"http://hub\.invalid can't be reached"):
        await fetch(data)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    with pytest.raises(Misconfigured, match=r"http://hub\.invalid has no repository"):
        await fetch(data)
    assert server.requests[0]["path"] == f"http://hub.invalid/api/models/{REPO}?blobs=true"


@pytest.mark.parametrize(
    ("faults", "error", "sentence"),
    [
        ({"status": 404, "error_code": "RepoNotFound"}, Misconfigured, "has no repository .* set HF_TOKEN"),
        ({"status": 401}, Misconfigured, "has no repository"),
        ({"status": 403, "error_code": "GatedRepo"}, Misconfigured, "licence accepted first: .*set HF_TOKEN"),
        ({"status": 429}, NotStarted, "asked too often"),
        ({"status": 503}, NotStarted, "HTTP 503"),
        ({"file_status": 500}, NotStarted, "HTTP 500"),
        ({"html": True}, NotStarted, "log-in page"),
        ({"silent": "api"}, NotStarted, "gives no answer"),
    ],
    ids=str,
)
async def test_refusals_are_told_apart(
    server: FakeHub, data: Path, faults: dict[str, object], error: type[Exception], sentence: str
):
    await server.set(**faults)
    with pytest.raises(error, match=sentence):
        await fetch(data)


async def test_token_is_shown_to_the_hub_and_to_nobody_else(
    server: FakeHub, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    await server.set(token=TOKEN)
    with pytest.raises(Misconfigured, match="set HF_TOKEN"):
        await fetch(data)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_DEBUG", "1")  # the library would log every request, as a curl command
    await server.set(token=TOKEN, breaks_after=1_000_000)
    await fetch(data)
    seen = {request["content"]: request["authorization"] for request in server.requests}
    assert seen == {False: f"Bearer {TOKEN}", True: None}
    await server.set(token=TOKEN, silent="file")
    task = asyncio.create_task(fetch(data, LARGE))
    await asyncio.wait({task}, timeout=1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await server.set(token="another")
    with pytest.raises(Misconfigured, match="that HF_TOKEN is valid") as error:
        await fetch(data, LARGE)
    assert TOKEN not in caplog.text + str(error.value)
    assert SIGNATURE not in caplog.text


@pytest.mark.parametrize("faults", [{"silent": "file"}, {"silent": "api"}, {"bytes_a_second": 100_000}], ids=str)
async def test_download_ends_at_once_when_camscribe_does(server: FakeHub, running: Running, faults: dict[str, object]):
    await server.set(**faults)
    async with running(preset=None, hf=str(LARGE)) as engine:
        await eventually(lambda: any(request["content"] or faults == {"silent": "api"} for request in server.requests))
        fetchers = await asyncio.to_thread(psutil.Process().children)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    assert engine.state == "stopped"
    assert not any("fetcher" in " ".join(process.cmdline()) for process in fetchers if lives(process))


async def test_engine_tells_how_far_the_download_is(server: FakeHub, running: Running):
    await server.set(bytes_a_second=3_000_000)
    async with running(preset=None, hf=str(LARGE)) as engine:
        await eventually(lambda: "downloading Tiny-Q8_0.gguf, " in engine.state)
        await eventually(lambda: not engine.state.endswith(" 0 %"))


async def test_two_that_want_the_same_download_it_once(server: FakeHub, data: Path):
    await server.set(bytes_a_second=6_000_000)
    told: list[Progress] = []
    first = asyncio.create_task(fetch(data, LARGE))
    await arrived(data, 1)
    second = asyncio.create_task(fetch(data, LARGE, told.append))
    assert await first == await second
    assert told == [Progress(WAITING, 0, None)]
    assert len([request for request in server.requests if request["content"]]) == 2


async def test_one_goes_on_where_the_other_was_stopped(server: FakeHub, data: Path):
    await server.set(bytes_a_second=3_000_000)
    first = asyncio.create_task(fetch(data, LARGE))
    await arrived(data, 1_000_000)
    second = asyncio.create_task(fetch(data, LARGE))
    await asyncio.wait({second}, timeout=0.5)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await server.set()
    model = await second
    assert await is_same(model.model, server.file("Tiny-Q8_0.gguf"))
    assert len(server.ranges) == 1


async def test_quantisations_share_their_projector(server: FakeHub, data: Path):
    small, large = await fetch(data), await fetch(data, LARGE)
    assert small.mmproj == large.mmproj
    assert len([request for request in server.requests if "mmproj" in request["path"] and request["content"]]) == 1


async def test_models_of_the_first_releases_are_still_found(data: Path):
    folder = hub.folder_of(REPO, data)

    def write() -> None:
        folder.mkdir(parents=True)
        for name in ("a.gguf", "mmproj.gguf"):
            (folder / name).write_bytes(b"GGUF")
        (folder / "F16.json").write_text('{"model": "a.gguf", "mmproj": "mmproj.gguf"}')

    await asyncio.to_thread(write)
    assert await fetch(data) == Files(folder / "a.gguf", folder / "mmproj.gguf")


async def test_missing_quantisation_names_those_there_are(server: FakeHub, data: Path):
    with pytest.raises(Misconfigured, match=r"no model file for 'Q4_K_M'; its model files: Tiny-F16.gguf, Tiny-Q8_0"):
        await fetch(data, Hosted(REPO, "Q4_K_M"))
    await asyncio.to_thread(server.file("mmproj-Tiny-F16.gguf").unlink)
    with pytest.raises(Misconfigured, match="has no mmproj file"):
        await fetch(data)


async def test_folder_that_is_not_ours_is_said(server: FakeHub, data: Path):
    await asyncio.to_thread(data.write_text, "a file, not a folder")
    with pytest.raises(NotStarted, match=r"can't be written to .*: Not a directory"):
        await fetch(data)


def chosen(origin: Hosted, *paths: str) -> tuple[list[str], str]:
    model, mmproj = hub.choose(origin, [hub.Entry(path, 1) for path in paths])
    return [entry.path for entry in model], mmproj.path


@pytest.mark.parametrize(
    ("quant", "projector"),
    [("Q8_0", "mmproj-A-Q8_0.gguf"), ("Q4_K_M", "mmproj-A-f16.gguf"), ("F16", "mmproj-A-f16.gguf")],
)
def test_projector_is_of_the_same_quantisation_else_f16(quant: str, projector: str):
    paths = ["A-BF16.gguf", "A-F16.gguf", "A-Q8_0.gguf", "A-Q4_K_M.gguf", "A-Q4_K_S.gguf"]
    paths += ["mmproj-A-BF16.gguf", "mmproj-A-Q8_0.gguf", "mmproj-A-f16.gguf"]
    assert chosen(Hosted("a/b", quant), *paths) == ([f"A-{quant}.gguf"], projector)


def test_projector_is_the_one_that_a_preset_wants():
    paths = ["A-Q4_K_M.gguf", "mmproj-A-Q8_0.gguf", "mmproj-A-f16.gguf"]
    assert chosen(Hosted("a/b", "Q4_K_M", "Q8_0"), *paths)[1] == "mmproj-A-Q8_0.gguf"


def test_names_with_something_behind_the_quantisation_are_understood():
    paths = ["moondream2-text-model-f16_ct-vicuna.gguf", "moondream2-mmproj-f16-20250414.gguf"]
    assert chosen(Hosted("a/b", "F16"), *paths) == ([paths[0]], paths[1])
    with pytest.raises(Misconfigured, match="no model file for 'Q4_K'"):
        chosen(Hosted("a/b", "Q4_K"), "A-Q4_K_M.gguf", "mmproj-model-f16.gguf")


def test_split_model_comes_with_all_its_parts():
    parts = [f"Q4_K_M/A-Q4_K_M-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    others = ["Q8_0/A-Q8_0-00001-of-00001.gguf", "mmproj-A-f16.gguf", "A.imatrix.gguf"]
    assert chosen(Hosted("a/b", "Q4_K_M"), *others, *reversed(parts))[0] == parts
    with pytest.raises(Misconfigured, match="has 2 of the 3 parts"):
        chosen(Hosted("a/b", "Q4_K_M"), *others, *parts[:2])
