"""A picture as SmolVLM takes it: one square tile, or a grid of them and an overview; and the words around them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from plugins.captioners.transformers.worker.job import Refused

MOST_ACROSS = 4
FAKE, GLOBAL, IMAGE = "<fake_token_around_image>", "<global-img>", "<image>"


@dataclass(frozen=True)
class Layout:
    """What a checkpoint's own files say about its pictures."""

    edge: int
    tokens: int
    """A tile's."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tile_and_overview: bool
    """Even one tile is followed by its overview, as llama.cpp sends it; Transformers sends it once."""

    @classmethod
    def of(cls, folder: Path, config: Any) -> Layout:
        """From the checkpoint's folder and its model's config."""
        edge, patch = config.vision_config.image_size, config.vision_config.patch_size
        said: dict[str, Any] = {}
        for name in ("preprocessor_config.json", "processor_config.json"):
            path = folder / name
            if path.is_file():
                read = json.loads(path.read_text("utf-8"))
                said |= read | read.get("image_processor", {})
        return cls(
            edge,
            (edge // patch // config.scale_factor) ** 2,
            tuple(said.get("image_mean", (0.5, 0.5, 0.5))),
            tuple(said.get("image_std", (0.5, 0.5, 0.5))),
            bool(said.get("camscribe_tile_and_overview", False)),
        )

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns; 0, 0 for the picture as one tile."""
        rows, columns = (max(1, min(MOST_ACROSS, round(length / self.edge))) for length in (height, width))
        return (rows, columns) if rows * columns > 1 or self.tile_and_overview else (0, 0)

    def pixels(self, picture: Image.Image) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Shape (tiles, 3, edge, edge): row by row, then the overview."""
        rows, columns = self.grid(*picture.size)
        tiles = []
        if rows:
            whole = _scaled(picture, columns * self.edge, rows * self.edge)
            for row in range(rows):
                for column in range(columns):
                    left, top = column * self.edge, row * self.edge
                    tiles.append(whole.crop((left, top, left + self.edge, top + self.edge)))
        tiles.append(_scaled(picture, self.edge, self.edge))
        values = np.stack([np.asarray(tile, np.float32) for tile in tiles]) / 255
        values = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def words(self, rows: int, columns: int) -> str:
        """What stands for the picture in the prompt."""
        tile = IMAGE * self.tokens
        said = ""
        for row in range(1, rows + 1):
            said += "".join(f"{FAKE}<row_{row}_col_{column}>{tile}" for column in range(1, columns + 1)) + "\n"
        return f"{said}{chr(10) if rows else ''}{FAKE}{GLOBAL}{tile}{FAKE}"


def read(jpeg: bytes) -> Image.Image:
    """Raises Refused."""
    try:
        with Image.open(io.BytesIO(jpeg)) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Refused(f"The picture can't be read: {error}") from None


def _scaled(picture: Image.Image, width: int, height: int) -> Image.Image:
    if picture.size == (width, height):
        return picture
    return picture.resize((width, height), Image.Resampling.LANCZOS)
