"""What config.yaml may say of the ``transformers`` captioner."""

from __future__ import annotations

import json
import os
import re
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.plugin import ConfigPath, Duration, PluginConfig, Size
from plugins.captioners.transformers.presets import PRESETS, Hosted, Model

DEFAULT = "smolvlm-500m"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class TransformersConfig(PluginConfig):
    """A model of Hugging Face's Transformers, computed by PyTorch in a process of its own."""

    preset: str | None = None
    """A model by name: smolvlm-500m (where nothing else is said), smolvlm-256m, smolvlm2-500m, smolvlm2-2.2b,
    moondream2. Moondream brings Python code of its own from Hugging Face, in a fixed release, and that code is run."""
    model: ConfigPath | None = None
    """Your own model: the folder of its files, with config.json and *.safetensors in it (SmolVLM or Idefics 3)."""
    hf: str | None = None
    """A SmolVLM or Idefics 3 model on Hugging Face, as owner/repo; downloaded at the first start."""
    revision: str | None = None
    """Which state of the repository: a branch, a tag or a commit. Left out: its newest, for moondream2 a fixed one."""
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    """Where it computes. auto: an Nvidia graphics processor, else Apple's, else the processor."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The type of its numbers. auto: the fast one for the device; on a processor bfloat16 where that has instructions
    for it."""
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Processor threads. Left out: all of up to four cores, else half of them."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 gives the same words for the same picture; more gives variety."""
    memory_limit: Size | None = None
    """Main memory its process may hold between captions, such as 6GB; beyond that it starts afresh. Left out: twice
    what it held after its first caption."""
    start_timeout: Annotated[float, Field(gt=0, le=3600)] = 300.0
    """Seconds that loading the model may take (a download is not counted)."""
    sleep_when_idle: Annotated[Duration, Field(ge=10)] | None = None
    """Without a caption for this long, such as 10m, its process is ended and gives its memory back; the next look
    starts it again and waits for it. 10s at least. Left out: it stays, and every look is answered at once."""
    python: ConfigPath | None = None
    """Another environment's Python that has torch and transformers. Left out: camscribe's own, which has them after
    pip install 'camscribe[transformers]'."""

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            near = get_close_matches(name.lower()[:100], PRESETS, n=1)
            hint = f". Did you mean '{near[0]}'?" if near else ""
            raise ValueError(f"there is no preset '{name}'; there are {', '.join(PRESETS)}{hint}")
        return name

    @field_validator("hf")
    @classmethod
    def _repository(cls, text: str | None) -> str | None:
        if text is not None and not _REPOSITORY.fullmatch(text):
            raise ValueError("write owner/repo, such as HuggingFaceTB/SmolVLM-500M-Instruct")
        return text

    @field_validator("python")
    @classmethod
    def _runnable(cls, path: Path | None) -> Path | None:
        if path is not None and not (path.is_file() and os.access(path, os.X_OK)):
            raise ValueError(f"there is no program {path}; name an environment's python, such as …/bin/python")
        return path

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        given = [name for name in ("preset", "model", "hf") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} each name a model; keep one of them")
        if self.model is not None and self.revision is not None:
            raise ValueError("revision is for a repository, and model names a folder; leave one of them out")
        self.choice  # noqa: B018  its files are read now, while their faults are faults of the config
        return self

    @cached_property
    def choice(self) -> Model:
        """The model that is meant."""
        if self.model is not None:
            return Model(self.model.name, self.model, edge=_edge(self.model))
        model = PRESETS[self.preset or DEFAULT] if self.hf is None else _hosted(self.hf)
        assert isinstance(model.origin, Hosted)
        origin = Hosted(model.origin.repo, self.revision or model.origin.revision, model.origin.remote_code)
        return Model(model.name, origin, model.geometry, model.edge)


def _hosted(repo: str) -> Model:
    """A repository; one that a preset knows is that preset."""
    for preset in PRESETS.values():
        if str(preset.origin).lower() == repo.lower():
            return preset
    return Model(repo.rpartition("/")[2], Hosted(repo))


def _edge(folder: Path) -> int:
    """The edge of a tile, as the model's config says it."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    if not list(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds no *.safetensors, where a Transformers model keeps its weights")
    try:
        edge = json.loads((folder / "config.json").read_text("utf-8"))["vision_config"]["image_size"]
    except FileNotFoundError:
        raise ValueError(f"{folder} has no config.json, so it is not the folder of a Transformers model") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} can't be read: {error}") from None
    except (KeyError, TypeError):
        edge = None
    if not isinstance(edge, int):
        raise ValueError(f"the model in {folder} takes no pictures (its config.json has no vision_config)")  # noqa: TRY004
    return edge
