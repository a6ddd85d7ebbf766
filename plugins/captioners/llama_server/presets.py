"""The models worth a name: where each comes from, and the picture it wants.

A SmolVLM (``idefics3``) is trained on square tiles that the picture is stretched to. llama.cpp would cut every picture
into up to twelve of them and an overview, which takes ten times as long as one tile. A copy of the projector
(copies.py) leaves that to us; else a budget of one tile's tokens prevents it, but that makes it letterbox anything that
is not square. So these models are sent a square of whole tiles, stretched by us: fast, and as they were trained. Models
with dynamic resolution want the aspect kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent.plugin import Detail, Geometry, ModelView

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
    mmproj: str | None = None
    """The projector's quantisation. None: the model's own, else F16, else what there is."""

    def __str__(self) -> str:
        return f"{self.repo}:{self.quant}"


MB = 1_000_000
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What somebody wants to know before choosing a model."""

    about: str
    """A sentence: what it is good for."""
    download: int
    """Bytes of both files; 0 where they come with camscribe."""
    memory: int
    """Bytes, roughly: the files, the context and room to work in."""
    languages: str
    license: str
    exact: bool = True
    """Whether ``download`` is the files' size as published; else it is a good guess."""


@dataclass(frozen=True, slots=True)
class Model:
    """What the engine is to serve, and how it wants to be asked."""

    name: str
    origin: Files | Hosted
    view: ModelView
    image_tokens: int | None
    """The most tokens a picture may take (``--image-max-tokens``); None: the engine's own way."""
    low: int | None = None
    """The view's size at ``detail: low``. None: as at medium, which then is the least the model takes."""
    high: int | None = None
    """The same for ``detail: high``. None: it can't see more."""
    context: int = 2048
    threads: int | None = None
    """Where more would only wait for each other."""
    facts: Facts | None = None
    """None where nobody but its owner knows it."""
    least_tokens: int | None = None
    """The least tokens a picture may take (``--image-min-tokens``)."""

    def seen_at(self, detail: Detail) -> ModelView:
        size = {Detail.LOW: self.low, Detail.HIGH: self.high}.get(detail)
        return ModelView(self.view.geometry, size or self.view.size)


def _smol(name: str, origin: Hosted, image: int, tokens: int, facts: Facts) -> Model:
    """At high detail four tiles; it can't see less than one."""
    return Model(name, origin, ModelView(Geometry.SQUARE, image), tokens, high=2 * image, facts=facts)


def _dynamic(name: str, origin: Hosted, low: int, medium: int, high: int, facts: Facts) -> Model:
    """The picture's size decides how many tokens it takes."""
    return Model(name, origin, ModelView(Geometry.ASPECT, medium), None, low, high, context=4096, facts=facts)


def _fixed(name: str, origin: Hosted, view: ModelView, facts: Facts) -> Model:
    """It makes the same number of tokens of every picture."""
    return Model(name, origin, view, None, context=4096, facts=facts)


_APACHE = "Apache-2.0"
_LFM_LANGUAGES = "English, Arabic, Chinese, French, German, Japanese, Korean, Portuguese, Spanish"

PRESETS = {
    model.name: model
    for model in (
        _smol(
            "smolvlm-500m",
            Hosted("ggml-org/SmolVLM-500M-Instruct-GGUF", "Q8_0"),
            512,
            64,
            Facts(
                "Small and quick: the one to begin with, on any machine.",
                download=545_590_272,
                memory=900 * MB,
                languages="English",
                license=_APACHE,
            ),
        ),
        _smol(
            "smolvlm-500m-f16",
            Hosted("ggml-org/SmolVLM-500M-Instruct-GGUF", "F16"),
            512,
            64,
            Facts(
                "The same model unquantised: twice the size, for graphics processors and for comparisons.",
                download=1020 * MB,
                memory=1300 * MB,
                languages="English",
                license=_APACHE,
                exact=False,
            ),
        ),
        _smol(
            "smolvlm-256m",
            Hosted("ggml-org/SmolVLM-256M-Instruct-GGUF", "Q8_0"),
            512,
            64,
            Facts(
                "The smallest, for a single-board computer; says less, and is wrong more often.",
                download=278_824_384,
                memory=500 * MB,
                languages="English",
                license=_APACHE,
            ),
        ),
        _smol(
            "smolvlm2-500m",
            Hosted("ggml-org/SmolVLM2-500M-Video-Instruct-GGUF", "Q8_0"),
            512,
            64,
            Facts(
                "As big and as quick as smolvlm-500m, and trained on videos as well.",
                download=545_593_888,
                memory=900 * MB,
                languages="English",
                license=_APACHE,
            ),
        ),
        # tiles of 384 px are 27 x 27 patches of 14, shuffled three by three: 9 x 9 tokens
        _smol(
            "smolvlm2-2.2b",
            Hosted("ggml-org/SmolVLM2-2.2B-Instruct-GGUF", "Q4_K_M", "Q8_0"),
            384,
            81,
            Facts(
                "The large SmolVLM: more detail, for a Mac or a graphics processor.",
                download=1_705_125_856,
                memory=2200 * MB,
                languages="English",
                license=_APACHE,
            ),
        ),
        _fixed(
            "moondream2",
            Hosted("ggml-org/moondream2-20250414-GGUF", "F16"),
            ModelView(Geometry.ASPECT, 378),
            Facts(
                "Made for questions about a picture; a large download, as its files come unquantised only.",
                download=3_749_313_056,
                memory=4400 * MB,
                languages="English",
                license=_APACHE,
            ),
        ),
        _dynamic(
            "qwen2.5-vl-3b",
            Hosted("ggml-org/Qwen2.5-VL-3B-Instruct-GGUF", "Q4_K_M", "Q8_0"),
            448,
            672,
            1344,
            Facts(
                "Reads signs and labels; wants a graphics processor.",
                download=2_774_658_784,
                memory=3600 * MB,
                languages="many; English and Chinese best",
                license="Qwen Research (no commercial use)",
            ),
        ),
        _dynamic(
            "qwen3-vl-2b",
            Hosted("ggml-org/Qwen3-VL-2B-Instruct-GGUF", "Q8_0"),
            448,
            672,
            1344,
            Facts(
                "The newer Qwen, and smaller; reads signs and labels in many languages.",
                download=2_279_480_352,
                memory=3000 * MB,
                languages="many; English and Chinese best",
                license=_APACHE,
            ),
        ),
        _fixed(
            "gemma-3-4b",
            Hosted("ggml-org/gemma-3-4b-it-GGUF", "Q4_K_M"),
            ModelView(Geometry.SQUARE, 896),
            Facts(
                "Writes in many languages; wants a graphics processor.",
                download=3_341_008_960,
                memory=4200 * MB,
                languages="over 140; English best",
                license="Gemma Terms of Use",
            ),
        ),
        _dynamic(
            "gemma-4-e2b",
            Hosted("ggml-org/gemma-4-E2B-it-GGUF", "Q4_0", "Q8_0"),
            528,
            768,
            1344,
            Facts(
                "The newer Gemma: many languages; wants a graphics processor or patience.",
                download=3400 * MB,
                memory=4200 * MB,
                languages="over 140; English best",
                license=_APACHE,
                exact=False,
            ),
        ),
        _dynamic(
            "lfm2.5-vl-450m",
            Hosted("LiquidAI/LFM2.5-VL-450M-GGUF", "Q8_0"),
            352,
            512,
            672,
            Facts(
                "Small, spends few tokens on a picture, and speaks nine languages.",
                download=482 * MB,
                memory=800 * MB,
                languages=_LFM_LANGUAGES,
                license="LFM Open License v1.0",
                exact=False,
            ),
        ),
        _dynamic(
            "lfm2.5-vl-1.6b",
            Hosted("LiquidAI/LFM2.5-VL-1.6B-GGUF", "Q8_0"),
            352,
            512,
            672,
            Facts(
                "Middle-sized, spends few tokens on a picture, and speaks nine languages.",
                download=1830 * MB,
                memory=2300 * MB,
                languages=_LFM_LANGUAGES,
                license="LFM Open License v1.0",
                exact=False,
            ),
        ),
        # It knows nothing but the demo's drawn doorsteps. No budget: it is made for one tile as it stands.
        Model(
            "tiny",
            Files(TINY / "tinyvlm-text-f16.gguf", TINY / "tinyvlm-mmproj-f16.gguf"),
            ModelView(Geometry.SQUARE, 96),
            None,
            context=1024,
            threads=1,
            facts=Facts(
                "Knows only the demo's drawings: for the demo and for tests, never for photographs.",
                download=0,
                memory=100 * MB,
                languages="English",
                license=_APACHE,
            ),
        ),
    )
}
DEFAULT = "smolvlm-500m"
_HOSTED = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(:(?P<quant>\w[\w.-]*))?")


def hosted(text: str) -> Hosted:
    """``owner/repo`` or ``owner/repo:quantisation``. Raises ValueError."""
    found = _HOSTED.fullmatch(text)
    if found is None:
        raise ValueError(
            "write owner/repo or owner/repo:quantisation, such as ggml-org/SmolVLM-500M-Instruct-GGUF:Q8_0"
        )
    repo, quant = found["repo"], found["quant"]
    for preset in PRESETS.values():
        known = preset.origin
        if isinstance(known, Hosted) and known.repo.lower() == repo.lower() and quant in (None, known.quant):
            return known
    return Hosted(repo, quant or "Q8_0")


def preset_for(origin: Hosted) -> Model | None:
    """The preset that is this model, else one of another quantisation or from another owner: it sees alike."""
    presets = [(model, model.origin) for model in PRESETS.values()]
    same = [model for model, known in presets if known == origin]
    alike = [model for model, known in presets if isinstance(known, Hosted) and _title(known) == _title(origin)]
    return next(iter(same + alike), None)


def _title(origin: Hosted) -> str:
    return origin.repo.rpartition("/")[2].lower().removesuffix("-gguf")
