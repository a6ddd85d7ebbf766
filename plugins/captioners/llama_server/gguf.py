"""The few facts of a GGUF file's header that say what picture a model wants."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.plugin import Geometry, ModelView

Value = int | float | bool | str
LIMIT = 1 << 20
"""No string of a header that we look at is longer; a longer one means a damaged file."""
_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9


def read_header(path: Path, wanted: set[str]) -> dict[str, Value]:
    """The wanted keys, where the file has them. Raises ValueError, OSError."""
    found: dict[str, Value] = {}
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("it is not a GGUF file")
        _, _, keys = _unpack(file, "<I"), _unpack(file, "<Q"), _unpack(file, "<Q")
        for _ in range(min(int(keys), 10_000)):
            key = _string(file)
            value = _value(file, int(_unpack(file, "<I")))
            if key in wanted and value is not None:
                found[key] = value
                if len(found) == len(wanted):
                    break
    return found


def _value(file: BinaryIO, kind: int) -> Value | None:
    """The value, or None for an array, which is skipped."""
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _unpack(file, _format(kind))
    element, count = int(_unpack(file, "<I")), int(_unpack(file, "<Q"))
    if element == _STRING:
        for _ in range(count):
            _string(file)
    else:
        file.seek(count * struct.calcsize(_format(element)), 1)
    return None


def _format(kind: int) -> str:
    if kind not in _FORMATS:
        raise ValueError("its header is damaged")
    return _FORMATS[kind]


def _string(file: BinaryIO) -> str:
    length = int(_unpack(file, "<Q"))
    if length > LIMIT:
        raise ValueError("its header is damaged")
    return file.read(length).decode("utf-8", "replace")


def _unpack(file: BinaryIO, form: str) -> int | float | bool:
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise ValueError("it is cut short: copy or download it again")
    value: int | float | bool = struct.unpack(form, data)[0]
    return value


_VISION = "clip.vision."
CUTS = f"{_VISION}preproc_image_size"
"""Where it is larger than a tile, llama.cpp enlarges every picture to it and cuts it into tiles."""
PROJECTOR = "clip.projector_type"
_PROJECTOR_KEYS = {
    "general.architecture",
    PROJECTOR,
    f"{_VISION}image_size",
    f"{_VISION}patch_size",
    f"{_VISION}projector.scale_factor",
    CUTS,
}
_MERGED = 2
"""Patches by patches that a Qwen-VL makes one token of."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How a model wants its pictures: the view, its size at low and high detail, and the most tokens a picture."""

    view: ModelView
    low: int | None = None
    high: int | None = None
    image_tokens: int | None = None


def check_text_model(path: Path) -> None:
    """Raises ValueError where the file is not a language model (the two files are easily swapped)."""
    if read_header(path, {"general.architecture"}).get("general.architecture") == "clip":
        raise ValueError("it is a picture projector: that belongs under mmproj, and the language model under model")


def cuts_every_picture(mmproj: Path) -> bool:
    """A SmolVLM's projector, which has every picture cut into tiles. Raises ValueError, OSError."""
    return _cuts(read_header(mmproj, _PROJECTOR_KEYS))


@dataclass(frozen=True, slots=True)
class Tile:
    """A SmolVLM's: the picture that is one, and its tokens."""

    view: ModelView
    tokens: int


def tile_of(mmproj: Path) -> Tile | None:
    """None for any other projector, and where a tile is no whole number of tokens. Raises ValueError, OSError."""
    facts = read_header(mmproj, _PROJECTOR_KEYS)
    patch, shuffle = _patches(facts)
    edge, token = int(facts.get(f"{_VISION}image_size", 0)), patch * shuffle
    if facts.get(PROJECTOR) != "idefics3" or not token or edge % token:
        return None
    return Tile(ModelView(Geometry.SQUARE, edge), (edge // token) ** 2)


def wanted_picture(mmproj: Path) -> Sight | None:
    """How a model with this projector sees; None where the file doesn't tell.

    Raises ValueError where it is no projector.
    """
    facts = read_header(mmproj, _PROJECTOR_KEYS)
    if facts.get("general.architecture", "clip") != "clip":
        raise ValueError("it is a language model: that belongs under model, and the mmproj file under mmproj")
    kind, size = facts.get(PROJECTOR), int(facts.get(f"{_VISION}image_size", 0))
    patch, shuffle = _patches(facts)
    if kind == "idefics3" and size:
        if not _cuts(facts):
            return Sight(ModelView(Geometry.SQUARE, size))
        tokens = (size // patch // shuffle) ** 2 if patch and shuffle else None
        return Sight(ModelView(Geometry.SQUARE, size), high=2 * size, image_tokens=tokens)
    if kind == "gemma3" and size:
        return Sight(ModelView(Geometry.SQUARE, size))
    if isinstance(kind, str) and kind.startswith("qwen") and kind.endswith("vl_merger") and patch:
        token = patch * _MERGED
        return Sight(ModelView(Geometry.ASPECT, 24 * token), low=16 * token, high=48 * token)
    return None


def _patches(facts: Mapping[str, Value]) -> tuple[int, int]:
    """A patch's edge in pixels, and patches by patches of how many make a token."""
    return int(facts.get(f"{_VISION}patch_size", 0)), int(facts.get(f"{_VISION}projector.scale_factor", 0))


def _cuts(facts: Mapping[str, Value]) -> bool:
    tile = int(facts.get(f"{_VISION}image_size", 0))
    return facts.get(PROJECTOR) == "idefics3" and int(facts.get(CUTS, 0)) > tile > 0
