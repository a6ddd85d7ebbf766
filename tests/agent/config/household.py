"""A registry of small plugins with every kind of option, so that these tests stand on nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent.plugin import (
    Caption,
    Captioner,
    CaptionRequest,
    ConfigPath,
    Delivery,
    Detail,
    Duration,
    Frame,
    Geometry,
    ModelView,
    Output,
    PluginConfig,
    SecretStr,
    SecretUrl,
    Source,
)
from agent.registry import Registry


class _Source(Source[Any]):
    async def take(self, timeout: float) -> Frame:
        raise NotImplementedError


class _Output(Output[Any]):
    async def deliver(self, deliveries: AsyncIterator[Delivery]) -> None:
        raise NotImplementedError


class RtspConfig(PluginConfig):
    url: SecretUrl
    """The stream's address."""
    transport: Literal["tcp", "udp"] = "tcp"
    """How pictures come."""

    @field_validator("url")
    @classmethod
    def _has_a_host(cls, url: SecretUrl) -> SecretUrl:
        if not url.get_secret_value().rpartition("@")[2].removeprefix("rtsp://").split("/")[0]:
            raise ValueError(f"the address {url.get_secret_value()} names no host")
        return url


class Rtsp(_Source, Source[RtspConfig]):
    schemes = ("rtsp", "rtsps")


class FileConfig(PluginConfig):
    path: ConfigPath
    """The file."""


class File(_Source, Source[FileConfig]):
    schemes = ("file",)

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        path = text.removeprefix("file:")
        if not path:
            raise ValueError("a path is missing behind 'file:'")
        return {"path": path}


class DemoConfig(PluginConfig):
    seed: int = 0
    """Which scenes."""
    pace: float = 1.0
    """How fast."""


class Demo(_Source, Source[DemoConfig]):
    schemes = ("demo",)

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        return {}


class UsbConfig(PluginConfig):
    device: int | str = 0
    """Which one."""


class Usb(_Source, Source[UsbConfig]):
    schemes = ("usb",)

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        return {"device": int(text.removeprefix("usb:"), 10), "oops": {}["nothing"]}


class EngineConfig(PluginConfig):
    preset: str = "smolvlm-500m"
    """The model."""
    threads: Annotated[int, Field(ge=1, le=512)] | Literal["auto"] = "auto"
    """Of the processor."""
    geometry: Geometry | None = None
    """Of the picture."""

    def model_post_init(self, _context: object) -> None:
        self.files  # noqa: B018  worked out at once, and kept

    @cached_property
    def files(self) -> str:
        return f"{self.preset}.gguf"

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        if preset not in ("smolvlm-500m", "tiny"):
            raise ValueError(f"there is no preset '{preset}'; there are smolvlm-500m and tiny")
        return preset


class Engine(Captioner[EngineConfig]):
    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        raise NotImplementedError

    async def caption(self, request: CaptionRequest) -> Caption:
        raise NotImplementedError


class LogConfig(PluginConfig):
    format: Literal["text", "json"] = "text"
    """The lines' form."""


class Log(_Output, Output[LogConfig]):
    pass


class Tls(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    ca: ConfigPath | None = None
    """Whom to trust."""
    key_password: SecretStr | None = None
    """Of the key."""


class MqttConfig(PluginConfig):
    host: str
    """The broker."""
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    """Its port."""
    username: str | None = None
    """To log in."""
    password: SecretStr | None = None
    """To log in."""
    tls: Tls | bool = False
    """Encrypt."""
    keepalive: Duration = Field(default=60.0, ge=5)
    """How long silence may last."""
    timeout: float = 10.0
    """For the broker's answer; camscribe has a key of this name as well."""


class Mqtt(_Output, Output[MqttConfig]):
    @classmethod
    def place(cls, config: MqttConfig) -> str:
        return f"the MQTT broker {config.host}:{config.port}"


class HookUrl(SecretUrl):
    path_is_secret = True


class WebhookConfig(PluginConfig):
    url: HookUrl
    """Where to."""
    secret: SecretStr | None = None
    """To sign with."""
    headers: Mapping[str, SecretStr] = {}
    """Sent along."""
    body: str | None = None
    """A template."""

    @model_validator(mode="after")
    def _signs(self) -> WebhookConfig:
        if self.body and self.secret:
            raise ValueError("only the JSON body can be signed: leave out 'body' or 'secret'")
        return self


class Webhook(_Output, Output[WebhookConfig]):
    pass


class BuggyConfig(PluginConfig):
    value: str = ""
    """Anything."""

    @field_validator("value")
    @classmethod
    def _bug(cls, value: str) -> str:
        raise KeyError("no such thing")


class Buggy(_Output, Output[BuggyConfig]):
    pass


REGISTRY = Registry(
    sources={"demo": Demo, "file": File, "rtsp": Rtsp, "usb": Usb},
    captioners={"llama_server": Engine},
    outputs={"buggy": Buggy, "log": Log, "mqtt": Mqtt, "webhook": Webhook},
    failures={
        ("output", "telegram"): "ModuleNotFoundError: No module named 'telegram'",
        ("source", "gphoto"): "ImportError: libgphoto2 is not installed",
    },
)


def discover(_folder: Path | None) -> Registry:
    return REGISTRY
