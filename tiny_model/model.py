"""The model in PyTorch, so that it computes exactly what llama.cpp computes: an idefics3 projector on a llama.

Vision: ViT, tanh-GELU, learned positions; pixel shuffle by 3, one linear layer: 16 tokens a picture.
Text: RMS norm, grouped queries, SwiGLU, RoPE in interleaved pairs, tied embeddings.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Shape:
    vocabulary: int
    image_size: int = 96
    patch: int = 8
    vision_width: int = 128
    vision_ff: int = 384  # not the width: llama.cpp takes up and down for swapped where they are square
    vision_layers: int = 5
    vision_heads: int = 4
    vision_eps: float = 1e-6
    shuffle: int = 3
    width: int = 128
    ff: int = 384
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    eps: float = 1e-5
    rope_base: float = 10000.0
    context: int = 1024

    @property
    def grid(self) -> int:
        return self.image_size // self.patch

    @property
    def picture_tokens(self) -> int:
        return (self.grid // self.shuffle) ** 2

    @property
    def head_width(self) -> int:
        return self.width // self.heads


class VisionLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.vision_width
        self.heads = shape.vision_heads
        self.ln1, self.ln2 = nn.LayerNorm(width, shape.vision_eps), nn.LayerNorm(width, shape.vision_eps)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, shape.vision_ff), nn.Linear(shape.vision_ff, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, patches, width = x.shape
        split = self.qkv(self.ln1(x)).view(batch, patches, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, patches, width)
        x = x + self.out(seen)
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Vision(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.patch = nn.Linear(3 * shape.patch**2, shape.vision_width)  # a convolution whose stride is its size
        self.position = nn.Parameter(torch.randn(shape.grid**2, shape.vision_width) * 0.02)
        self.layers = nn.ModuleList(VisionLayer(shape) for _ in range(shape.vision_layers))
        self.post = nn.LayerNorm(shape.vision_width, shape.vision_eps)
        self.project = nn.Linear(shape.shuffle**2 * shape.vision_width, shape.width, bias=False)

    def features(self, pictures: Tensor) -> Tensor:
        """Pictures (batch, 3, height, width) in -1..1 to one vector a patch."""
        batch, channels, height, _ = pictures.shape
        patch, grid = self.shape.patch, height // self.shape.patch
        x = pictures.view(batch, channels, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5)
        x = self.patch(x.reshape(batch, grid * grid, channels * patch * patch)) + self.position
        for layer in self.layers:
            x = layer(x)
        return self.post(x)

    def tokens(self, features: Tensor) -> Tensor:
        """Blocks of 3 x 3 patches become one token each."""
        batch, _, width = features.shape
        grid, factor = self.shape.grid, self.shape.shuffle
        x = features.view(batch, grid // factor, factor, grid // factor, factor, width)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, (grid // factor) ** 2, factor * factor * width)
        return self.project(x)


class Norm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class TextLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width, narrow = shape.width, shape.kv_heads * shape.head_width
        self.attn_norm, self.ffn_norm = Norm(width, shape.eps), Norm(width, shape.eps)
        self.q, self.out = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k, self.v = nn.Linear(width, narrow, bias=False), nn.Linear(width, narrow, bias=False)
        self.gate, self.up = nn.Linear(width, shape.ff, bias=False), nn.Linear(width, shape.ff, bias=False)
        self.down = nn.Linear(shape.ff, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads, kv_heads, head = self.shape.heads, self.shape.kv_heads, self.shape.head_width
        h = self.attn_norm(x)
        q = rotate(self.q(h).view(batch, length, heads, head), cos, sin).transpose(1, 2)
        k = rotate(self.k(h).view(batch, length, kv_heads, head), cos, sin).transpose(1, 2)
        v = self.v(h).view(batch, length, kv_heads, head).transpose(1, 2)
        k, v = k.repeat_interleave(heads // kv_heads, 1), v.repeat_interleave(heads // kv_heads, 1)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + self.out(seen.reshape(batch, length, width))
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on consecutive pairs (0, 1), (2, 3) …, so that an export needs no permutation."""
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Helpers(nn.Module):
    """Heads for the training only: which kind and colour covers each patch; day, night or blank."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kind, self.colour, self.time = nn.Linear(width, 7), nn.Linear(width, 7), nn.Linear(width, 3)


class TinyModel(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.vision = Vision(shape)
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(TextLayer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.eps)
        self.helpers = Helpers(shape.vision_width)
        frequencies = shape.rope_base ** (-torch.arange(0, shape.head_width, 2).float() / shape.head_width)
        angles = torch.outer(torch.arange(shape.context).float(), frequencies)
        self.register_buffer("cos", angles.cos()[None, :, None, :], persistent=False)
        self.register_buffer("sin", angles.sin()[None, :, None, :], persistent=False)
        self._start_values()

    def _start_values(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5 * 0.7)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for layer in [*self.vision.layers, *self.layers]:
            layer.out.weight.data *= 0.5
            layer.down.weight.data *= 0.5

    def read(self, embedded: Tensor) -> Tensor:
        """Embedded words and pictures to one vector a place."""
        length = embedded.shape[1]
        for layer in self.layers:
            embedded = layer(embedded, self.cos[:, :length], self.sin[:, :length])
        return self.norm(embedded)

    def next_words(self, read: Tensor) -> Tensor:
        return F.linear(read, self.embedding.weight)

    def save(self, path: Path) -> None:
        torch.save({"shape": asdict(self.shape), "weights": self.state_dict()}, path)

    @classmethod
    def load(cls, path: Path) -> TinyModel:
        saved = torch.load(path, weights_only=True)
        model = cls(Shape(**saved["shape"]))
        model.load_state_dict(saved["weights"])
        return model
