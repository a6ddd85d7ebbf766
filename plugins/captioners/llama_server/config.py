"""What config.yaml may say of the managed engine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from difflib import get_close_matches
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field, SecretStr, field_validator, model_validator

from agent.plugin import ConfigPath, Duration, Geometry, ModelView, PluginConfig
from plugins.captioners.llama_server.copies import NumberType
from plugins.captioners.llama_server.gguf import Sight, check_text_model, wanted_picture
from plugins.captioners.llama_server.presets import DEFAULT, PRESETS, Files, Hosted, Model, hosted, preset_for

T = TypeVar("T")
_UNKNOWN = Sight(ModelView(Geometry.ASPECT, 768), low=448, high=1024)
_OWN_CONTEXT = 4096
_ABOUT_SEEING = ("-m", "--model", "--mmproj", "--image-", "--chat-template", "--no-jinja")


class LlamaServerConfig(PluginConfig):
    """A llama-server that camscribe starts and looks after itself."""

    preset: str | None = None
    """A model by name: smolvlm-500m (where nothing else is said), smolvlm-500m-f16, smolvlm-256m, smolvlm2-500m,
    smolvlm2-2.2b, moondream2, qwen2.5-vl-3b, qwen3-vl-2b, gemma-3-4b, gemma-4-e2b, lfm2.5-vl-450m, lfm2.5-vl-1.6b;
    tiny is the demo's and knows only its drawings. docs/models.md and `camscribe model list` compare them."""
    model: ConfigPath | None = None
    """Your own model: the language model's GGUF file. Goes with ``mmproj``."""
    mmproj: ConfigPath | None = None
    """Your own model: the GGUF file of its picture projector (it has 'mmproj' in its name)."""
    hf: str | None = None
    """A model on Hugging Face, as owner/repo or owner/repo:quantisation (Q8_0 where it is left out); downloaded at the
    first start. Its repository needs GGUF files, one of them with 'mmproj' in its name."""
    binary: ConfigPath | None = None
    """The llama-server to run. Left out: the one on the PATH, else the one that comes with camscribe."""
    gpu_layers: Annotated[int, Field(ge=0)] | None = None
    """How many of the model's layers go to the graphics processor; 0 for none, 999 for all. Left out: as many as fit,
    where the engine was built for one."""
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Processor threads of the engine. Left out: all of up to four cores, else half of them."""
    parallel: Annotated[int, Field(ge=1, le=16)] = 1
    """How many captions at once. Worth it on a graphics processor; on a processor each then takes longer."""
    context: Annotated[int, Field(ge=256, le=1_048_576)] | None = None
    """Tokens of picture, prompt and answer together, for each of ``parallel``. Left out: as the model needs."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 gives the same words for the same picture; more gives variety."""
    geometry: Geometry | None = None
    """How a frame becomes the model's picture: square (stretched; SmolVLM) or aspect (kept). Left out: as the model's
    files or its preset say."""
    picture_size: Annotated[int, Field(ge=32, le=4096)] | None = None
    """The square's edge or the long edge of the model's picture, in pixels, at every ``detail``. Left out: as the model
    wants, see docs/models.md."""
    image_tokens: Annotated[int, Field(ge=0, le=16384)] | None = None
    """The most tokens one picture may take, whatever its camera's ``detail``; 0 for no limit. Left out: as the model
    wants."""
    mmproj_type: NumberType = NumberType.AUTO
    """What the picture projector's weights are to be, in a copy that is made once: as_is (as the file has them), bf16,
    f16 or q8_0. auto: BF16 where processor and engine are fast at it, else as the file has them."""
    copies: bool = True
    """Let camscribe make copies of the model's files that are served faster, see docs/models.md: a SmolVLM's take as
    much room again as its files. false: the files are used as they are."""
    extra_args: tuple[str, ...] = ()
    """More options for the llama-server's command line, one item a word: ["--flash-attn", "on"]. They come last and so
    win over camscribe's own. They want a llama-server of your own: the engine that comes with camscribe takes none."""
    host: str = "127.0.0.1"
    """The loopback address to listen on, where ``port`` is given."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Listen on this TCP port of this machine, for other programs' use. Left out: a socket that only camscribe can
    open."""
    api_key: SecretStr | None = None
    """What callers of ``port`` must present. Without one, any web page open on this machine may use the engine."""
    start_timeout: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Seconds that loading the model may take (a download is not counted)."""
    sleep_when_idle: Annotated[Duration, Field(ge=10)] | None = None
    """Without a caption for this long, such as 10m, the engine is stopped and gives its memory back; the next look
    starts it again and waits for it. 10s at least. Left out: it stays, and every look is answered at once. A model
    that takes longer to load than a look may (20 s, and then the camera's ``timeout``) should not sleep."""

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
        if text is not None:
            hosted(text)
        return text

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        try:
            loopback = ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if not loopback:
            raise ValueError("the engine listens on this machine only: 127.0.0.1, ::1 or localhost")
        return host

    @field_validator("binary", "model", "mmproj")
    @classmethod
    def _file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path

    @field_validator("binary")
    @classmethod
    def _runnable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.X_OK):
            raise ValueError(f"{path} may not be run; try: chmod +x {path}")
        return path

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.model is None) != (self.mmproj is None):
            missing = "mmproj" if self.mmproj is None else "model"
            raise ValueError(f"model and mmproj go together; {missing} is missing")
        given = [name for name in ("preset", "model", "hf") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} each name a model; keep one of them")
        if not self.copies and self.mmproj_type is not NumberType.AUTO:
            raise ValueError("mmproj_type is for the copy that copies: false does without; keep one of them")
        self.choice  # noqa: B018  its files are read now, while their faults are faults of the config
        return self

    @cached_property
    def choice(self) -> Model:
        """The model that is meant, with what the config says over what is known of it."""
        model = self._model()
        view = ModelView(self.geometry or model.view.geometry, self.picture_size or model.view.size)
        low, high = (None, None) if self.picture_size else (model.low, model.high)
        tokens = model.image_tokens if self.image_tokens is None else self.image_tokens or None
        context = self.context or model.context
        return dataclasses.replace(model, view=view, low=low, high=high, image_tokens=tokens, context=context)

    def shows(self, view: ModelView) -> bool:
        """At medium detail, with the files that are named here and no limit to the picture's tokens."""
        own = any(word.startswith(_ABOUT_SEEING) for word in self.extra_args)
        return self.choice.view == view and self.image_tokens is None and not own

    def without_budget(self) -> Self:
        """For a projector that leaves it to the picture's size how many tokens it takes."""
        return self if self.image_tokens is not None else self._with_tokens(None, None)

    def with_tokens(self, count: int) -> Self:
        """For pictures of that many tokens, whatever their size."""
        return self._with_tokens(count, count)

    def _with_tokens(self, least: int | None, most: int | None) -> Self:
        config = self.model_copy()
        config.__dict__["choice"] = dataclasses.replace(self.choice, least_tokens=least, image_tokens=most)
        return config

    def _model(self) -> Model:
        if self.hf is not None:
            return _hosted(self.hf)
        if self.model is None or self.mmproj is None:
            return PRESETS[self.preset or DEFAULT]
        _about(self.model, check_text_model)
        sight = _about(self.mmproj, wanted_picture) or _UNKNOWN
        return _own(self.model.stem, Files(self.model, self.mmproj), sight)


def _hosted(text: str) -> Model:
    """A repository; one that a preset knows keeps that preset's picture."""
    origin = hosted(text)
    known = preset_for(origin)
    if known is None:
        return _own(origin.repo.rpartition("/")[2], origin, _UNKNOWN)
    name = known.name if known.origin == origin else origin.repo.rpartition("/")[2]
    return dataclasses.replace(known, name=name, origin=origin)


def _own(name: str, origin: Files | Hosted, sight: Sight) -> Model:
    return Model(name, origin, sight.view, sight.image_tokens, sight.low, sight.high, _OWN_CONTEXT)


def _about(path: Path, look: Callable[[Path], T]) -> T:
    try:
        return look(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path.name} can't be used: {error}") from error
