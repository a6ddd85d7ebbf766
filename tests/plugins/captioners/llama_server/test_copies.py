"""The projector's copy: what is in it, when it is made, and what happens where it can't be."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from plugins.captioners.llama_server import copies
from plugins.captioners.llama_server.binary import Wheel
from plugins.captioners.llama_server.copies import NumberType, Wish, prepared, wish
from plugins.captioners.llama_server.gguf import CUTS, read_header
from tests.fakes.tiny_model import MMPROJ, STRICT_MMPROJ
from tiny_model.gguf_copy import copy_with

LOG = logging.getLogger("camscribe.captioner.default")
TILE = 96


@pytest.fixture
def cutting(tmp_path: Path) -> Path:
    """A projector that has its pictures cut, as SmolVLM's has."""
    path = tmp_path / "mmproj-strict.gguf"
    copy_with(STRICT_MMPROJ, path, {CUTS: 4 * TILE})
    return path


def types(path: Path) -> Counter[str]:
    return Counter(tensor.tensor_type.name for tensor in GGUFReader(path).tensors)


@pytest.mark.parametrize("kind", ["BF16", "Q8_0", "F16"])
def test_matrices_change_and_nothing_else_does(tmp_path: Path, kind: str):
    copy = asyncio.run(prepared(MMPROJ, Wish(kind, uncut=False), tmp_path / "copies", LOG))
    before, after = types(MMPROJ), types(copy)
    assert after["F32"] == before["F32"]
    assert after[kind] >= 30
    assert {tensor.name: tuple(tensor.shape) for tensor in GGUFReader(copy).tensors} == {
        tensor.name: tuple(tensor.shape) for tensor in GGUFReader(MMPROJ).tensors
    }
    patches = next(tensor for tensor in GGUFReader(copy).tensors if tensor.name == "v.patch_embd.weight")
    assert patches.tensor_type.name == "F16"
    assert read_header(copy, {"general.file_type"}) == {
        "general.file_type": {"BF16": 32, "Q8_0": 7, "F16": 1}[kind],
    }


def test_uncut_copy_has_the_same_weights(tmp_path: Path, cutting: Path):
    copy = asyncio.run(prepared(cutting, Wish(None, uncut=True), tmp_path / "copies", LOG))
    assert read_header(copy, {CUTS}) == {CUTS: 0}
    for before, after in zip(GGUFReader(cutting).tensors, GGUFReader(copy).tensors, strict=True):
        assert (before.name, before.tensor_type) == (after.name, after.tensor_type)
        assert (before.data == after.data).all()


async def test_copy_is_made_once_and_anew_when_the_file_has_changed(
    tmp_path: Path, cutting: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    folder, wanted = tmp_path / "copies", Wish("BF16", uncut=True)
    first = await prepared(cutting, wanted, folder, LOG)
    assert await prepared(cutting, wanted, folder, LOG) == first
    assert len(caplog.records) == 1
    os.utime(cutting, (1, 1))
    second = await prepared(cutting, wanted, folder, LOG)
    assert second != first
    assert list(folder.iterdir()) == [second], "the old copy and half a new one are gone"


async def test_copies_that_nobody_used_for_a_month_go(tmp_path: Path, cutting: Path):
    folder = tmp_path / "copies"
    old = await prepared(MMPROJ, Wish("Q8_0", uncut=False), folder, LOG)
    used = await prepared(MMPROJ, Wish("F16", uncut=False), folder, LOG)
    for path in (old, used):
        os.utime(path, (1, 1))
    assert await prepared(MMPROJ, Wish("F16", uncut=False), folder, LOG) == used
    new = await prepared(cutting, Wish(None, uncut=True), folder, LOG)
    assert set(folder.iterdir()) == {used, new}


async def test_two_captioners_may_make_the_same_copy_at_once(tmp_path: Path, cutting: Path):
    folder, wanted = tmp_path / "copies", Wish("BF16", uncut=True)
    both = await asyncio.gather(*(prepared(cutting, wanted, folder, LOG) for _ in range(2)))
    assert both[0] == both[1] != cutting
    assert list(folder.iterdir()) == [both[0]]


async def test_projectors_of_the_same_name_have_a_copy_each(tmp_path: Path):
    folder, wanted, copies = tmp_path / "copies", Wish("Q8_0", uncut=False), set()
    for model in ("one", "other"):
        (tmp_path / model).mkdir()
        copies.add(await prepared(Path(shutil.copy(MMPROJ, tmp_path / model / "mmproj-F16.gguf")), wanted, folder, LOG))
    assert set(folder.iterdir()) == copies
    assert len(copies) == 2


async def test_what_a_killed_run_left_of_a_copy_goes(tmp_path: Path):
    folder = tmp_path / "copies"
    folder.mkdir()
    left, busy = folder / ".mmproj-a.gguf.01.part", folder / ".mmproj-b.gguf.02.part"
    left.touch()
    busy.touch()
    os.utime(left, (1, 1))
    copy = await prepared(MMPROJ, Wish("Q8_0", uncut=False), folder, LOG)
    assert set(folder.iterdir()) == {busy, copy}


async def test_copy_is_used_on_a_disk_that_is_only_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    copy = await prepared(MMPROJ, Wish("Q8_0", uncut=False), tmp_path / "copies", LOG)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(copies.os, "utime", refuse)
    assert await prepared(MMPROJ, Wish("Q8_0", uncut=False), tmp_path / "copies", LOG) == copy
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_file_is_used_as_it_is_where_no_copy_can_be_made(
    tmp_path: Path, cutting: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    wanted = Wish("BF16", uncut=True)
    with cutting.open("r+b") as file:
        file.truncate(100_000)
    assert await prepared(cutting, wanted, tmp_path / "copies", LOG) == cutting
    (tmp_path / "file").touch()
    assert await prepared(cutting, wanted, tmp_path / "file", LOG) == cutting
    full = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(copies.shutil, "disk_usage", lambda _: full)
    assert await prepared(cutting, wanted, tmp_path / "copies", LOG) == cutting
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 3
    assert all("mmproj-strict.gguf is used as it is" in sentence for sentence in told)
    assert "1 MB free" in told[2]
    assert not list((tmp_path / "copies").iterdir())


@pytest.mark.parametrize(
    ("kind", "features", "size", "on_gpu", "wanted"),
    [
        pytest.param("auto", {"AVX512_BF16"}, 50_000_000, False, Wish("BF16", uncut=True), id="fast at BF16"),
        pytest.param("auto", {"AVX512_BF16"}, 50_000_000, True, Wish(None, uncut=True), id="but a GPU does it"),
        pytest.param("auto", {"AVX2"}, 50_000_000, False, Wish(None, uncut=True), id="an engine that is not"),
        pytest.param("auto", {"AVX512_BF16"}, 0, False, Wish(None, uncut=True), id="a small file"),
        pytest.param("bf16", {"AVX2"}, 0, True, Wish("BF16", uncut=True), id="asked for"),
        pytest.param("as_is", {"AVX512_BF16"}, 50_000_000, False, Wish(uncut=True), id="the file's numbers"),
    ],
)
def test_type_is_chosen_for_the_machine(
    cutting: Path, kind: str, features: set[str], size: int, on_gpu: bool, wanted: Wish
):
    if size:
        os.truncate(cutting, size)
    engine: Any = Wheel("1", features=frozenset(features))
    assert wish(NumberType(kind), cutting, engine, on_gpu=on_gpu) == wanted


def test_agent_does_not_load_the_package_that_rewrites():
    code = "import sys, plugins.captioners.llama_server.captioner; sys.exit('gguf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[4], check=False).returncode == 0
