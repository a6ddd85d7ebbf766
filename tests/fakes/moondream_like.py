"""A model that brings its own code, in Moondream's manner, and does wrong on demand: the question says what.

Transformers imports this file out of the model's folder, as it does with Moondream's. It was written, as that was,
before Transformers 5: it never calls ``post_init``.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

import torch
from transformers import PretrainedConfig, PreTrainedModel

KEPT: list[bytes] = []


class LikeConfig(PretrainedConfig):
    model_type = "moondream_like"


class Words:
    def encode(self, text):
        self.ids = text.split()
        return self


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(4))
        self.tokenizer = Words()


class Like(PreTrainedModel):
    config_class = LikeConfig

    def __init__(self, config):
        super().__init__(config)
        self.model = Inner()
        self.encoded = 0

    def encode_image(self, image):
        self.encoded += 1
        return {"size": image.size, "number": self.encoded}

    def query(self, image=None, question=None, stream=False, settings=None):
        return {"answer": self.pieces(image, question, settings)}

    def pieces(self, image, question, settings):
        what, _, how = question.partition(" ")
        yield "Picture "
        if what == "count":
            yield f"{image['number']} of "
            yield f"{image['size'][0]} by {image['size'][1]}."
        elif what == "print":
            print("a library's garbage")
            os.write(1, b'{"status": 200}\n\x00\xff' + b"x" * 100_000 + b"\n")
            yield "printed."
        elif what == "slowly":
            for _ in range(6000):
                time.sleep(0.01)
                yield "on and "
        elif what == "hang":
            time.sleep(3600)
        elif what == "keep":
            KEPT.append(b"\x01" * int(float(how) * 1e6))
            yield "kept."
        elif what == "crash":
            sys.stderr.write("about to crash\n")
            sys.stderr.flush()
            ctypes.string_at(0)
        elif what == "raise":
            raise RuntimeError(how)
        elif what == "environment":
            yield os.environ.get(how, "nothing")
