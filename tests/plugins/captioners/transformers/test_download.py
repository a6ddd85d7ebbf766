"""Downloads from a hub that is a process, through huggingface_hub, which camscribe has itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from agent.plugin import Misconfigured
from plugins.captioners.engine.errors import NotStarted
from plugins.captioners.transformers import Transformers
from tests.fakes.hub import FakeHub, fake_hub, publish

REPO = "someone/their-model"
TOKEN = "hf_nobodyMaySeeThis"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest_asyncio.fixture
async def hub(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeHub]:
    files = await asyncio.to_thread(contents, tiny)
    await asyncio.to_thread(publish, tmp_path / "hub", REPO, files | {"onnx/model.onnx": b"x", "modeling.py": b"1/0"})
    async with fake_hub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "5")
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield running


@pytest.fixture
def ours(captioner: Callable[..., Transformers]) -> Transformers:
    return captioner(hf=REPO)


async def test_what_is_needed_is_downloaded_once_with_progress(hub: FakeHub, ours: Transformers, tiny: Path):
    told: list[str] = []
    ours.engine.progress = told.append  # type: ignore[method-assign]
    folder = await ours._folder(look_only=False)
    assert folder
    here, published = await asyncio.to_thread(lambda: (contents(Path(folder)), contents(tiny)))
    assert here == published, "neither other programs' files nor any code"
    assert told[-1].startswith("downloading, 100 % of ")
    hub.requests.clear()
    assert await ours._folder(look_only=False) == folder
    assert hub.requests == []


async def test_broken_download_is_never_taken_for_a_model(hub: FakeHub, ours: Transformers, tiny: Path):
    await hub.set(breaks_after=1_000_000)
    with pytest.raises(NotStarted, match="is not on this machine yet and can't be downloaded"):
        await ours._folder(look_only=False)
    assert await ours._folder(look_only=True) is None
    await hub.set()
    folder = await ours._folder(look_only=False)
    assert folder
    here, published = await asyncio.to_thread(lambda: (contents(Path(folder)), contents(tiny)))
    assert here == published


async def test_repository_that_nobody_has_is_the_configs_fault(hub: FakeHub, captioner: Callable[..., Transformers]):
    ours = await asyncio.to_thread(captioner, hf="someone/misspelt")
    with pytest.raises(Misconfigured, match="has no someone/misspelt that everybody may read"):
        await ours._folder(look_only=False)


@pytest.mark.parametrize("look_only", [True, False])
async def test_name_that_no_repository_may_have_is_told(
    hub: FakeHub, captioner: Callable[..., Transformers], look_only: bool
):
    ours = await asyncio.to_thread(captioner, hf="someone/two--dashes")
    with pytest.raises(Misconfigured, match="has no someone/two--dashes that everybody may read"):
        await ours._folder(look_only=look_only)


async def test_token_is_shown_to_the_hub_alone(hub: FakeHub, ours: Transformers, monkeypatch: pytest.MonkeyPatch):
    await hub.set(token=TOKEN)
    with pytest.raises(Misconfigured):
        await ours._folder(look_only=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert await ours._folder(look_only=False)
    assert {request["authorization"] for request in hub.requests if request["content"]} == {None}
