"""A model's files as they are to be served: as they are, or copies of them that this engine is faster with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.plugin import Context
from plugins.captioners.llama_server import once
from plugins.captioners.llama_server.binary import Found
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.copies import FOLDER, Wish, prepared, wish
from plugins.captioners.llama_server.gguf import tile_of
from plugins.captioners.llama_server.presets import Files


@dataclass(frozen=True, slots=True)
class Fitted:
    """The files, and the config that goes with them."""

    config: LlamaServerConfig
    files: Files
    once: bool = False
    """Each picture is one tile, encoded once (once.py)."""


async def fitted(config: LlamaServerConfig, engine: Found, files: Files, context: Context, *, tiles: bool) -> Fitted:
    """With copies. ``tiles``: some pictures are several tiles (``detail: high``)."""
    on_gpu = bool(engine.devices) and config.gpu_layers != 0
    try:
        wanted = await asyncio.to_thread(wish, config.mmproj_type, files.mmproj, engine, on_gpu=on_gpu)
        tile = await asyncio.to_thread(tile_of, files.mmproj)
    except (ValueError, OSError):
        return Fitted(config, files)  # the engine will say what is wrong with the file
    if wanted.uncut and tile and not tiles and config.shows(tile.view):
        copies = await _once(config, engine, files, wanted, context)
        if copies is not None:
            return Fitted(config.with_tokens(tile.tokens), copies, once=True)
    if not wanted:
        return Fitted(config, files)
    copy = await prepared(files.mmproj, wanted, context.data_dir / FOLDER, context.log)
    uncut = wanted.uncut and copy != files.mmproj
    return Fitted(config.without_budget() if uncut else config, Files(files.model, copy))


async def _once(config: LlamaServerConfig, engine: Found, files: Files, wanted: Wish, context: Context) -> Files | None:
    """Copies whose pictures are encoded once; None where this engine or this disk has no use for them."""
    if not await once.rehearsed(engine, config.gpu_layers, context):
        return None
    folder = context.data_dir / FOLDER
    mmproj = await prepared(files.mmproj, once.projector(wanted), folder, context.log)
    if mmproj == files.mmproj:
        return None
    model = await prepared(files.model, once.TEXT, folder, context.log)
    return None if model == files.model else Files(model, mmproj)
