"""What config.yaml may say of the engine, and what a user's own files mean without any setting."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter
from pydantic import ValidationError

from agent.plugin import Geometry, ModelView
from plugins.captioners.llama_server import LlamaServerConfig
from plugins.captioners.llama_server.presets import PRESETS, TINY, Files, Hosted

STRICT = Path("tests/data/strict").resolve()


def fault(**config: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        LlamaServerConfig(**config)
    return str(caught.value)


def gguf(path: Path, architecture: str, **numbers: Any) -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_array("tokenizer.words", ["a", "b" * 300, "ü"])
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    for name, value in numbers.items():
        key = name.replace("__", ".")
        writer.add_string(key, value) if isinstance(value, str) else writer.add_uint32(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def projector(path: Path, kind: str = "idefics3", preproc: int = 2048) -> Path:
    return gguf(
        path,
        "clip",
        clip__projector_type=kind,
        clip__vision__image_size=512,
        clip__vision__patch_size=16,
        clip__vision__preproc_image_size=preproc,
        clip__vision__projector__scale_factor=4,
    )


def test_nothing_said_means_the_default_preset():
    choice = LlamaServerConfig().choice
    assert choice.name == "smolvlm-500m"
    assert choice.view == ModelView(Geometry.SQUARE, 512)
    assert choice.image_tokens == 64
    assert choice.origin == Hosted("ggml-org/SmolVLM-500M-Instruct-GGUF", "Q8_0")


def test_the_tiny_model_is_there_and_has_no_budget():
    choice = LlamaServerConfig(preset="tiny").choice
    assert choice.view == ModelView(Geometry.SQUARE, 96)
    assert choice.image_tokens is None
    assert isinstance(choice.origin, Files)
    assert choice.origin.model.is_file()
    assert choice.origin.mmproj.is_file()


def test_a_models_own_files_say_the_same_as_the_preset(tmp_path: Path):
    own = LlamaServerConfig(model=gguf(tmp_path / "m.gguf", "llama"), mmproj=projector(tmp_path / "p.gguf")).choice
    preset = PRESETS["smolvlm-500m"]
    assert (own.view, own.image_tokens) == (preset.view, preset.image_tokens)
    tiny = next(iter(TINY.glob("*text*"))), next(iter(TINY.glob("*mmproj*")))
    own = LlamaServerConfig(model=tiny[0], mmproj=tiny[1]).choice
    assert (own.view, own.image_tokens) == (PRESETS["tiny"].view, PRESETS["tiny"].image_tokens)


def test_files_of_a_dynamic_model_keep_the_aspect_and_settings_win(tmp_path: Path):
    files = {
        "model": gguf(tmp_path / "m.gguf", "qwen2vl"),
        "mmproj": projector(tmp_path / "p.gguf", "qwen2.5vl_merger"),
    }
    assert LlamaServerConfig(**files).choice.view.geometry is Geometry.ASPECT
    choice = LlamaServerConfig(**files, geometry="square", picture_size=448, image_tokens=100, context=1000).choice
    assert (choice.view, choice.image_tokens, choice.context) == (ModelView(Geometry.SQUARE, 448), 100, 1000)
    assert LlamaServerConfig(preset="smolvlm-500m", image_tokens=0).choice.image_tokens is None


def test_a_repository_that_a_preset_knows_keeps_its_picture():
    choice = LlamaServerConfig(hf="ggml-org/SmolVLM-256M-Instruct-GGUF:F16").choice
    assert choice.view == ModelView(Geometry.SQUARE, 512)
    assert choice.origin == Hosted("ggml-org/SmolVLM-256M-Instruct-GGUF", "F16")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"preset": "tinny"}, "lfm2.5-vl-1.6b, tiny. Did you mean 'tiny'?"),
        ({"preset": "smolvlm"}, "there is no preset 'smolvlm'; there are smolvlm-500m"),
        ({"preset": "tiny", "hf": "a/b"}, "preset and hf each name a model"),
        ({"hf": "no-owner"}, "write owner/repo"),
        ({"host": "0.0.0.0", "port": 80}, "listens on this machine only"),
        ({"host": "::", "port": 80}, "listens on this machine only"),
        ({"model": "gone.gguf", "mmproj": "gone.gguf"}, "there is no file"),
        ({"model": str(TINY / "tinyvlm-text-f16.gguf")}, "mmproj is missing"),
        ({"binary": str(TINY / "README.md")}, "chmod +x"),
        ({"gpu_layer": 3}, "Extra inputs"),
        ({"parallel": 0}, "greater than or equal to 1"),
    ],
)
def test_faults_say_what_to_write(config: dict[str, Any], words: str):
    assert words in fault(**config)


def test_swapped_and_damaged_files_are_faults(tmp_path: Path):
    text, mmproj = gguf(tmp_path / "m.gguf", "llama"), projector(tmp_path / "p.gguf")
    assert "it is a picture projector" in fault(model=mmproj, mmproj=text)
    assert "it is a language model" in fault(model=text, mmproj=text)
    short = tmp_path / "short.gguf"
    short.write_bytes(mmproj.read_bytes()[:120])
    assert "short.gguf can't be used: it is cut short" in fault(model=text, mmproj=short)
    short.write_bytes(b"PK\x03\x04" + b"x" * 100)
    assert "it is not a GGUF file" in fault(model=text, mmproj=short)
    short.write_bytes(b"GGUF" + struct.pack("<IQQQ", 3, 0, 5, 1 << 60))
    assert "its header is damaged" in fault(model=text, mmproj=short)
    arrays_of_arrays = struct.pack("<IQ", 9, 1) * 5000
    short.write_bytes(b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 9) + arrays_of_arrays)
    assert "its header is damaged" in fault(model=text, mmproj=short)


def test_every_option_is_described():
    assert all(field.description for field in LlamaServerConfig.model_fields.values())


def test_every_presets_view_is_the_one_its_family_wants():
    assert PRESETS["smolvlm2-2.2b"].view.geometry is Geometry.SQUARE
    assert PRESETS["qwen2.5-vl-3b"].view.geometry is Geometry.ASPECT


def test_number_type_for_a_copy_that_is_not_made_is_a_fault():
    with pytest.raises(ValidationError, match=r"mmproj_type is for the copy that copies: false does without"):
        LlamaServerConfig(copies=False, mmproj_type="bf16")
    assert not LlamaServerConfig(copies=False).copies


def test_extra_args_about_seeing_keep_the_usual_way():
    square = ModelView(Geometry.SQUARE, 512)
    assert LlamaServerConfig(preset="smolvlm-500m", extra_args=("--flash-attn", "on")).shows(square)
    assert not LlamaServerConfig(preset="smolvlm-500m", extra_args=("--image-max-tokens", "128")).shows(square)
    assert not LlamaServerConfig(hf="owner/Some-SmolVLM").shows(square), "whose files nobody has seen yet"
