"""SmolVLM and its elder sister Idefics 3.

The prompt and the pixels are made here: Transformers' own processor wants torchvision, and num2words for videos. The
words are generated here too: what the model has computed for a picture stays, so that a second question about it costs
no more than its own tokens; and a generation that nobody waits for ends before the next layer.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from plugins.captioners.transformers.worker.job import Answer, Job, Refused, Token
from plugins.captioners.transformers.worker.place import Unfit
from plugins.captioners.transformers.worker.tiles import FAKE, GLOBAL, IMAGE, Layout, read

KINDS = ("smolvlm", "idefics3")


class SmolVLM:
    patience = 15.0
    """Seconds: one layer's time, many times over."""

    def __init__(self, folder: Path, device: str, dtype: Any) -> None:
        import torch  # noqa: PLC0415
        from transformers import AutoModelForImageTextToText, AutoTokenizer  # noqa: PLC0415

        self._torch, self._device = torch, device
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._template = template(folder, self._tokenizer)
        self._model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, local_files_only=True)
        self._model.eval().to(device)
        self._layout = Layout.of(folder, self._model.config)
        self._specials = [token.content for token in self._tokenizer.added_tokens_decoder.values() if token.special]
        self._image = self._token(IMAGE)
        for needed in (FAKE, GLOBAL):
            self._token(needed)
        self._ends = self._end_tokens()
        self._context: int = self._model.config.text_config.max_position_embeddings
        self._job: Job | None = None
        self._read_so_far: list[int] = []
        self._picture = b""
        for module in self._model.modules():
            if isinstance(module, torch.nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(self._check)
        self._forget()

    @property
    def picture_edge(self) -> int:
        return self._layout.edge

    def ask(self, job: Job) -> Answer:
        """Raises Cancelled, Refused, and whatever PyTorch raises."""
        self._job = job
        began = time.perf_counter()
        try:
            with self._torch.inference_mode():
                return self._answer(job, began)
        except BaseException:
            self._forget()  # some layers know more than others
            raise
        finally:
            self._job = None

    def _answer(self, job: Job, began: float) -> Answer:
        ids, picture = self._prompt(job)
        reused = self._recall(ids, hashlib.sha256(job.picture).digest())
        logits = self._read(ids[reused:], None if reused else self._layout.pixels(picture))
        said: list[int] = []
        places: list[Token] = []
        first = 0.0
        while len(said) < job.max_tokens:
            token = self._choose(logits, job.temperature)
            first = first or time.perf_counter()
            if job.tops:
                places.append(self._place(logits, token, job.tops))
            if token in self._ends:
                break
            said.append(token)
            if len(said) < job.max_tokens:
                logits = self._read([token], None)
        return Answer(
            text=self._tokenizer.decode(said, skip_special_tokens=True).strip(),
            cut=len(said) >= job.max_tokens,
            tokens=len(said),
            prompt_tokens=len(ids),
            reused=reused,
            prompt_ms=(first - began) * 1000,
            generate_ms=(time.perf_counter() - first) * 1000,
            said=places or None,
        )

    def _place(self, logits: Any, token: int, tops: int) -> Token:
        logprobs = self._torch.log_softmax(logits.float(), -1)
        best = logprobs.topk(min(tops, len(logprobs)))
        likely = [
            (self._piece(one), value) for one, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        return Token(self._piece(token), float(logprobs[token]), likely)

    def _piece(self, token: int) -> str:
        """An end is nothing, as llama-server has it."""
        return str(self._tokenizer.decode([token], skip_special_tokens=True))

    def _prompt(self, job: Job) -> tuple[list[int], Any]:
        picture = read(job.picture)
        text = job.text
        for special in self._specials:
            text = text.replace(special, " ")
        content = [{"type": "image"}, {"type": "text", "text": text}]
        said: str = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        said = said.replace(IMAGE, self._layout.words(*self._layout.grid(*picture.size)), 1)
        ids: list[int] = self._tokenizer(said, add_special_tokens=False)["input_ids"]
        if len(ids) + job.max_tokens > self._context:
            raise Refused(
                f"Picture, prompt and answer would take {len(ids) + job.max_tokens} tokens, and the model's context "
                f"holds {self._context}. Use a shorter prompt."
            )
        return ids, picture

    def _recall(self, ids: list[int], picture: bytes) -> int:
        """How many of the first tokens need not be read again: they are the same, and so is the picture."""
        same = 0
        if picture == self._picture:
            for known, wanted in zip(self._read_so_far, ids[:-1], strict=False):
                if known != wanted:
                    break
                same += 1
        if self._image in ids[same:]:
            self._forget()
            same = 0
        elif surplus := len(self._read_so_far) - same:
            self._cache.crop(-surplus)
            del self._read_so_far[same:]
        self._picture = picture
        return same

    def _read(self, ids: list[int], pixels: Any) -> Any:
        """The logits of what comes next."""
        torch = self._torch
        picture = {} if pixels is None else {"pixel_values": torch.from_numpy(pixels)[None].to(self._device)}
        output = self._model(
            input_ids=torch.tensor([ids], device=self._device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **picture,
        )
        self._read_so_far += ids
        return output.logits[0, -1]

    def _choose(self, logits: Any, temperature: float) -> int:
        if temperature <= 0:
            return int(logits.argmax())
        likely = self._torch.softmax(logits.float() / temperature, -1)
        return int(self._torch.multinomial(likely, 1))

    def _forget(self) -> None:
        from transformers import DynamicCache  # noqa: PLC0415

        self._cache = DynamicCache(config=self._model.config.text_config)
        self._read_so_far, self._picture = [], b""

    def _check(self, _module: Any, _arguments: Any) -> None:
        if self._job is not None:
            self._job.check()

    def _token(self, text: str) -> int:
        place = self._tokenizer.convert_tokens_to_ids(text)
        if place is None or place == self._tokenizer.unk_token_id:
            raise Unfit(f"The model's vocabulary has no {text}, so it can't be shown a picture.")
        return int(place)

    def _end_tokens(self) -> set[int]:
        said = self._model.generation_config.eos_token_id
        ends = set(said) if isinstance(said, list) else {said}
        ends |= {self._tokenizer.eos_token_id, self._tokenizer.convert_tokens_to_ids("<end_of_utterance>")}
        return {end for end in ends if end is not None and end != self._tokenizer.unk_token_id}


def template(folder: Path, tokenizer: Any) -> str:
    """The chat format: beside the tokenizer's words, or where processors keep theirs."""
    if tokenizer.chat_template:
        return str(tokenizer.chat_template)
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8")
    path = folder / "chat_template.json"
    if path.is_file():
        return str(json.loads(path.read_text("utf-8"))["chat_template"])
    raise Unfit(f"{folder} has no chat template, so nobody knows how this model wants to be asked.")
