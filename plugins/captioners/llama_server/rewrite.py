"""Copies a picture projector with its weights in another number type, or with some of its keys changed.

    python rewrite.py '{"source": "…gguf", "target": "…gguf", "type": "BF16", "keys": {"clip.vision.…": 0}}'

A process of its own, run by its path: the gguf package and the weights are gone from memory when it ends.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

FILE_TYPE = "general.file_type"
FILE_TYPES = {"BF16": LlamaFileType.MOSTLY_BF16, "F16": LlamaFileType.MOSTLY_F16, "Q8_0": LlamaFileType.MOSTLY_Q8_0}
FULL = (GGMLQuantizationType.F32, GGMLQuantizationType.F64)


def main() -> None:
    settings: dict[str, Any] = json.loads(sys.argv[1])
    reader = GGUFReader(settings["source"])
    keys: dict[str, Any] = dict(settings["keys"])
    wanted = None
    if settings["type"]:
        wanted = GGMLQuantizationType[settings["type"]]
        keys[FILE_TYPE] = int(FILE_TYPES[settings["type"]])
    write(reader, Path(settings["target"]), wanted, keys)


def write(reader: GGUFReader, target: Path, wanted: GGMLQuantizationType | None, keys: dict[str, Any]) -> None:
    """One tensor at a time, so that a large projector needs no memory of its size."""
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())  # which writes that key itself
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        sub_type = field.types[1] if field.types[0] is GGUFValueType.ARRAY else None
        writer.add_key_value(name, keys.get(name, field.contents()), field.types[0], sub_type)
    if FILE_TYPE in keys.keys() - reader.fields.keys():
        writer.add_file_type(keys[FILE_TYPE])
    for tensor in reader.tensors:
        kind = becomes(tensor, wanted)
        shape = [int(size) for size in reversed(tensor.shape)]
        block, size = GGML_QUANT_SIZES[kind]
        length = int(tensor.n_elements) // block * size
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), length, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        kind, data = becomes(tensor, wanted), tensor.data
        if kind is not tensor.tensor_type:
            data = quantize(dequantize(data, tensor.tensor_type), kind)
        writer.write_tensor_data(np.ascontiguousarray(data))
    writer.close()


def becomes(tensor: Any, wanted: GGMLQuantizationType | None) -> GGMLQuantizationType:
    """The matrices change. What the file's maker left in full, the positions and the convolutions stay."""
    kind: GGMLQuantizationType = tensor.tensor_type
    matrix = len(tensor.shape) == 2 and tensor.name.endswith(".weight") and "embd" not in tensor.name
    if wanted is None or kind in FULL or not matrix:
        return kind
    return wanted if int(tensor.shape[0]) % GGML_QUANT_SIZES[wanted][0] == 0 else kind


if __name__ == "__main__":
    main()
