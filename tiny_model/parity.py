"""Does the server compute what PyTorch computes? How likely is each next word of the server's answer, to both?"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from plugins.sources.demo.scenes import draw, random_scene
from tiny_model.batches import Encoder, as_input
from tiny_model.dialog import PICTURE, Dialog, random_dialog
from tiny_model.model import TinyModel
from tiny_model.pictures import jpeg, stretched
from tiny_model.server import Server

SIZES = [(640, 480), (320, 240), (640, 360), (321, 240), (480, 640), (96, 96), (1280, 720)]
WORDS = 6
QUESTION = "Describe the image."
LARGEST_DIFFERENCE = 0.2
"""In log-probability, of the four words that the server finds likeliest at each place. f16 gave 0.03."""


@dataclass(frozen=True, slots=True)
class Parity:
    tokenizer_differences: int
    prompt_differences: int
    largest_difference: float
    answers: int
    """Compared. The server tells no likelihoods of an answer that is no text, as a hardly trained model's may be."""

    @property
    def holds(self) -> bool:
        same = self.tokenizer_differences == self.prompt_differences == 0
        return same and self.answers > 0 and self.largest_difference < LARGEST_DIFFERENCE


def compare(model: TinyModel, encoder: Encoder, text: Path, mmproj: Path, log: Path) -> Parity:
    model.eval()
    rng = random.Random(11)
    prompts, largest, answers = 0, 0.0, 0
    with Server(text, mmproj, log) as server:
        tokenizer = _tokenizer_differences(server, encoder)
        for size in SIZES:
            data = jpeg(draw(random_scene(rng), *size, rng))
            for text_first in (False, True):
                options = {"max_tokens": WORDS, "logprobs": True, "top_logprobs": 4, "ignore_eos": True}
                reply = server.ask(data, QUESTION, text_first=text_first, **options)
                words = reply["choices"][0].get("logprobs", {"content": []})["content"]
                answers += bool(words)
                said = [word["id"] for word in words]
                length, expected = _log_probabilities(model, encoder, data, said, text_first=text_first)
                prompts += reply["usage"]["prompt_tokens"] != length
                for place, word in enumerate(words):
                    for likely in word["top_logprobs"]:
                        difference = abs(likely["logprob"] - expected[place, likely["id"]].item())
                        largest = max(largest, difference)
    return Parity(tokenizer, prompts, round(largest, 4), answers)


def _tokenizer_differences(server: Server, encoder: Encoder) -> int:
    rng = random.Random(3)
    differences = 0
    for number in range(100):
        dialog = random_dialog(random_scene(rng), rng)
        odd = "Zebra 12 crossing\n\n the  road, it's <ok> é!\n\n\n  x" + dialog.answer[: number % 20]
        for text in (dialog.prompt.replace(PICTURE, ""), dialog.answer, odd):
            tokens = server.post("/tokenize", {"content": text, "parse_special": True})["tokens"]
            differences += tokens != encoder.ids(text)
    return differences


@torch.no_grad()
def _log_probabilities(
    model: TinyModel, encoder: Encoder, data: bytes, said: list[int], *, text_first: bool
) -> tuple[int, Tensor]:
    """The prompt's length, and the log-probability of every word at each place of the server's answer."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    seen = model.vision.tokens(model.vision.features(as_input(stretched(picture)[None])))[0]
    user = QUESTION + PICTURE if text_first else PICTURE + QUESTION
    prompt = encoder.prompt(Dialog(user, None, ""))
    tokens = torch.tensor(prompt + said)
    slot = (-1 - tokens).clamp_min(0) % model.shape.picture_tokens
    embedded = torch.where((tokens < 0)[:, None], seen[slot], model.embedding(tokens.clamp_min(0)))
    read = model.read(embedded[None])[0, len(prompt) - 1 : -1]
    return len(prompt), model.next_words(read).log_softmax(-1)
