"""One tile encoded once: the copies that make it so, which engines may have them, and what happens where that fails."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize

from agent import picture
from agent.plugin import CaptionRequest, CaptionUnavailable, Context, Detail, Geometry, ModelView
from plugins.captioners.llama_server import LlamaServer, binary, copies, once
from plugins.captioners.llama_server.copies import Wish, prepared
from plugins.captioners.llama_server.gguf import CUTS, Tile, read_header, tile_of
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.real import real_server
from tests.fakes.engine.stand_in import NEW_FLAGS, OLD_FLAGS, Behaviour, calls, misbehave, questions, stand_in
from tests.fakes.engine.waiting import until
from tests.fakes.leftovers import nothing_left
from tests.fakes.scenes import known_scenes
from tests.fakes.tiny_model import STRICT_MMPROJ, STRICT_TEXT, TEXT
from tests.plugins.captioners.llama_server.conftest import QUICK, Describes, Running
from tiny_model.gguf_copy import copy_with

LOG = logging.getLogger("camscribe.captioner.default")
TILE = 96
WITHOUT_LEAST_TOKENS = {
    "llama-server": """
        for word do
          shift
          case $word in --image-min-tokens|--image-max-tokens) left_out=1;;
          *) [ "$left_out" ] && left_out= || set -- "$@" "$word";; esac
        done""",
    "wheel": """set -- "$1" "$2" "$(printf %s "$3" | sed 's/_tokens": 16/_tokens": null/g')" """,
}
"""As an engine that knows neither the least nor the most."""
OTHER_MARKS = {
    "llama-server": f"""
        for word do
          shift
          case $word in *text-f16-once-*) set -- "$@" {TEXT};; *) set -- "$@" "$word";; esac
        done""",
    "wheel": f"""set -- "$1" "$2" "$(printf %s "$3" | sed 's#[^"]*text-f16-once-[^"]*#{TEXT}#')" """,
}
"""As an engine that puts other words around the picture, of which the demo's model makes nothing."""
DIES_OF_IT = 'case "$*" in *rewrite.py*) ;; *once-*) echo "unknown projector type: lfm2" >&2; exit 1;; esac'
"""As an engine from before LFM2-VL."""


@pytest.fixture(autouse=True)
def nothing_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_rehearsed", {})


@pytest.fixture
def strict(tmp_path: Path) -> dict[str, Any]:
    """The twin that is only right where the geometry is, with a projector that has pictures cut, as SmolVLM's has."""
    cutting = tmp_path / "mmproj-strict.gguf"
    copy_with(STRICT_MMPROJ, cutting, {CUTS: 4 * TILE})
    return {"preset": None, "model": STRICT_TEXT, "mmproj": cutting}


async def test_real_engine_is_rehearsed_once_and_leaves_nothing(
    real: RealEngine, context: Context, short: Path, caplog: pytest.LogCaptureFixture
):
    engine = await binary.find(real.config.get("binary"), LOG, short / "lib")
    async with nothing_left(short):
        assert await once.rehearsed(engine, None, context) is True
    assert not caplog.records
    shutil.rmtree(context.data_dir)
    assert await once.rehearsed(engine, None, context) is True
    assert not context.data_dir.exists(), "asked once"


@pytest.mark.parametrize("fault", ["ignores the options", "other marks", "dies of it"])
async def test_engine_that_does_not_play_along_serves_the_usual_way(
    real: RealEngine,
    running: Running,
    captioner: Callable[..., LlamaServer],
    describes: Describes,
    strict: dict[str, Any],
    short: Path,
    tmp_path: Path,
    fault: str,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    faults = {"ignores the options": WITHOUT_LEAST_TOKENS, "other marks": OTHER_MARKS}
    script = faults[fault][real.name] if fault in faults else DIES_OF_IT
    engine = await asyncio.to_thread(captioner, **strict, **real.behind(script, tmp_path / "bin"))
    async with nothing_left(short), running(engine):
        await describes(engine, scenes=3)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("camscribe")]
    assert sum("can't encode a picture once" in line for line in told) == 1
    assert any(line.startswith("engine ready") and "encoded once" not in line for line in told)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_how_it_is_served_is_told(
    running: Running, describes: Describes, strict: dict[str, Any], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    async with running(**strict) as engine:
        await describes(engine, scenes=3)
    [ready] = [line for line in caplog.messages if line.startswith("engine ready")]
    assert "each picture encoded once, 16 tokens" in ready


async def test_engine_without_the_options_is_not_even_asked(
    running: Running, describes: Describes, strict: dict[str, Any], short: Path, context: Context
):
    async with running(**strict, binary=real_server(short)) as engine:
        await describes(engine)
    assert not [path for path in context.data_dir.rglob("*") if "once" in path.name]


@pytest.mark.parametrize(
    "said",
    [{"geometry": "aspect"}, {"picture_size": 2 * TILE}, {"image_tokens": 16}, {"image_tokens": 0}, {"copies": False}],
)
async def test_whoever_says_how_the_model_is_to_see_is_obeyed(
    running: Running, describes: Describes, strict: dict[str, Any], context: Context, said: dict[str, Any]
):
    async with running(**strict, **said) as engine:
        await engine.ready(30)
    assert not [path for path in context.data_dir.rglob("*") if "once" in path.name]


async def test_full_disk_and_strange_vocabulary_only_cost_time(
    running: Running,
    describes: Describes,
    strict: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    strange = tmp_path / "strange.gguf"
    whole = STRICT_TEXT.read_bytes()
    assert whole.count(b"<|im_start|>") > 1
    strange.write_bytes(whole.replace(b"<global-img>", b"<global_img>"))
    async with running(**strict | {"model": strange}) as engine:
        await engine.ready(30)
    [told] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "strange.gguf is used as it is" in told
    assert "Its vocabulary has not one <global-img> and no <|image_start|>" in told
    caplog.clear()
    full = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(copies.shutil, "disk_usage", lambda _: full)
    shutil.rmtree(tmp_path / "data")
    async with running(**strict) as engine:
        await describes(engine, scenes=2)
    assert "1 MB free" in caplog.text


def test_language_models_copy_has_other_names_for_two_tokens_and_the_same_weights(tmp_path: Path):
    copy = asyncio.run(prepared(TEXT, once.TEXT, tmp_path / "copies", LOG))
    before, after = GGUFReader(TEXT), GGUFReader(copy)
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert (old.name, old.tensor_type) == (new.name, new.tensor_type)
        assert (old.data == new.data).all()
    assert list(before.fields) == list(after.fields)
    old, new = (reader.fields["tokenizer.ggml.tokens"].contents() for reader in (before, after))
    renamed = {was: now for was, now in zip(old, new, strict=True) if was != now}
    assert renamed == {"<global-img>": "<|image_start|>", "<fake_token_around_image>": "<|image_end|>"}


@pytest.mark.parametrize("kind", [None, "BF16", "Q8_0"])
def test_two_layers_of_the_projectors_copy_come_to_its_one_matrix(tmp_path: Path, kind: str | None):
    copy = asyncio.run(prepared(STRICT_MMPROJ, once.projector(Wish(kind, uncut=True)), tmp_path / "copies", LOG))
    assert read_header(copy, {"clip.projector_type"}) == {"clip.projector_type": "lfm2"}
    before, after = ({one.name: one for one in GGUFReader(path).tensors} for path in (STRICT_MMPROJ, copy))
    whole = before.pop("mm.model.fc.weight")
    matrix = dequantize(whole.data, whole.tensor_type)
    layers = {number: after.pop(f"mm.{number}.weight") for number in (1, 2)}
    assert not np.any([after.pop(f"mm.{number}.bias").data.any() for number in (1, 2)])
    assert before.keys() == after.keys()
    first, second = (dequantize(layer.data, layer.tensor_type) for layer in layers.values())
    there, back = np.split(first, 2)
    assert (there == -back).all()
    np.testing.assert_allclose(there, matrix, atol=0 if kind is None else np.abs(matrix).max() / 100)
    assert (second == np.hstack([np.eye(len(matrix)), -np.eye(len(matrix))])).all()


def test_only_whole_tokens_make_a_tile(tmp_path: Path):
    """SmolVLM2-2.2B's tile of 384 pixels is 27.4 patches wide."""
    assert tile_of(STRICT_MMPROJ) == Tile(ModelView(Geometry.SQUARE, TILE), 16)
    odd = tmp_path / "odd.gguf"
    copy_with(STRICT_MMPROJ, odd, {"clip.vision.image_size": 100})
    assert tile_of(odd) is None
    other = tmp_path / "other.gguf"
    copy_with(STRICT_MMPROJ, other, {"clip.projector_type": "gemma3"})
    assert tile_of(other) is None


async def test_high_detail_while_the_engine_loads_is_not_forgotten(
    real: RealEngine,
    running: Running,
    captioner: Callable[..., LlamaServer],
    request_: Callable[..., CaptionRequest],
    strict: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    slow = real.behind('case "$*" in *rewrite.py*) ;; *mmproj-strict-once-*) sleep 4;; esac', tmp_path / "bin")
    engine = await asyncio.to_thread(captioner, **strict, **slow)
    (_, image), *_ = known_scenes(1)
    async with running(engine):
        await until(lambda: "loading the model" in engine.state)
        high = await asyncio.to_thread(picture.sent, np.asarray(image), engine.view(Detail.HIGH))
        with pytest.raises(CaptionUnavailable, match="not ready"):
            await engine.caption(request_(high.jpeg))
        await engine.ready(60)
        assert (await engine.caption(request_(high.jpeg, timeout=60))).text
    assert len([line for line in caplog.messages if line.startswith("a camera wants detail: high")]) == 1
    [first, second] = [line for line in caplog.messages if line.startswith("engine ready")]
    assert "encoded once" in first
    assert "encoded once" not in second


async def test_damaged_copy_on_a_disk_that_is_only_read_is_done_without(
    running: Running,
    captioner: Callable[..., LlamaServer],
    describes: Describes,
    strict: dict[str, Any],
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
):
    async with running(**strict) as engine:
        await engine.ready(60)

    def damage() -> None:
        [copy] = (context.data_dir / copies.FOLDER).glob("mmproj-strict*")
        copy.write_bytes(bytes(copy.stat().st_size))

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    await asyncio.to_thread(damage)
    monkeypatch.setattr(copies, "remove", refuse)
    async with running(await asyncio.to_thread(captioner, **strict)) as engine:
        await describes(engine)


@pytest.mark.parametrize("what", ["text", "mmproj"])
async def test_copy_that_is_damaged_is_done_without_and_goes(
    running: Running,
    captioner: Callable[..., LlamaServer],
    describes: Describes,
    strict: dict[str, Any],
    context: Context,
    what: str,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.INFO)
    async with running(**strict) as engine:
        await engine.ready(60)

    def damage() -> None:
        [copy] = (context.data_dir / copies.FOLDER).glob("tinyvlm-strict-text*" if what == "text" else "mmproj-strict*")
        copy.write_bytes(bytes(copy.stat().st_size))

    await asyncio.to_thread(damage)
    async with running(await asyncio.to_thread(captioner, **strict)) as engine:
        await describes(engine, scenes=2)
    assert sum("as they are, without the copies" in line for line in caplog.messages) == 1
    assert not list((context.data_dir / copies.FOLDER).glob("*strict*"))


def test_copy_keeps_the_alignment_and_none_is_made_of_a_part(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    part = tmp_path / "model-00001-of-00002.gguf"
    aligned = tmp_path / "aligned.gguf"
    reader = GGUFReader(TEXT)
    for path, key, value in ((part, "split.count", 2), (aligned, "general.alignment", 4096)):
        writer = GGUFWriter(path, "llama")
        if key == "general.alignment":
            writer.add_custom_alignment(value)
        else:
            writer.add_uint16(key, value)
        tokens = reader.fields["tokenizer.ggml.tokens"].contents()
        writer.add_array("tokenizer.ggml.tokens", tokens)
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    copy = asyncio.run(prepared(aligned, once.TEXT, tmp_path / "copies", LOG))
    again = {tensor.name: tensor.data for tensor in GGUFReader(copy).tensors}
    assert all((tensor.data == again[tensor.name]).all() for tensor in reader.tensors)
    assert asyncio.run(prepared(part, once.TEXT, tmp_path / "copies", LOG)) == part
    assert "one of several parts" in caplog.text


async def test_rehearsal_that_was_killed_proves_nothing(
    short: Path, context: Context, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    behaviour = Behaviour(flags=OLD_FLAGS + NEW_FLAGS + ("--image-min-tokens",), dies_of_captions=-9)
    server = stand_in(short, behaviour)
    engine = await binary.find(server, LOG, short / "lib")
    async with nothing_left(short):
        assert await once.rehearsed(engine, None, context) is False
    assert not once._rehearsed
    assert not [line for line in caplog.messages if "can't encode" in line]
    stand_in(short, dataclasses.replace(behaviour, dies_of_captions=None))
    assert await once.rehearsed(engine, None, context) is False
    assert list(once._rehearsed.values()) == [False]
    assert sum("can't encode a picture once" in line for line in caplog.messages) == 1


async def test_renewal_waits_for_what_is_under_way_and_new_captions_wait_for_it(
    running: Running, captioner: Callable[..., LlamaServer], short: Path, request_: Callable[..., CaptionRequest]
):
    server = stand_in(short, Behaviour())
    engine = await asyncio.to_thread(captioner, dataclasses.replace(QUICK, check_every=30), binary=server, parallel=2)
    async with running(engine):
        await engine.ready(20)
        misbehave(server, hangs=True)
        under_way = asyncio.create_task(engine.caption(request_(timeout=2)))
        await until(lambda: (short / "questions").exists() and questions(server))
        engine.engine.renew()
        engine.engine.renew()
        misbehave(server)
        new = asyncio.create_task(engine.caption(request_(timeout=20)))
        with pytest.raises(CaptionUnavailable, match="took longer than 2 s"):
            await under_way
        assert (await new).text == "A stand-in."
        assert len(calls(server)) == 2
