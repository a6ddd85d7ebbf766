"""Compares the worker's prompt and pixels with those of Transformers' own processor. Run by a Python that has it.

Transformers' processor cuts a picture along the multiples of a tile; given the size that the agent sends, both must
come to the same tiles. It is the processor of Idefics 3, whose pictures SmolVLM's are: that one wants torchvision.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import AutoTokenizer
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

ROOT = Path(__file__).parents[2]


def main(folder: Path) -> None:
    from plugins.captioners.transformers.worker.tiles import Layout

    edge, tokens, alike = 96, 16, 0
    tokenizer = AutoTokenizer.from_pretrained(folder)
    layout = Layout(edge, tokens, (0.5,) * 3, (0.5,) * 3, tile_and_overview=False)
    for columns, rows in ((1, 1), (2, 2), (3, 2), (2, 3), (4, 4), (1, 2), (4, 1), (3, 3), (2, 1)):
        picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (rows * edge, columns * edge, 3), np.uint8))
        theirs = Idefics3ImageProcessorPil(
            size={"longest_edge": max(rows, columns) * edge}, max_image_size={"longest_edge": edge}
        )
        processor = Idefics3Processor(theirs, tokenizer, image_seq_len=tokens, chat_template=tokenizer.chat_template)
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        wanted = processor(images=[picture], text=said, return_tensors="np")
        ours = said.replace("<image>", layout.words(*layout.grid(*picture.size)), 1)
        assert tokenizer(ours)["input_ids"] == wanted["input_ids"][0].tolist(), (columns, rows)
        np.testing.assert_allclose(layout.pixels(picture), wanted["pixel_values"][0], atol=0.02)
        alike += 1
    print(f"{alike} pictures alike")


if __name__ == "__main__":
    runpy.run_path(str(ROOT / "plugins/captioners/transformers/worker/__main__.py"))["bare_packages"]()
    main(Path(sys.argv[1]))
