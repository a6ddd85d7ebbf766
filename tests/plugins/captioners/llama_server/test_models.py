"""What the managed engine tells ``camscribe model``, and the presets' facts."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from pathlib import Path

import pytest

from agent.plugin import Misconfigured, ModelInfo
from plugins.captioners.llama_server import LlamaServer, LlamaServerConfig, copies, hub
from plugins.captioners.llama_server.models import LlamaModels
from plugins.captioners.llama_server.presets import DEFAULT, PRESETS, TINY, Files, Hosted, hosted
from tests.fakes.tiny_model import MMPROJ

REPO = "owner/Some-GGUF"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def models(data: Path) -> LlamaModels:
    return LlamaModels(data, logging.getLogger("camscribe.model"))


def downloaded(data: Path, origin: Hosted, *, share: float = 1.0, mmproj: str = "mmproj-F16.gguf") -> None:
    """As a download leaves it, whole or broken off."""
    folder = hub.folder_of(origin.repo, data)
    folder.mkdir(parents=True, exist_ok=True)
    entries = (hub.Entry(f"A-{origin.quant}.gguf", 1_000_000, "a" * 64), hub.Entry(mmproj, 500_000, "b" * 64))
    for entry in entries:
        here = folder / entry.name if share == 1 else entry.partial(folder)
        entry.partial(folder).unlink(missing_ok=True)
        here.write_bytes(bytes(int(entry.size * share)))
    hub.Plan(origin.repo, "c0ffee", entries[0].name, mmproj, entries).write(hub.plan_of(origin, data))


async def known(models: LlamaModels) -> dict[str, ModelInfo]:
    return {info.name: info for info in await models.known()}


def test_plugin_has_them(data: Path):
    assert isinstance(LlamaServer.models(data, logging.getLogger()), LlamaModels)


async def test_every_preset_is_known_and_only_the_tiny_one_is_here(models: LlamaModels):
    infos = await known(models)
    assert list(infos) == list(PRESETS)
    assert [name for name, info in infos.items() if info.complete] == ["tiny"]
    assert infos["tiny"].download == 0
    assert infos["tiny"].on_disk == sum(path.stat().st_size for path in TINY.glob("*.gguf"))
    assert all(info.about.endswith(".") and info.memory > info.download for info in infos.values())


async def test_what_is_here_is_counted_whole_and_in_part(models: LlamaModels, data: Path):
    origin = PRESETS["smolvlm-256m"].origin
    assert isinstance(origin, Hosted)
    await asyncio.to_thread(downloaded, data, origin, share=0.5)
    info = (await known(models))["smolvlm-256m"]
    assert (info.on_disk, info.complete) == (750_000, False)
    await asyncio.to_thread(downloaded, data, origin)
    info = (await known(models))["smolvlm-256m"]
    assert info.complete
    assert info.download == 1_500_000  # its real size, now that it is known


async def test_models_by_repository_and_own_folders_are_found(models: LlamaModels, data: Path):
    def put() -> None:
        downloaded(data, Hosted(REPO, "Q4_K_M"))
        for name in ("mine/A.gguf", "mine/mmproj-A.gguf", "half/B.gguf"):
            path = data / "models" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"GGUF")

    await asyncio.to_thread(put)
    infos = await known(models)
    assert infos[f"{REPO}:Q4_K_M"].complete
    assert infos["mine"].complete
    assert f"model: {data}/models/mine/A.gguf, mmproj: {data}/models/mine/mmproj-A.gguf" in infos["mine"].about
    assert not infos["half"].complete
    assert "an mmproj file is missing" in infos["half"].about
    with pytest.raises(Misconfigured, match="are your own"):
        await models.remove("mine")


async def test_removing_frees_everything_that_was_made_of_it(models: LlamaModels, data: Path):
    """And nothing that was made of another model's projector, which has the same name."""

    def put() -> tuple[Path, Path]:
        downloaded(data, Hosted(REPO, "Q4_K_M"))
        mine = data / "models" / "mine" / "mmproj-F16.gguf"
        theirs = hub.folder_of(REPO, data) / "mmproj-F16.gguf"
        for path in (mine, theirs):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(MMPROJ.read_bytes())
        return mine, theirs

    mine, theirs = await asyncio.to_thread(put)
    wanted = copies.Wish("Q8_0", uncut=False)
    log = logging.getLogger("camscribe.model")
    kept, gone = [await copies.prepared(path, wanted, data / copies.FOLDER, log) for path in (mine, theirs)]
    assert await models.remove(f"{REPO}:Q4_K_M") > 2_500_000
    left = await asyncio.to_thread(lambda: {path for path in data.rglob("*") if path.is_file()})
    assert left == {mine, kept}
    assert gone not in left
    with pytest.raises(Misconfigured, match="Nothing of owner/Some-GGUF:Q4_K_M is on this machine"):
        await models.remove(f"{REPO}:Q4_K_M")


async def test_removing_leaves_what_another_quantisation_needs(models: LlamaModels, data: Path):
    for quant in ("Q4_K_M", "F16"):
        await asyncio.to_thread(downloaded, data, Hosted(REPO, quant))
    assert await models.remove(f"{REPO}:Q4_K_M") >= 1_000_000
    assert await asyncio.to_thread(hub.on_disk, Hosted(REPO, "F16"), data)
    names = await asyncio.to_thread(lambda: sorted(path.name for path in hub.folder_of(REPO, data).iterdir()))
    assert names == ["A-F16.gguf", "F16.json", "mmproj-F16.gguf"]


async def test_broken_off_download_can_be_removed(models: LlamaModels, data: Path):
    await asyncio.to_thread(downloaded, data, Hosted(REPO, "Q8_0"), share=0.2)
    assert await models.remove(REPO) >= 300_000


async def test_nothing_is_removed_under_a_download(models: LlamaModels, data: Path):
    await asyncio.to_thread(downloaded, data, Hosted(REPO, "Q8_0"))
    place = await asyncio.to_thread(hub.lock_of(REPO, data).open, "w")
    fcntl.flock(place, fcntl.LOCK_EX)
    with pytest.raises(Misconfigured, match="is being downloaded by another camscribe"):
        await models.remove(REPO)
    await asyncio.to_thread(place.close)
    await models.remove(REPO)


async def test_what_comes_with_camscribe_stays(models: LlamaModels):
    assert await models.pull("tiny", lambda _: None) == TINY
    with pytest.raises(Misconfigured, match="tiny comes with camscribe"):
        await models.remove("tiny")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("smolvlm-500", "Did you mean smolvlm-500m"), ("a/b/c", "write owner/repo"), ("../x", "write owner/repo")],
)
async def test_unknown_names_are_told(models: LlamaModels, name: str, sentence: str):
    with pytest.raises(Misconfigured, match=sentence):
        await models.pull(name, lambda _: None)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({}, DEFAULT),
        ({"preset": "tiny"}, "tiny"),
        ({"hf": "ggml-org/SmolVLM-500M-Instruct-GGUF"}, "smolvlm-500m"),
        ({"hf": "ggml-org/SmolVLM-500M-Instruct-GGUF:F16"}, "smolvlm-500m-f16"),
        ({"hf": "owner/Some-GGUF"}, "owner/Some-GGUF:Q8_0"),
        (
            {"model": TINY / "tinyvlm-text-f16.gguf", "mmproj": TINY / "tinyvlm-mmproj-f16.gguf"},
            "tiny",
        ),
    ],
    ids=str,
)
def test_config_is_told_by_the_model_it_uses(models: LlamaModels, config: dict[str, str], name: str):
    assert models.asked_for(LlamaServerConfig.model_validate(config)) == name


def test_repository_that_a_preset_knows_sees_like_it():
    smol = PRESETS["smolvlm-500m"]
    mirrored = LlamaServerConfig(hf="somebody/SmolVLM-500M-Instruct-GGUF:Q4_0").choice
    assert (mirrored.view, mirrored.image_tokens) == (smol.view, smol.image_tokens)
    assert mirrored.origin == Hosted("somebody/SmolVLM-500M-Instruct-GGUF", "Q4_0")
    assert hosted("GGML-org/smolvlm-500m-instruct-gguf") == smol.origin


def test_presets_are_told_apart_by_their_files():
    origins = [preset.origin for preset in PRESETS.values()]
    assert len(set(origins)) == len(origins)
    for name, preset in PRESETS.items():
        assert preset.facts, name
        assert bool(preset.facts.download) == isinstance(preset.origin, Hosted)
        assert isinstance(preset.origin, (Files, Hosted))
        assert preset.facts.languages
        assert preset.facts.license
