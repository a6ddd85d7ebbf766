"""What config.yaml may say, but for the plugins' own options: the one declaration of each key.

Validation, the JSON schema and docs/configuration.md come from these models.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from agent.config.addresses import HostName, ListenAddress, Origin, ProxyAddress
from agent.config.cron import trigger_fields
from agent.config.faults import closest
from agent.plugin import ConfigPath, PluginConfig
from agent.questions import BooleanQuestion, ChoiceQuestion, Fraction, NumberQuestion, Question, TextQuestion
from agent.registry import Registry
from agent.units import Duration, Size, refusal
from agent.values import Detail

RESERVED = ("status", "hub")
"""MQTT topics of the agent itself."""
DEFAULT = "default"
"""The captioner that ``model:`` describes."""
DEFAULT_PLUGIN = "llama_server"
_ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
SHORTEST_EVERY = 0.1
_POINTS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PluginChoice:
    """A plugin and its validated options."""

    use: str
    """Its name in the registry."""
    type: builtins.type[Any]
    """Its class: of Source, Captioner or Output, as its section demands."""
    options: PluginConfig

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """It is checked already when it goes into a camera's, captioner's or output's settings."""
        return core_schema.is_instance_schema(cls)


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def name_fault(name: str, what: str, reserved: tuple[str, ...] = ()) -> str | None:
    """Why this can't be the name of a camera, a captioner or an output."""
    if name in reserved:
        return f"'{name}' is a topic of camscribe itself: give the {what} another name"
    if _ID.fullmatch(name) and len(name) <= 64:
        return None
    meant = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64]
    hint = f" Write {meant}" if meant and meant not in reserved else ""
    article = "an" if what[0] in "aeiou" else "a"
    return f"{article} {what}'s name has lower case letters, digits and single underscores, at most 64.{hint}"


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _known(kind: str) -> AfterValidator:
    """The name must be one of the validation context's, where there is one."""

    def check(name: str, info: ValidationInfo) -> str:
        names = (info.context or {}).get(kind)
        if names is not None and name not in names:
            there_are = ", ".join([*names[:10], *(["…"] if len(names) > 10 else [])]) or "none"
            raise refusal(f"one of the {kind} of this file ({there_are})", closest(name, names))
        return name

    return AfterValidator(check)


def _whole_number(value: Any) -> Any:
    """The environment gives texts only."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Point = tuple[Fraction, Fraction]


def _crop(value: Any) -> Any:
    if not (_numbers(value, 4) and all(0 <= part <= 1 for part in value)):
        raise refusal("[left, top, right, bottom] in fractions of the picture from 0 to 1, such as [0, 0.2, 1, 0.9],")
    left, top, right, bottom = value
    pairs = (("left", left, "right", right), ("top", top, "bottom", bottom))
    if wrong := [f"{one} must be smaller than {other}" for one, a, other, b in pairs if a >= b]:
        raise ValueError(f"found {list(value)}, read as [left, top, right, bottom]: {' and '.join(wrong)}")
    return value


def _numbers(value: Any, count: int) -> bool:
    good = isinstance(value, list | tuple) and len(value) == count
    return good and all(isinstance(part, int | float) and not isinstance(part, bool) for part in value)


def _masks(value: Any) -> Any:
    """One polygon alone would be told once a number."""
    if not (isinstance(value, list | tuple) and value and all(_numbers(point, 2) for point in value)):
        return value
    points = [str(list(point)) for point in value]
    shown = ", ".join(points if len(points) <= _POINTS_SHOWN else [*points[: _POINTS_SHOWN - 1], "…", points[-1]])
    raise ValueError(
        f"found a single polygon; a list of polygons is allowed: put one more pair of brackets around it: [[{shown}]]"
    )


def _simple(mask: tuple[Point, ...]) -> tuple[Point, ...]:
    """A polygon whose outline crosses itself would leave open what lies between."""
    edges = list(zip(mask, (*mask[1:], mask[0]), strict=True))
    if any(_cross(*one, *other) for one, other in combinations(edges, 2)):
        raise ValueError("the mask's outline crosses itself: name its corners in the order in which one walks round it")
    return mask


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the lines ab and cd go through each other; to touch is no crossing."""
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(a: Point, b: Point, point: Point) -> float:
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])


RESERVED_QUESTIONS = ("caption", "error")
"""Events of camscribe itself; an answer makes one of its question's name."""


def _question_name(name: str) -> str:
    """It is a key of ``answers`` in the observation, and as such part of templates and topics."""
    if name in RESERVED_QUESTIONS:
        raise ValueError(f"'{name}' is an event of camscribe itself: give the question another name")
    if fault := name_fault(name, "question"):
        raise ValueError(f"'{name}': {fault}")
    return name


class _Typed(BaseModel):
    type: Literal["boolean", "number", "choice", "text"]


_QUESTIONS: Mapping[str, builtins.type[Question]] = {
    "boolean": BooleanQuestion,
    "number": NumberQuestion,
    "choice": ChoiceQuestion,
    "text": TextQuestion,
}


def _question(value: Any) -> Any:
    """A union's own errors would be one a type; so only the type that is meant is looked at."""
    if isinstance(value, str):
        return TextQuestion(ask=value)
    if isinstance(value, Mapping):
        if value.get("type") is None:
            raise ValueError(
                "a question that is a mapping needs 'type:', which is boolean, number, choice or text; one that is "
                "answered in a few words may be its text alone"
            )
        return _QUESTIONS[_Typed.model_validate(value).type].model_validate(value)
    if isinstance(value, Question):
        return value
    raise refusal("the question's text, or a mapping with 'type:' and 'ask:',")


_ShortQuestion = Annotated[str, Field(min_length=1, max_length=1000)]
_AnyQuestion = Annotated[Question, BeforeValidator(_question, json_schema_input_type=_ShortQuestion | Question)]
MOST_QUESTIONS = 20


class CameraOptions(_Keys):
    """One camera: where its picture comes from, when it looks, and what it asks."""

    source: Any = Field(title="a text or a mapping")
    """Where the picture comes from: a text whose beginning picks the plugin (``rtsp://…``, ``file:clip.mp4``,
    ``demo``), or a mapping with ``use:`` and the plugin's options."""
    name: str | None = Field(default=None, min_length=1, max_length=100)
    """What people read. Left out: the camera's id, with spaces."""
    area: str | None = Field(default=None, min_length=1, max_length=100)
    """The room or place, which Home Assistant is told when it first hears of the camera."""
    enabled: bool = True
    """``false``: no looks until somebody switches it on."""
    every: Duration | None = None
    """How often it looks by itself. Left out, with no ``cron`` either: only when asked."""
    cron: str | None = None
    """When it looks by itself, instead of ``every``: cron's five fields in local time, ``"*/5 8-18 * * mon-fri"``."""
    prompt: str = Field(default="Describe what you see in one short sentence.", min_length=1, max_length=4000)
    """What the model is asked about the picture."""
    language: str | None = None
    """The language to answer in, as a code such as ``de`` or ``pt-BR``. Left out: the prompt's own."""
    max_age: Duration = 5.0
    """A frame older than this is refused: stale never poses as fresh."""
    timeout: Duration = 20.0
    """How long the camera may take to give a picture, and then the model to give its caption."""
    detail: Detail = Detail.MEDIUM
    """How much of the picture the model gets to see: ``low``, ``medium`` or ``high``. The more, the longer it takes;
    what each means for a model stands in docs/models.md."""
    max_tokens: int = Field(default=60, ge=1, le=4096)
    """How long a caption may get; a token is about three quarters of a word."""
    questions: Mapping[Annotated[str, AfterValidator(_question_name)], _AnyQuestion] = Field(
        default={}, max_length=MOST_QUESTIONS, title="a mapping of names to questions"
    )
    """More to be asked about the same picture, after its caption: a name for each answer, and the question, as a text
    (``{parcel: What lies on the step?}``) or with the answer's type (``{door: {type: boolean, ask: Is the door
    open?}}``); see below. The picture is not read anew, so each costs a fraction of a caption. Who asks something else
    (``camscribe look --prompt``) asks that alone."""
    rotate: Annotated[Literal[0, 90, 180, 270], BeforeValidator(_whole_number)] = 0
    """Degrees clockwise, for a camera that hangs on its side."""
    flip: Literal["horizontal", "vertical"] | None = None
    """Mirror the picture: ``horizontal`` swaps left and right, ``vertical`` top and bottom. After ``rotate``."""
    crop: Annotated[tuple[Fraction, Fraction, Fraction, Fraction], BeforeValidator(_crop)] | None = None
    """The part of the picture to keep: ``[left, top, right, bottom]`` in fractions of the whole picture as people see
    it, after ``rotate`` and ``flip``. What lies outside is neither shown, stored nor sent."""
    masks: Annotated[
        tuple[Annotated[tuple[Point, ...], Field(min_length=3, max_length=100), AfterValidator(_simple)], ...],
        BeforeValidator(_masks),
    ] = ()
    """Areas nobody may see, neither the model nor people: polygons of ``[x, y]`` points in fractions of the whole
    picture, after ``rotate`` and ``flip`` and whatever the ``crop``. Painted black, with a margin of three pixels,
    before anything is scaled, stored or sent."""
    captioner: Annotated[
        tuple[Annotated[str, _known("captioners")], ...],
        BeforeValidator(_one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Field(min_length=1, title="a name or a list of names"),
    ] = (DEFAULT,)
    """Which captioner answers: a name, or a list of which the first that works does. ``default`` is ``model:``."""

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, every: float | None) -> float | None:
        if every is not None and every < SHORTEST_EVERY:
            raise refusal("100ms or more")
        return every

    @field_validator("cron")
    @classmethod
    def _cron(cls, cron: str | None, info: ValidationInfo) -> str | None:
        if cron is None:
            return None
        try:
            trigger_fields(cron)
        except ValueError as error:
            raise ValueError(str(error)) from None
        # An 'every' that is itself wrong is absent from the data; it was given all the same.
        if info.data.get("every", 0) is not None:
            raise ValueError("there is an 'every' as well: leave one of the two out")
        return cron

    @field_validator("language")
    @classmethod
    def _language(cls, language: str | None) -> str | None:
        if language is not None and not _LANGUAGE.fullmatch(language):
            raise refusal("a language code such as de, en or pt-BR")
        return language

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("the prompt is empty")
        return prompt


class CameraSettings(CameraOptions):
    """A camera as camscribe uses it."""

    id: str
    source: PluginChoice
    name: str

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_id(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not data.get("name") and "id" in data:
            return {**data, "name": str(data["id"]).replace("_", " ").capitalize()}
        return data


class CaptionerOptions(_Keys):
    """A captioner. The keys beside ``use`` are the plugin's."""

    use: str | None = None
    """The captioner plugin. Left out: the one of the captioner's own name where there is such a plugin, else
    ``llama_server``."""


class CaptionerSettings(_Keys):
    """A captioner as camscribe uses it."""

    name: str
    plugin: PluginChoice


class OutputOptions(_Keys):
    """An output. The keys beside these are the plugin's."""

    use: str | None = None
    """The output plugin. Left out: the one of the output's own name."""
    cameras: (
        Annotated[
            tuple[Annotated[str, _known("cameras")], ...],
            BeforeValidator(_one_or_more, json_schema_input_type=str | tuple[str, ...]),
        ]
        | None
    ) = Field(default=None, title="a name or a list of names")
    """Only these cameras' observations. Left out: all."""
    backlog: Literal["all", "latest"] = "all"
    """What it gets after it could not be reached: ``all`` that was missed, or only the ``latest`` of each camera. One
    that was taken out of this file and is put back under its name has missed what came between; a new one has not."""
    expire: Duration = 86400.0
    """Observations older than this are not sent any more."""
    timeout: Duration = 30.0
    """How long sending one observation may take before it counts as failed and is tried again."""


class OutputSettings(OutputOptions):
    """An output as camscribe uses it."""

    name: str
    plugin: PluginChoice


class CompatSettings(_Keys):
    """The prototype's two endpoints, for its own page: only these, without a password, for pages of these origins."""

    port: int = Field(default=5001, ge=0, le=65535)
    """The TCP port; 0 picks a free one."""
    origins: Annotated[
        tuple[Origin, ...],
        BeforeValidator(_one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Field(min_length=1, title="a text or a list of texts"),
    ] = ("http://localhost:5173",)
    """Where its page comes from: scheme, host and port, as the browser's address bar shows them."""


class WebSettings(_Keys):
    """The pages and the HTTP API. docs/web.md tells how to reach them from elsewhere: password, TLS, reverse proxy."""

    host: ListenAddress = "127.0.0.1"
    """The address to listen on; ``0.0.0.0`` is every one of this machine's, and needs a password (``camscribe web
    password``)."""
    port: int = Field(default=8765, ge=0, le=65535)
    """The TCP port; 0 picks a free one."""
    certificate: ConfigPath | None = None
    """A PEM file with this machine's certificate, and those that vouch for it behind it: then it is ``https://``."""
    key: ConfigPath | None = None
    """A PEM file with the certificate's private key, without a password."""
    names: Annotated[
        tuple[HostName, ...],
        BeforeValidator(_one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Field(title="a text or a list of texts"),
    ] = ()
    """Host names by which it is reached, such as a reverse proxy's. Known without: addresses, ``localhost``, and this
    machine's own name, alone and with ``.local``. Any other name is refused: so no web page can pose as camscribe."""
    proxies: Annotated[
        tuple[ProxyAddress, ...],
        BeforeValidator(_one_or_more, json_schema_input_type=str | tuple[str, ...]),
        Field(title="a text or a list of texts"),
    ] = ()
    """Addresses or networks of reverse proxies, whose ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``-Prefix`` (or
    ``X-Ingress-Path``) are believed. Nobody else's are."""
    ingress: bool = False
    """``true``: whom Home Assistant sends through its ingress is let in without a password, because Home Assistant has
    asked for its own. ``proxies`` must then be Home Assistant's address alone, which is ``172.30.32.2``."""
    compat: CompatSettings | None = None
    """The prototype's two endpoints, on a port of their own. Left out: none."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            there, missing = ("key", "certificate") if self.certificate is None else ("certificate", "key")
            raise ValueError(f"there is a '{there}' without its '{missing}': name both, or none for http")
        if self.ingress and (len(self.proxies) != 1 or "/" in self.proxies[0]):
            raise ValueError(
                "'ingress' lets in whomever the proxy says, so 'proxies' must be Home Assistant's address and nothing "
                "else: 'proxies: [172.30.32.2]'"
            )
        if self.compat and self.compat.port == self.port != 0:
            raise ValueError(f"'port' and 'compat.port' are both {self.port}: give each its own")
        return self


class KeepSettings(_Keys):
    """How long the journal and its pictures are kept; the stricter of the two counts."""

    days: float | None = Field(default=14, gt=0, le=36500)
    """Older observations are deleted. ``null``: no limit."""
    size: Size | None = 5_000_000_000
    """The oldest are deleted when the journal and its pictures take more than this. ``null``: no limit."""


class Document(_Keys):
    """config.yaml as a whole. The sections' entries are read one by one, with their plugins' own options."""

    model: dict[str, Any] = {}
    """The default captioner: a preset's name, or your own model files. Its options are the plugin's."""
    captioners: dict[str, Any] = {}
    """More captioners by name; a camera picks one with ``captioner:``."""
    cameras: dict[str, Any]
    """The cameras by id: lower case letters, digits and single underscores; ``status`` and ``hub`` are reserved."""
    outputs: dict[str, Any] = {}
    """Who is told, by name; the name is the plugin's unless ``use:`` says another."""
    web: WebSettings | Literal[False] = WebSettings()
    """The pages and the HTTP API, on this machine alone unless it says otherwise; ``false`` to do without."""
    keep: KeepSettings = KeepSettings()
    """How long observations and pictures are kept."""
    reload: Literal["auto", "manual"] = "auto"
    """``auto``: when this file changes, camscribe takes it over by itself, a second or two after it was last written.
    ``manual``: only on ``camscribe reload`` or ``systemctl reload``. Either way no waiting frame is lost, a file with a
    fault changes nothing, and ``controls``, ``data_dir``, ``plugins_dir`` and ``web`` need a restart."""
    controls: Literal["keep", "reset"] = "keep"
    """What was set by command (an interval, a prompt, the switch of a camera): ``keep`` it over a restart, unless this
    file says something else of it than before; ``reset``: a restart goes back to this file."""
    data_dir: ConfigPath | None = None
    """Where the journal, its pictures and the folder ``models`` live; one camscribe a folder. Left out:
    ``~/.local/share/camscribe``, the service's state folder under systemd, or on a Mac
    ``~/Library/Application Support/camscribe``."""
    plugins_dir: ConfigPath | None = None
    """A folder of plugins of your own: each .py file is one, named after the file."""


@dataclass(frozen=True)
class Config:
    """A whole config, validated."""

    path: Path | None
    """The file, or None where it was given as values."""
    registry: Registry
    captioners: Mapping[str, CaptionerSettings]
    """``default`` is ``model:``."""
    cameras: Mapping[str, CameraSettings]
    outputs: Mapping[str, OutputSettings]
    web: WebSettings | None
    """None: ``web: false``."""
    keep: KeepSettings
    reload: Literal["auto", "manual"]
    controls: Literal["keep", "reset"]
    data_dir: Path
    plugins_dir: Path | None
    secrets: frozenset[str] = field(repr=False)
    """What must never be shown: see agent.redact."""
