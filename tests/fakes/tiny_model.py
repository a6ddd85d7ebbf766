"""The tiny model with the words of its vocabulary exchanged: the same thoughts, other words.

Only a caption that comes from the model changes with it, so it tells a model's caption from a made-up one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path

from tiny_model.gguf_copy import copy_with, keys

SHIPPED = Path(__file__).parents[2] / "plugins/captioners/llama_server/tiny"
TEXT = SHIPPED / "tinyvlm-text-f16.gguf"
MMPROJ = SHIPPED / "tinyvlm-mmproj-f16.gguf"
STRICT = Path(__file__).parents[1] / "data/strict"
STRICT_TEXT = STRICT / "tinyvlm-strict-text-f16.gguf"
STRICT_MMPROJ = STRICT / "tinyvlm-strict-mmproj-f16.gguf"

GROUPS = (
    ("red", "green", "blue", "yellow", "white", "black"),
    ("person", "car", "dog", "cat", "package", "bicycle"),
    ("left", "centre", "right"),
)
SPACE = "Ġ"  # as byte-level BPE writes the space that a word begins with


def permuted_vocabulary(folder: Path, seed: int) -> tuple[Path, Mapping[str, str]]:
    """Write a text model to ``folder`` that says another word of the same group for each word of GROUPS.

    Gives the file, to be used with the shipped MMPROJ, and which word it says for which. A prompt that holds none of
    these words is the same tokens as before. Colours, kinds and places keep their groups, so captions stay sentences.
    """
    mapping: dict[str, str] = {}
    rng = random.Random(seed)
    for words in GROUPS:
        ring = rng.sample(words, len(words))  # each word becomes the next: none stays
        mapping |= dict(zip(ring, ring[1:] + ring[:1], strict=True))
    tokens: list[str] = keys(TEXT)["tokenizer.ggml.tokens"]
    assert all(SPACE + word in tokens for word in mapping), "a word that is several tokens can't be exchanged"
    exchanged = [SPACE * token.startswith(SPACE) + _other(token, mapping) for token in tokens]
    target = folder / "tinyvlm-permuted-text-f16.gguf"
    copy_with(TEXT, target, {"tokenizer.ggml.tokens": exchanged})
    return target, mapping


def _other(token: str, mapping: Mapping[str, str]) -> str:
    word = token.removeprefix(SPACE)
    return mapping.get(word, word)


def reworded(text: str, mapping: Mapping[str, str]) -> str:
    """What the model with that vocabulary says where the shipped one says ``text``."""
    return re.sub(r"\w+", lambda word: mapping.get(word[0], word[0]), text)
