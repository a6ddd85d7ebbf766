"""Copies a GGUF file with its weights in another number type, or with some of its keys changed.

    python rewrite.py '{"source": "…gguf", "target": "…gguf", "type": "BF16", "keys": {"clip.vision.…": 0}}'

``tokens`` gives tokens of a language model's vocabulary other names. ``two_layers`` turns the one matrix of a SmolVLM's
projector into two that come to the same (once.py says what for).

A process of its own, run by its path: the gguf package and the weights are gone from memory when it ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

FILE_TYPE = "general.file_type"
FILE_TYPES = {"BF16": LlamaFileType.MOSTLY_BF16, "F16": LlamaFileType.MOSTLY_F16, "Q8_0": LlamaFileType.MOSTLY_Q8_0}
FULL = (GGMLQuantizationType.F32, GGMLQuantizationType.F64)
TOKENS = "tokenizer.ggml.tokens"
ONE_MATRIX = "mm.model.fc.weight"


@dataclass(frozen=True)
class Part:
    """A tensor of the copy. ``shape``: rows first."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    data: Callable[[], Any]


def main() -> None:
    settings: dict[str, Any] = json.loads(sys.argv[1])
    try:
        reader = GGUFReader(settings["source"])
    except (ValueError, LookupError) as error:
        sys.exit(f"It can't be read, and may be cut short or damaged ({error})")
    if (count := reader.fields.get("split.count")) and count.contents() > 1:
        sys.exit("It is one of several parts")  # which the engine finds by their names
    keys: dict[str, Any] = dict(settings["keys"])
    wanted = None
    if settings["type"]:
        wanted = GGMLQuantizationType[settings["type"]]
        keys[FILE_TYPE] = int(FILE_TYPES[settings["type"]])
    if settings["tokens"]:
        keys[TOKENS] = renamed(reader.fields[TOKENS].contents(), settings["tokens"])
    write(reader, Path(settings["target"]), keys, [*parts(reader, wanted, two_layers=settings["two_layers"])])


def renamed(tokens: list[str], names: Mapping[str, str]) -> list[str]:
    for old, new in names.items():
        if tokens.count(old) != 1 or new in tokens:
            sys.exit(f"Its vocabulary has not one {old} and no {new}")
    return [names.get(token, token) for token in tokens]


def write(reader: GGUFReader, target: Path, keys: Mapping[str, Any], tensors: list[Part]) -> None:
    """One tensor at a time, so that a large file needs no memory of its size."""
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())  # which writes that key itself
    writer.data_alignment = reader.alignment
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        sub_type = field.types[1] if field.types[0] is GGUFValueType.ARRAY else None
        value = keys[name] if name in keys else field.contents()
        writer.add_key_value(name, value, field.types[0], sub_type)
    if FILE_TYPE in keys.keys() - reader.fields.keys():
        writer.add_file_type(keys[FILE_TYPE])
    for part in tensors:
        block, size = GGML_QUANT_SIZES[part.kind]
        length = int(np.prod(part.shape)) // block * size
        writer.add_tensor_info(part.name, part.shape, np.dtype(np.float32), length, raw_dtype=part.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for part in tensors:
        writer.write_tensor_data(np.ascontiguousarray(part.data()))
    writer.close()
    with target.open("rb") as written:  # a power cut leaves nothing half under a whole one's name
        os.fsync(written.fileno())


def parts(reader: GGUFReader, wanted: GGMLQuantizationType | None, *, two_layers: bool) -> Iterator[Part]:
    for tensor in reader.tensors:
        if two_layers and tensor.name == ONE_MATRIX:
            yield from in_two_layers(tensor, becomes(tensor, wanted))
        else:
            shape = tuple(int(size) for size in reversed(tensor.shape))
            kind = becomes(tensor, wanted)
            yield Part(tensor.name, shape, kind, partial(converted, tensor, kind))


def in_two_layers(tensor: Any, kind: GGMLQuantizationType) -> Iterator[Part]:
    """W x as (1, -1) gelu((W, -W) x), as gelu(y) - gelu(-y) = y."""
    columns, rows = (int(size) for size in tensor.shape)
    full, one = GGMLQuantizationType.F32, np.eye(rows, dtype=np.float32)

    def twice() -> Any:
        matrix = dequantize(tensor.data, tensor.tensor_type)
        return quantize(np.concatenate([matrix, -matrix]), kind)

    yield Part("mm.1.weight", (2 * rows, columns), kind, twice)
    yield Part("mm.1.bias", (2 * rows,), full, lambda: np.zeros(2 * rows, np.float32))
    yield Part("mm.2.weight", (rows, 2 * rows), full, lambda: np.hstack([one, -one]))
    yield Part("mm.2.bias", (rows,), full, lambda: np.zeros(rows, np.float32))


def converted(tensor: Any, kind: GGMLQuantizationType) -> Any:
    if kind is tensor.tensor_type:
        return tensor.data
    return quantize(dequantize(tensor.data, tensor.tensor_type), kind)


def becomes(tensor: Any, wanted: GGMLQuantizationType | None) -> GGMLQuantizationType:
    """The matrices change. What the file's maker left in full, the positions and the convolutions stay."""
    kind: GGMLQuantizationType = tensor.tensor_type
    matrix = len(tensor.shape) == 2 and tensor.name.endswith(".weight") and "embd" not in tensor.name
    if wanted is None or kind in FULL or not matrix:
        return kind
    return wanted if int(tensor.shape[0]) % GGML_QUANT_SIZES[wanted][0] == 0 else kind


if __name__ == "__main__":
    main()
