"""A trained model as two GGUF files that an unmodified llama-server loads."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

from tiny_model.dialog import CHAT_TEMPLATE, END, PAD
from tiny_model.model import Shape, TinyModel

NAME = "TinyDoorstepVLM"
LICENCE = "Apache-2.0"
Weights = dict[str, NDArray[np.float32]]


def export(model: TinyModel, tokenizer: Path, folder: Path) -> tuple[Path, Path]:
    """Write the text model and the mmproj in f16; gives their paths."""
    weights = {name: value.float().numpy() for name, value in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    text, mmproj = folder / "tinyvlm-text-f16.gguf", folder / "tinyvlm-mmproj-f16.gguf"
    _write_text(text, model.shape, weights, json.loads(tokenizer.read_text()))
    _write_mmproj(mmproj, model.shape, weights)
    return text, mmproj


def _write_text(path: Path, shape: Shape, weights: Weights, tokenizer: dict) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description("Tiny captioner of drawn doorstep scenes, for tests and demos")
    writer.add_license(LICENCE)
    parameters = sum(value.size for name, value in weights.items() if not name.startswith(("vision", "helpers")))
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)
    _add_vocabulary(writer, shape, tokenizer)
    _add(writer, "token_embd.weight", weights["embedding.weight"])  # no output.weight: they are tied
    _add(writer, "output_norm.weight", weights["norm.weight"])
    names = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "out": "attn_output"}
    names |= {name: name for name in ("attn_norm", "ffn_norm")} | {n: f"ffn_{n}" for n in ("gate", "up", "down")}
    for layer in range(shape.layers):
        for ours, theirs in names.items():
            _add(writer, f"blk.{layer}.{theirs}.weight", weights[f"layers.{layer}.{ours}.weight"])
    _finish(writer)


def _add_vocabulary(writer: GGUFWriter, shape: Shape, tokenizer: dict) -> None:
    tokens = [""] * shape.vocabulary
    types = [TokenType.NORMAL] * shape.vocabulary
    for token, place in tokenizer["model"]["vocab"].items():
        tokens[place] = token
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], TokenType.CONTROL
    assert all(tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(tokens.index(PAD))
    writer.add_eos_token_id(tokens.index(END))
    writer.add_eot_token_id(tokens.index(END))
    writer.add_pad_token_id(tokens.index(PAD))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _write_mmproj(path: Path, shape: Shape, weights: Weights) -> None:
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name(NAME)
    writer.add_license(LICENCE)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "idefics3")
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "image_size": shape.image_size,
        "patch_size": shape.patch,
        "preproc_image_size": shape.image_size,  # the longest edge is one tile; without it, 7 x 5 tiles and garbage
        "embedding_length": shape.vision_width,
        "feed_forward_length": shape.vision_ff,
        "block_count": shape.vision_layers,
        "attention.head_count": shape.vision_heads,
        "projection_dim": shape.width,
        "projector.scale_factor": shape.shuffle,
    }
    for key, number in numbers.items():
        writer.add_uint32(f"clip.vision.{key}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", shape.vision_eps)
    writer.add_array("clip.vision.image_mean", [0.5] * 3)
    writer.add_array("clip.vision.image_std", [0.5] * 3)
    patch = weights["vision.patch.weight"].reshape(shape.vision_width, 3, shape.patch, shape.patch)
    _add(writer, "v.patch_embd.weight", patch)
    _add(writer, "v.patch_embd.bias", weights["vision.patch.bias"])
    _add(writer, "v.position_embd.weight", weights["vision.position"], half=False)
    _add_both(writer, "v.post_ln", weights, "vision.post")
    _add(writer, "mm.model.fc.weight", weights["vision.project.weight"])
    names = {"ln1": "ln1", "ln2": "ln2", "out": "attn_out", "up": "ffn_up", "down": "ffn_down"}
    for layer in range(shape.vision_layers):
        ours, theirs = f"vision.layers.{layer}", f"v.blk.{layer}"
        for name, their_name in names.items():
            _add_both(writer, f"{theirs}.{their_name}", weights, f"{ours}.{name}")
        for part, name in enumerate(("attn_q", "attn_k", "attn_v")):
            for what in ("weight", "bias"):
                _add(writer, f"{theirs}.{name}.{what}", np.split(weights[f"{ours}.qkv.{what}"], 3)[part])
    _finish(writer)


def _add_both(writer: GGUFWriter, theirs: str, weights: Weights, ours: str) -> None:
    for what in ("weight", "bias"):
        _add(writer, f"{theirs}.{what}", weights[f"{ours}.{what}"])


def _add(writer: GGUFWriter, name: str, value: NDArray[np.float32], *, half: bool = True) -> None:
    """Matrices in half precision; vectors (norms, biases) in full, as llama.cpp wants them."""
    kind = np.float16 if half and value.ndim >= 2 else np.float32
    writer.add_tensor(name, np.ascontiguousarray(value, kind))


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
