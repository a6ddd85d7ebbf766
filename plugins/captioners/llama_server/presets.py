"""The models worth a name: where each comes from, and the picture it wants.

A SmolVLM (``idefics3``) is trained on square tiles that the picture is stretched to. llama.cpp would cut every picture
into up to twelve of them and an overview, which takes six times as long as one tile; a budget of one tile's tokens
prevents that, but makes it letterbox anything that is not square. So these models are sent a square of the tile's size,
stretched by us: fast, and as they were trained. Models with dynamic resolution want the aspect kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.plugin import Geometry, ModelView

TINY = Path(__file__).parent / "tiny"


@dataclass(frozen=True, slots=True)
class Files:
    """The two GGUF files of a vision model."""

    model: Path
    mmproj: Path


@dataclass(frozen=True, slots=True)
class Hosted:
    """A repository on Hugging Face and which of its quantisations."""

    repo: str
    quant: str

    def __str__(self) -> str:
        return f"{self.repo}:{self.quant}"


@dataclass(frozen=True, slots=True)
class Model:
    """What the engine is to serve, and how it wants to be asked."""

    name: str
    origin: Files | Hosted
    view: ModelView
    image_tokens: int | None
    """The most tokens a picture may take (``--image-max-tokens``); None: the engine's own way."""
    context: int = 2048
    threads: int | None = None
    """Where more would only wait for each other."""


def _smol(name: str, repo: str, image: int, tokens: int) -> Model:
    return Model(name, Hosted(f"ggml-org/{repo}-GGUF", "Q8_0"), ModelView(Geometry.SQUARE, image), tokens)


def _dynamic(name: str, repo: str, quant: str, long_edge: int, tokens: int | None = None) -> Model:
    return Model(name, Hosted(repo, quant), ModelView(Geometry.ASPECT, long_edge), tokens, context=4096)


PRESETS = {
    model.name: model
    for model in (
        _smol("smolvlm-500m", "SmolVLM-500M-Instruct", 512, 64),
        _smol("smolvlm-256m", "SmolVLM-256M-Instruct", 512, 64),
        _smol("smolvlm2-500m", "SmolVLM2-500M-Video-Instruct", 512, 64),
        # tiles of 384 px are 27 x 27 patches of 14, shuffled three by three: 9 x 9 tokens
        _smol("smolvlm2-2.2b", "SmolVLM2-2.2B-Instruct", 384, 81),
        _dynamic("moondream2", "ggml-org/moondream2-20250414-GGUF", "F16", 378),
        _dynamic("qwen2.5-vl-3b", "ggml-org/Qwen2.5-VL-3B-Instruct-GGUF", "Q4_K_M", 672),
        _dynamic("gemma-4-e2b", "ggml-org/gemma-4-E2B-it-GGUF", "Q8_0", 768),
        _dynamic("lfm2.5-vl-1.6b", "LiquidAI/LFM2.5-VL-1.6B-GGUF", "Q8_0", 512, 64),
        # It knows nothing but the demo's drawn doorsteps. No budget: it is made for one tile as it stands.
        Model(
            "tiny",
            Files(TINY / "tinyvlm-text-f16.gguf", TINY / "tinyvlm-mmproj-f16.gguf"),
            ModelView(Geometry.SQUARE, 96),
            None,
            context=1024,
            threads=1,
        ),
    )
}
