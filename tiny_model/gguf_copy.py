"""Copy a GGUF file with some of its keys changed; the tensors stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf import GGUFReader, GGUFValueType, GGUFWriter


def keys(path: Path) -> dict[str, Any]:
    """Every key of the file with its value."""
    fields = GGUFReader(path).fields.values()
    return {field.name: field.contents() for field in fields if not field.name.startswith("GGUF.")}


def copy_with(source: Path, target: Path, changes: Mapping[str, Any]) -> None:
    """Write ``source`` to ``target``; each key in ``changes`` gets its new value and keeps its type."""
    reader = GGUFReader(source)
    unknown = changes.keys() - reader.fields.keys()
    if unknown:
        raise KeyError(f"{source} has no key {', '.join(sorted(unknown))}")
    writer = GGUFWriter(target, keys(source)["general.architecture"])  # which writes that key itself
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = changes.get(name, field.contents())
        sub_type = field.types[1] if field.types[0] is GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], sub_type)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
