"""The vocabulary: a small byte-level BPE in GPT-2's manner, trained on the dialogs.

``tokenizer.json`` beside this file is the shipped model's. ``python -m tiny_model.tokenizer OUT`` trains one afresh.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from plugins.sources.demo.scenes import random_scene
from tiny_model.dialog import PICTURE, SPECIALS, WORDS, random_dialog

SHIPPED = Path(__file__).with_name("tokenizer.json")
WORD_PIECES = 608
DIALOGS = 30_000


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=WORD_PIECES - 1, initial_alphabet=alphabet, special_tokens=[], show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    written = json.loads(tokenizer.to_str())
    # llama.cpp looks "\n\n" up as ONE token; BPE has not found it useful, so it comes last, with its merge.
    assert "ĊĊ" not in written["model"]["vocab"]
    written["model"]["vocab"]["ĊĊ"] = len(written["model"]["vocab"])
    written["model"]["merges"].append(["Ċ", "Ċ"])
    tokenizer = Tokenizer.from_str(json.dumps(written))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return tokenizer


def _texts() -> list[str]:
    rng = random.Random(1)
    texts = []
    for _ in range(DIALOGS):
        dialog = random_dialog(random_scene(rng), rng)
        texts += [dialog.user.replace(PICTURE, ""), dialog.answer]
        if dialog.system:
            texts.append(dialog.system)
    return texts + ["user\n", "assistant\n", "system\n"] * 3000 + WORDS * 30


def load(path: Path = SHIPPED) -> Tokenizer:
    return Tokenizer.from_file(str(path))


if __name__ == "__main__":
    train().save(sys.argv[1])
