"""The tiny vision model as a checkpoint of Hugging Face's Transformers: the same weights in other files.

Nothing here needs PyTorch: the numbers come out of the GGUF files, and safetensors are simple enough to write.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from numpy.typing import NDArray

from tests.fakes.tiny_model import MMPROJ, TEXT
from tiny_model.gguf_copy import keys

TOKENIZER = Path(__file__).parents[2] / "tiny_model/tokenizer.json"
Weights = dict[str, NDArray[Any]]
VISION_NAMES = {
    "ln1": "layer_norm1",
    "ln2": "layer_norm2",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj",
    "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}
TEXT_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def checkpoint(folder: Path, text: Path = TEXT, mmproj: Path = MMPROJ) -> Path:
    """Write the files of a SmolVLM checkpoint to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    said, seen = keys(text), keys(mmproj)
    weights = _vision(_tensors(mmproj), seen["clip.vision.block_count"])
    weights |= _text(_tensors(text), said)
    _write_safetensors(folder / "model.safetensors", weights)
    _write(folder / "config.json", _config(said, seen))
    ends = {
        "eos_token_id": said["tokenizer.ggml.eos_token_id"],
        "pad_token_id": said["tokenizer.ggml.padding_token_id"],
    }
    _write(folder / "generation_config.json", ends)
    # It was trained with a picture of one tile as llama.cpp sends it: the tile, then the overview.
    pixels = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "camscribe_tile_and_overview": True}
    _write(folder / "preprocessor_config.json", pixels)
    (folder / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    tokens = said["tokenizer.ggml.tokens"]
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": tokens[ends["eos_token_id"]],
            "pad_token": tokens[ends["pad_token_id"]],
            "clean_up_tokenization_spaces": False,
        },
    )
    (folder / "chat_template.jinja").write_text(said["tokenizer.chat_template"], "utf-8")
    return folder


def _config(said: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "smolvlm",
        "architectures": ["SmolVLMForConditionalGeneration"],
        "image_token_id": said["tokenizer.ggml.tokens"].index("<image>"),
        "scale_factor": seen["clip.vision.projector.scale_factor"],
        "tie_word_embeddings": True,
        "dtype": "float16",
        "vision_config": {
            "model_type": "smolvlm_vision",
            "hidden_size": seen["clip.vision.embedding_length"],
            "intermediate_size": seen["clip.vision.feed_forward_length"],
            "num_hidden_layers": seen["clip.vision.block_count"],
            "num_attention_heads": seen["clip.vision.attention.head_count"],
            "image_size": seen["clip.vision.image_size"],
            "patch_size": seen["clip.vision.patch_size"],
            "layer_norm_eps": seen["clip.vision.attention.layer_norm_epsilon"],
        },
        "text_config": {
            "model_type": "llama",
            "hidden_size": said["llama.embedding_length"],
            "intermediate_size": said["llama.feed_forward_length"],
            "num_hidden_layers": said["llama.block_count"],
            "num_attention_heads": said["llama.attention.head_count"],
            "num_key_value_heads": said["llama.attention.head_count_kv"],
            "max_position_embeddings": said["llama.context_length"],
            "rms_norm_eps": said["llama.attention.layer_norm_rms_epsilon"],
            "rope_theta": said["llama.rope.freq_base"],
            "vocab_size": said["llama.vocab_size"],
            "eos_token_id": said["tokenizer.ggml.eos_token_id"],
            "pad_token_id": said["tokenizer.ggml.padding_token_id"],
            "bos_token_id": None,
            "tie_word_embeddings": True,
        },
    }


def _vision(tensors: Weights, layers: int) -> Weights:
    ours = "model.vision_model"
    weights = {
        f"{ours}.embeddings.patch_embedding.weight": tensors["v.patch_embd.weight"],
        f"{ours}.embeddings.patch_embedding.bias": tensors["v.patch_embd.bias"],
        f"{ours}.embeddings.position_embedding.weight": tensors["v.position_embd.weight"],
        f"{ours}.post_layernorm.weight": tensors["v.post_ln.weight"],
        f"{ours}.post_layernorm.bias": tensors["v.post_ln.bias"],
        "model.connector.modality_projection.proj.weight": tensors["mm.model.fc.weight"],
    }
    for layer in range(layers):
        for theirs, name in VISION_NAMES.items():
            for what in ("weight", "bias"):
                weights[f"{ours}.encoder.layers.{layer}.{name}.{what}"] = tensors[f"v.blk.{layer}.{theirs}.{what}"]
    return weights


def _text(tensors: Weights, said: Mapping[str, Any]) -> Weights:
    ours = "model.text_model"
    weights = {
        f"{ours}.embed_tokens.weight": tensors["token_embd.weight"],
        f"{ours}.norm.weight": tensors["output_norm.weight"],
    }
    heads = {"attn_q": said["llama.attention.head_count"], "attn_k": said["llama.attention.head_count_kv"]}
    for layer in range(said["llama.block_count"]):
        for theirs, name in TEXT_NAMES.items():
            value = tensors[f"blk.{layer}.{theirs}.weight"]
            if theirs in heads:
                value = _in_halves(value, heads[theirs])
            weights[f"{ours}.layers.{layer}.{name}.weight"] = value
    return weights


def _in_halves(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """llama.cpp turns neighbours (0, 1), (2, 3) … together, Transformers the halves (0, 16), (1, 17) …"""
    rows, width = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, width).swapaxes(1, 2).reshape(rows, width)


def _tensors(path: Path) -> Weights:
    return {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors}


def _write_safetensors(path: Path, weights: Weights) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    bodies, place = [], 0
    for name, value in weights.items():
        body = np.ascontiguousarray(value, np.float16).tobytes()
        header[name] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [place, place + len(body)]}
        bodies.append(body)
        place += len(body)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(bodies))


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), "utf-8")


def moondream_like(hub: Path, repo: str, revision: str) -> Path:
    """Write a model with code of its own (moondream_like.py) to ``hub``, as huggingface_hub would after a download."""
    commit = "0" * 40
    home = hub / f"models--{repo.replace('/', '--')}"
    folder = home / "snapshots" / commit
    folder.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / revision).write_text(commit)
    code = Path(__file__).with_name("moondream_like.py")
    (folder / code.name).write_bytes(code.read_bytes())
    classes = {"AutoConfig": f"{code.stem}.LikeConfig", "AutoModelForCausalLM": f"{code.stem}.Like"}
    _write(folder / "config.json", {"model_type": "moondream_like", "auto_map": classes})
    _write_safetensors(folder / "model.safetensors", {"model.weight": np.ones(4, np.float16)})
    return folder
