"""The tiny model among layers that change nothing: it says the same, and takes as long as they are many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from tests.fakes.tiny_model import TEXT
from tiny_model.gguf_copy import keys

MOST_LAYERS = 512
"""llama.cpp takes no more."""


def slow_model(folder: Path, layers: int) -> Path:
    """Write a text model with ``layers`` layers more than the tiny one has, to be used with its MMPROJ.

    The weights of those are zero, so what goes into such a layer comes out of it.
    """
    target = folder / f"tinyvlm-text-{layers}-layers-more.gguf"
    if target.exists():
        return target
    reader, said = GGUFReader(TEXT), keys(TEXT)
    first = said["llama.block_count"]
    assert first + layers <= MOST_LAYERS
    writer = GGUFWriter(target, said["general.architecture"])
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = first + layers if name == "llama.block_count" else said[name]
        writer.add_key_value(
            name, value, field.types[0], field.types[1] if field.types[0] is GGUFValueType.ARRAY else None
        )
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for tensor in reader.tensors:
        if tensor.name.startswith("blk.0."):
            nothing = np.zeros_like(tensor.data)
            for layer in range(first, first + layers):
                name = tensor.name.replace("blk.0.", f"blk.{layer}.")
                writer.add_tensor(name, nothing, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
