"""Moondream 2: a model that brings its own code, and answers questions with it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from plugins.captioners.transformers.worker.job import Answer, Job
from plugins.captioners.transformers.worker.tiles import read


class Moondream:
    picture_edge = 378
    patience = 90.0
    """Seconds: its code can't be asked to stop while it looks at the picture, which is long on a slow processor."""

    def __init__(self, folder: Path, device: str, dtype: Any) -> None:
        import torch  # noqa: PLC0415
        from transformers import AutoModelForCausalLM, PreTrainedModel  # noqa: PLC0415

        if not hasattr(PreTrainedModel, "all_tied_weights_keys"):
            # Transformers 5 reads it of every model, and models written before it never set it.
            PreTrainedModel.all_tied_weights_keys = {}
        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype=dtype)
        self._model.eval().to(device)
        self._known: tuple[bytes, Any] = (b"", None)

    def ask(self, job: Job) -> Answer:
        """Raises Cancelled, Refused, and whatever the model's code raises."""
        began = time.perf_counter()
        digest = hashlib.sha256(job.picture).digest()
        reused = self._known[0] == digest
        with self._torch.inference_mode():
            if not reused:
                self._known = (b"", None)
                self._known = (digest, self._model.encode_image(read(job.picture)))
            job.check()
            settings = {"max_tokens": job.max_tokens, "temperature": job.temperature}
            pieces = self._model.query(image=self._known[1], question=job.text, stream=True, settings=settings)
            said, first = "", 0.0
            for piece in pieces["answer"]:
                first = first or time.perf_counter()
                job.check()
                said += piece
        ended = time.perf_counter()
        tokens = self._count(said)
        return Answer(
            text=said.strip(),
            cut=tokens >= job.max_tokens,
            tokens=tokens,
            prompt_tokens=self._count(job.text),
            reused=int(reused),
            prompt_ms=((first or ended) - began) * 1000,
            generate_ms=(ended - (first or ended)) * 1000,
        )

    def _count(self, text: str) -> int:
        """It does not tell, so its words are counted again."""
        return len(self._model.model.tokenizer.encode(text).ids)
