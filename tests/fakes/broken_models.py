"""The tiny model's files, spoilt in the ways in which model files come: each gives (text model, mmproj)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from tests.fakes.tiny_model import MMPROJ, TEXT
from tiny_model.gguf_copy import copy_with, keys

Spoilt = tuple[Path, Path]


def text_cut_short(folder: Path) -> Spoilt:
    return _cut(TEXT, folder), MMPROJ


def mmproj_cut_short(folder: Path) -> Spoilt:
    return TEXT, _cut(MMPROJ, folder)


def text_scribbled_over(folder: Path) -> Spoilt:
    """Its first keys are whole, the list of its tensors is not: a bad disk, or a transfer that went wrong."""
    whole = TEXT.read_bytes()
    where = whole.index(b"blk.1.attn_q.weight")
    target = folder / "scribbled.gguf"
    target.write_bytes(whole[:where] + bytes(range(256)) + whole[where + 256 :])
    return target, MMPROJ


def text_without_a_tensor(folder: Path) -> Spoilt:
    return _rewritten(TEXT, folder, lambda name, data: None if name == "blk.2.ffn_up.weight" else data), MMPROJ


def text_of_an_unknown_kind(folder: Path) -> Spoilt:
    """A model that only a later llama.cpp knows."""
    target = folder / "later.gguf"
    # The name has as many letters, so that only this one thing differs.
    target.write_bytes(
        TEXT.read_bytes().replace(b"llama.", b"zlama.").replace(b"\5\0\0\0\0\0\0\0llama", b"\5\0\0\0\0\0\0\0zlama")
    )
    return target, MMPROJ


def mmproj_of_another_model(folder: Path) -> Spoilt:
    """It speaks to a language model half as wide."""

    def narrower(name: str, data: np.ndarray) -> np.ndarray:
        return data[: len(data) // 2] if name == "mm.model.fc.weight" else data

    return TEXT, _rewritten(MMPROJ, folder, narrower)


def text_with_impossible_numbers(folder: Path) -> Spoilt:
    target = folder / "impossible.gguf"
    copy_with(TEXT, target, {"llama.attention.head_count": 3})
    return target, MMPROJ


def _cut(whole: Path, folder: Path) -> Path:
    target = folder / f"cut-{whole.name}"
    data = whole.read_bytes()
    target.write_bytes(data[: len(data) // 2])
    return target


def _rewritten(source: Path, folder: Path, change: Callable[[str, np.ndarray], np.ndarray | None]) -> Path:
    target = folder / f"other-{source.name}"
    reader, said = GGUFReader(source), keys(source)
    writer = GGUFWriter(target, said["general.architecture"])
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind = field.types[1] if field.types[0] is GGUFValueType.ARRAY else None
            writer.add_key_value(name, said[name], field.types[0], kind)
    for tensor in reader.tensors:
        data = change(tensor.name, tensor.data)
        if data is not None:
            writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
