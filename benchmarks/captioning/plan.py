"""What is measured: who captions, which pictures, how often."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.captioning import random_weights
from plugins.captioners.llama_server.gguf import CUTS
from plugins.sources.demo.scenes import caption, draw, random_scene
from tiny_model.gguf_copy import copy_with

PAIRS = 10
BOTH_WAYS = 12
"""Times at least that an engine is asked with camscribe and without: a share of 3 % wants more than a few frames."""
TOKENS = 20
FRAME = (1920, 1080)
PROMPT = "Describe the image."
TIMEOUT = 600.0
"""Seconds a caption may take; a machine that does much else takes minutes for the plan's."""
TINY_LOOKS = 200
SCENES = 200
SCENE_SIZES = ((640, 480), (640, 360), (320, 240))
QUESTION_ROUNDS = 5
QUESTIONS = {
    "person": "Is there a person?",
    "package": "Is there a package?",
    "car": "Is there a car?",
    "dog": "Is there a dog?",
    "night": "Is it night?",
}
ANSWER_TOKENS = 4
"""What "Yes." and its end take, and one to spare. Random weights end no answer by themselves."""
LONG_ANSWER_TOKENS = 20
"""A sentence's. Measured beside the others; nothing is promised of them."""
STRICT = Path(__file__).parents[2] / "tests/data/strict"
STRICT_MMPROJ = STRICT / "tinyvlm-strict-mmproj-f16.gguf"
STRICT_TILE = 96
"""Pixels of a tile of the tiny model's strict twin."""
ROOT = Path(__file__).parents[2]
TORCH = ROOT / ".venv/transformers/bin/python"
"""What ``make transformers`` makes."""
PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Rival:
    """One of those that caption the same 1080p frames; ``options`` are a captioner's in config.yaml."""

    name: str
    title: str
    picture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    both_ways: bool = False
    """Asked without camscribe as well."""


def rivals(folder: Path, llama_server: Path, torch: Path | None) -> list[Rival]:
    """The plan's command line first. ``folder`` holds the random weights."""
    files = {"model": str(random_weights.text_file(folder)), "mmproj": str(random_weights.mmproj_file(folder))}
    real = {**files, "use": "llama_server", "binary": str(llama_server)}
    wheel = {**files, "use": "llama_server", "binary": None}
    same, fast = {"mmproj_type": "as_is"}, {"mmproj_type": "auto"}
    once, twice = "512x512, 1 tile", "512x512, 1 tile and overview"
    told = [
        Rival(PLAN, "the plan's command line, llama-server", "1920x1080 JPEG as it is, 12 tiles and overview"),
        Rival("untouched", "camscribe, llama-server, no copies of the files", twice, real | {"copies": False}),
        Rival("same", "camscribe, llama-server, same files", once, real | same),
        Rival("fast", "camscribe, llama-server, fast mmproj", once, real | fast, both_ways=True),
        Rival("wheel_same", "camscribe, engine in the wheel, same files", once, wheel | same),
        Rival("wheel_fast", "camscribe, engine in the wheel, fast mmproj", once, wheel | fast),
    ]
    if torch is not None:
        weights = str(random_weights.transformers_folder(folder))
        options = {"use": "transformers", "model": weights, "python": str(torch)}
        told.append(Rival("transformers", "camscribe, Transformers, best setting", "512x512, 1 tile", options))
    return told


def tiny() -> dict[str, Any]:
    return {"use": "llama_server", "preset": "tiny"}


def strict(binary: Path | None, mmproj: Path, *, fast: bool) -> dict[str, Any]:
    """The tiny model's strict twin: with camscribe's defaults, or by the engine's own way with the picture as it is."""
    options = {
        "use": "llama_server",
        "model": str(STRICT / "tinyvlm-strict-text-f16.gguf"),
        "mmproj": str(mmproj),
        "binary": str(binary) if binary else None,
        "threads": 1,
    }
    return options if fast else options | {"copies": False, "image_tokens": 0}


def cutting_twin(folder: Path) -> Path:
    """The strict twin's projector, which as SmolVLM's has every picture cut into tiles."""
    target = folder / "mmproj-cutting.gguf"
    copy_with(STRICT_MMPROJ, target, {CUTS: 4 * STRICT_TILE})
    return target


def scenes(count: int) -> list[tuple[str, Image.Image]]:
    """Drawn doorsteps that no training has seen, each with the truth about it; often two things, as in training."""
    rng = random.Random("captioning benchmark")
    drawn = []
    for number in range(count):
        scene = random_scene(rng)
        drawn.append((caption(scene), draw(scene, *SCENE_SIZES[number % len(SCENE_SIZES)], rng)))
    return drawn


def environment() -> Mapping[str, str]:
    """For the plan's command line: as a shell has it."""
    return os.environ


def command(llama_server: Path, rival_files: Sequence[Path], port: int) -> list[str]:
    """The plan's own, with a port so that it is found."""
    model, mmproj = rival_files
    words = [str(llama_server), "-m", str(model), "--mmproj", str(mmproj)]
    return [*words, "--ctx-size", "2048", "--n-predict", str(TOKENS), "--port", str(port)]
