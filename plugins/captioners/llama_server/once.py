"""A SmolVLM's picture of one tile, encoded once.

llama.cpp encodes such a picture twice, as a tile and as the overview of all tiles, although both are the same. A
SmolVLM that is shown an uncut picture (``do_image_splitting=False`` of its own processor in Transformers) gets the
overview alone: ``<fake_token_around_image><global-img>``, the picture's tokens, ``<fake_token_around_image>``. Encoding
is nine tenths of a caption on a processor, so that more than a third of the time is saved.

llama.cpp has no option for it. But it serves another model, LFM2-VL, by the very same steps (SigLIP, then merged
patches), and encodes a small picture of that once, between the tokens ``<|image_start|>`` and ``<|image_end|>``. So two
copies are made: of the projector, which says it is an LFM2-VL's, its one matrix written as the two layers that those
have (rewrite.py); and of the language model, where SmolVLM's tokens go by those names. What the model then gets is what
it was trained with, token by token; the first ``<fake_token_around_image>`` is ours to write (``LEAD``).

Whether an engine plays along is found out first, by ``rehearsed``.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.plugin import CaptionUnavailable, Context, Misconfigured
from plugins.captioners import chat
from plugins.captioners.engine import endpoint
from plugins.captioners.engine.client import Client, EngineLost, encoded
from plugins.captioners.engine.endings import Kind
from plugins.captioners.engine.errors import Ended, NotStarted
from plugins.captioners.engine.launch import Launch, loaded, started
from plugins.captioners.engine.pace import Pace
from plugins.captioners.llama_server import command
from plugins.captioners.llama_server.binary import Found, Installed
from plugins.captioners.llama_server.config import LlamaServerConfig
from plugins.captioners.llama_server.copies import FOLDER, Wish, prepared
from plugins.captioners.llama_server.presets import TINY, Files

LEAD = "<|image_end|>"
TEXT = Wish(tokens=(("<global-img>", "<|image_start|>"), ("<fake_token_around_image>", LEAD)))
"""The language model's copy."""
FLAGS = frozenset({"--image-min-tokens", "--image-max-tokens"})
WITHIN = 20.0
"""Seconds for a rehearsal, which takes half a second. A machine too busy for that rehearses at the next start."""
DRAWING = TINY / "doorstep.jpg"
TRUTH = "A red car on the left in daylight."
PROMPT = "Describe the image."
PICTURE_TOKENS, TOKENS = 16, 31
"""The picture's, and those of the prompt with it."""
DEMO = Files(TINY / "tinyvlm-text-f16.gguf", TINY / "tinyvlm-mmproj-f16.gguf")
_NO_ANSWER = frozenset({Kind.KILLED, Kind.MEMORY, Kind.DISK, Kind.MISSING, Kind.CUT_SHORT})
"""Endings that say nothing of what it can."""

_rehearsed: dict[str, bool] = {}


def projector(wanted: Wish) -> Wish:
    """The projector's copy, otherwise as wanted."""
    return replace(wanted, projector="lfm2")


async def rehearsed(engine: Found, gpu_layers: int | None, context: Context) -> bool:
    """Whether this engine sees right so: it is given the demo's model, made like that, and a drawing to describe.

    Asked once an engine.
    """
    if isinstance(engine, Installed) and not engine.flags >= FLAGS:
        return False
    key = f"{engine!r} {gpu_layers}"
    if key not in _rehearsed:
        try:
            files = await _demo(context)
            async with asyncio.timeout(WITHIN):
                _rehearsed[key] = await _sees(engine, files, gpu_layers, context)
        except (TimeoutError, OSError, NotStarted, Misconfigured) as error:
            context.log.debug("could not find out whether %s can encode a picture once: %s", engine, error)
            return False
        if not _rehearsed[key]:
            context.log.info("%s can't encode a picture once: captions take longer. Another version of it may.", engine)
    return _rehearsed[key]


async def _demo(context: Context) -> Files:
    """The copies of the demo's model. Raises OSError where they can't be made."""
    made = []
    for path, wanted in ((DEMO.model, TEXT), (DEMO.mmproj, projector(Wish()))):
        made.append(await prepared(path, wanted, context.data_dir / FOLDER, context.log, loud=False))
        if made[-1] == path:
            raise OSError(f"there is no copy of {path.name}")
    return Files(*made)


async def _sees(engine: Found, files: Files, gpu_layers: int | None, context: Context) -> bool:
    config = LlamaServerConfig(preset="tiny", gpu_layers=gpu_layers).with_tokens(PICTURE_TOKENS)
    place = await asyncio.to_thread(endpoint.on_socket, context.runtime_dir)
    words = command.command(engine, config, files, place)
    launch = Launch(str(engine), words, {**command.environment(config), **engine.libraries}, place, lead=LEAD)
    pace = Pace(start_timeout=2 * WITHIN)
    try:
        async with started(launch, pace, context.log) as run, Client(place, lead=LEAD) as client:
            await loaded(run, client, pace, lambda _: None)
            picture = encoded(await asyncio.to_thread(DRAWING.read_bytes))
            try:
                answer = await client.answer(client.body(picture, chat.Asked(PROMPT, 30), 0.0), 2 * WITHIN)
            except EngineLost:
                raise Ended(await run.ended) from None
    except (Ended, CaptionUnavailable) as error:
        if isinstance(error, Ended) and error.ending.kind in _NO_ANSWER:
            raise NotStarted(error.ending.sentence, error.ending.kind) from error
        context.log.debug("%s, asked to encode a picture once: %s", engine, error)
        return False
    said = chat.parsed(answer)
    context.log.debug("%s has encoded a drawing once and says: %s", engine, said)
    seen, used = chat.dig(said, "choices", 0, "message", "content"), chat.dig(said, "usage", "prompt_tokens")
    return (seen, used) == (TRUTH, TOKENS)
