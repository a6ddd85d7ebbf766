from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.plugin import Detail, Geometry, ModelView
from agent.registry import Registry
from plugins.captioners.transformers import Transformers, TransformersConfig
from plugins.captioners.transformers.presets import PRESETS, Hosted


def fault(**config: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TransformersConfig(**config)
    return caught.value.errors()[0]["msg"]


def test_small_smolvlm_where_nothing_is_said():
    choice = TransformersConfig().choice
    assert (choice.name, str(choice.origin)) == ("smolvlm-500m", "HuggingFaceTB/SmolVLM-500M-Instruct")


@pytest.mark.parametrize(
    ("preset", "geometry", "edge"),
    [
        ("smolvlm-500m", Geometry.SQUARE, 512),
        ("smolvlm2-2.2b", Geometry.SQUARE, 384),
        ("moondream2", Geometry.ASPECT, 378),
    ],
)
def test_high_detail_is_four_tiles_and_less_is_one(preset: str, geometry: Geometry, edge: int):
    choice = TransformersConfig(preset=preset).choice
    assert choice.view(Detail.LOW) == choice.view(Detail.MEDIUM) == ModelView(geometry, edge)
    assert choice.view(Detail.HIGH) == ModelView(geometry, 2 * edge)


def test_only_moondream_runs_code_of_its_own_and_that_in_a_fixed_release():
    with_code = {name: model.origin for name, model in PRESETS.items() if model.origin.remote_code}
    assert list(with_code) == ["moondream2"]
    assert with_code["moondream2"].revision


def test_own_repository_brings_no_code():
    assert TransformersConfig(hf="someone/their-model").choice.origin == Hosted("someone/their-model")


def test_repository_that_a_preset_knows_is_that_preset():
    config = TransformersConfig(hf="vikhyatk/Moondream2", revision="2025-04-14")
    assert config.choice.name == "moondream2"
    assert config.choice.origin == Hosted("vikhyatk/moondream2", "2025-04-14", remote_code=True)


def test_own_folder_says_its_picture(tiny: Path, captioner: Callable[..., Transformers]):
    own = captioner(model=tiny)
    assert (own.model, own.view()) == ("tiny", ModelView(Geometry.SQUARE, 96))


def test_faults_of_an_own_folder_are_told(tmp_path: Path):
    assert "there is no folder" in fault(model=tmp_path / "none")
    assert "holds no *.safetensors" in fault(model=tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert "has no config.json" in fault(model=tmp_path)
    config = tmp_path / "config.json"
    config.write_text("{")
    assert "can't be read" in fault(model=tmp_path)
    config.write_text(json.dumps({"model_type": "llama"}))
    assert "takes no pictures" in fault(model=tmp_path)


def test_faults_of_names_are_told(tmp_path: Path):
    assert "Did you mean 'smolvlm-500m'?" in fault(preset="smolvlm-50m")
    assert "preset and hf each name a model" in fault(preset="smolvlm-256m", hf="a/b")
    assert "write owner/repo" in fault(hf="SmolVLM")
    assert "there is no program" in fault(python=tmp_path)


def test_revision_of_a_folder_is_a_fault(tiny: Path):
    assert "leave one of them out" in fault(model=tiny, revision="main")


def test_registry_finds_it():
    assert Registry.discover(None).of("captioner")["transformers"] is Transformers
