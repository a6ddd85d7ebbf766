"""All a plugin author imports: the contracts of the plugin kinds, and the records they deal in.

A plugin is a class that subclasses ``Source[MyConfig]``, ``Captioner[MyConfig]`` or ``Output[MyConfig]``, where
``MyConfig`` is a ``PluginConfig``. It is found through an entry point (group ``camscribe.sources``,
``camscribe.captioners`` or ``camscribe.outputs``) or as a .py file in the config's ``plugins_dir``; its name is the
entry point's name or the file's.

What the agent does, so that no plugin has to: schedules, queues, retries, back-off, deadlines, counters, the journal.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, ValidationInfo

from agent.errors import (
    CamscribeError,
    CaptionUnavailable,
    CommandRefused,
    Failure,
    FrameUnavailable,
    Misconfigured,
    ObservationRefused,
    OutputUnavailable,
)
from agent.questions import BooleanQuestion, ChoiceQuestion, NumberQuestion, Question, TextQuestion
from agent.units import Duration, Size
from agent.values import (
    Answer,
    CameraState,
    Caption,
    CaptionRequest,
    Delivery,
    Detail,
    Frame,
    Geometry,
    LookError,
    ModelView,
    Moment,
    Observation,
    Pixels,
)

__all__ = [
    "Answer",
    "BooleanQuestion",
    "CameraInfo",
    "CameraState",
    "CamscribeError",
    "Caption",
    "CaptionRequest",
    "CaptionUnavailable",
    "Captioner",
    "ChoiceQuestion",
    "CommandRefused",
    "ConfigPath",
    "Context",
    "Delivery",
    "Detail",
    "Duration",
    "Failure",
    "Frame",
    "FrameUnavailable",
    "Geometry",
    "Home",
    "HomeState",
    "LookError",
    "Misconfigured",
    "ModelInfo",
    "ModelView",
    "Models",
    "Moment",
    "NumberQuestion",
    "Observation",
    "ObservationRefused",
    "Output",
    "OutputUnavailable",
    "Pixels",
    "Plugin",
    "PluginConfig",
    "Progress",
    "Question",
    "SecretStr",
    "SecretUrl",
    "Size",
    "Source",
    "TextQuestion",
    "Wire",
]


class PluginConfig(BaseModel):
    """What config.yaml may say for one plugin. Every field has a ``description``; secrets are SecretStr or SecretUrl.

    The validation, the JSON schema and the documentation's table all come from this one declaration.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SecretUrl(SecretStr):
    """A URL that may hold a password. ``str()`` and ``repr()`` mask it; ``get_secret_value()`` is the whole.

    User names, passwords and query values are masked; so is everything behind the host where ``path_is_secret`` (a
    webhook's path is its key).
    """

    path_is_secret: ClassVar[bool] = False

    def _display(self) -> str:
        return mask_url(self.get_secret_value(), path=self.path_is_secret)


def mask_url(url: str, *, path: bool = False) -> str:
    """``rtsp://viewer:pw@host/s?key=1`` as ``rtsp://***@host/s?key=***``. Splits at the last ``@`` of the address."""
    scheme, found, rest = url.partition("://")
    if not found:
        return "***"
    _, at, rest = rest.rpartition("@")
    try:
        split = urlsplit(f"x://{rest}")
    except ValueError:  # [ without ]: no URL, and all the same nobody's business
        return f"{scheme}://***"
    query = urlencode([(key, "***") for key, _ in parse_qsl(split.query, keep_blank_values=True)], safe="*")
    shown = urlunsplit(("", split.netloc, "/***" if path and split.path not in ("", "/") else split.path, query, ""))
    return f"{scheme}:{'//' + ('***@' if at else '') + shown.removeprefix('//')}"


def _in_config_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    try:
        return Path(folder, path.expanduser())
    except RuntimeError:
        raise ValueError(f"there is no home folder for {path.parts[0]}") from None


ConfigPath = Annotated[Path, AfterValidator(_in_config_folder)]
"""A path in config.yaml: ``~`` is expanded, a relative one counts from the config file's folder."""

C = TypeVar("C", bound=PluginConfig)


@dataclass(frozen=True, slots=True)
class Context:
    """What the agent tells a plugin about its place."""

    name: str
    """The camera's id, the captioner's name or the output's name, as config.yaml has it."""
    log: logging.Logger
    data_dir: Path
    """Where this plugin may keep files between runs."""
    runtime_dir: Path
    """A 0700 folder for sockets; gone after the run. Its path is short enough for socket names up to 30 bytes."""
    report: Callable[[CameraState, str], None] = lambda _state, _detail: None
    """Sources: tell the state the camera is in and a sentence about it. On the event loop's thread only."""
    appeared: Callable[[], None] = lambda: None
    """Sources: there is something new to see, so look now. On the event loop's thread only."""
    long_edge: int = 1280
    """Sources: nobody needs a frame with a longer edge than this, so scale down where that is cheap."""
    max_age: float = 5.0
    """Sources: the camera's ``max_age``. An older frame is refused, so wait for a fresh one where one may come."""
    home: Home | None = None


class Plugin(ABC, Generic[C]):
    """A plugin has a config model and a context, and does nothing in its constructor but keep them."""

    Config: ClassVar[type[PluginConfig]] = PluginConfig

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base) if get_origin(base) else ():
                if isinstance(argument, type) and issubclass(argument, PluginConfig):
                    cls.Config = argument

    def __init__(self, config: C, context: Context) -> None:
        self.config = config
        self.context = context
        self.log = context.log


class Source(Plugin[C]):
    """A camera's driver: hands out fresh frames."""

    schemes: ClassVar[tuple[str, ...]] = ()
    """What ``source:`` may begin with in its short form to mean this plugin: ``("rtsp", "rtsps")``."""

    @classmethod
    def from_short(cls, text: str) -> Mapping[str, Any]:
        """The options that the short form (``source: rtsp://…``) stands for; a URL by default."""
        return {"url": text}

    @classmethod
    def attached(cls) -> Mapping[str, str]:
        """The cameras plugged into this machine: what to write as ``source:``, and the device's own name for each.

        For ``camscribe doctor``. Blocks; opens no camera.
        """
        return {}

    def attached_as(self) -> str | None:
        """Which of ``attached()`` this camera is, however it is written in the config. Blocks."""
        return None

    async def run(self) -> None:
        """Keep the connection, where there is one. Started once, cancelled at the end; returning early is fine.

        An outage is not the end of it: reconnect in here, forever, with back-off, and tell ``self.context.report``.
        """

    @abstractmethod
    async def take(self, timeout: float) -> Frame:
        """A frame that was taken after this call began, within ``timeout`` seconds.

        Raises FrameUnavailable: why not. Never called twice at once. Native calls that block run in a thread.
        """


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a captioner plugin knows by name, for ``camscribe model list``."""

    name: str
    about: str
    """A sentence: what it is good for."""
    download: int
    """Bytes; 0 where it comes with the plugin."""
    memory: int
    """Bytes that serving it takes, roughly."""
    on_disk: int
    """Bytes of it that are here; less than ``download`` where a download was broken off."""
    complete: bool
    """It can be used without a download."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the download of one file is, in bytes. ``total`` is None while it is not known."""

    file: str
    done: int
    total: int | None


class Models(ABC):
    """The models of a captioner plugin: what there is, what is on disk, and how it gets there and away."""

    @abstractmethod
    async def known(self) -> list[ModelInfo]:
        """Every model the plugin has a name for, and others that are on disk. Asks nobody over the network."""

    def asked_for(self, config: Any) -> str | None:  # noqa: ARG002 (for those whose config names one)
        """Which of ``known()`` a captioner with this config of the plugin's uses; its files, where they are others."""
        return None

    @abstractmethod
    async def pull(self, name: str, progress: Callable[[Progress], None]) -> Path:
        """Download it, or what is missing of it; where it is then. ``progress`` is called on the event loop's thread.

        Raises Misconfigured (no such model, no room for it, not readable) and CaptionUnavailable (no network).
        """

    @abstractmethod
    async def remove(self, name: str) -> int:
        """Delete its files; how many bytes that freed. Raises Misconfigured where there are none."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A caption request as it goes over HTTP: what asks the engine the same thing without camscribe, for the bench."""

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    socket: Path | None = None
    """The Unix socket to send it through; None: the URL's own host and port."""


class Captioner(Plugin[C]):
    """A vision-language model: turns a picture and a prompt into words."""

    @classmethod
    def models(cls, data_dir: Path, log: logging.Logger) -> Models | None:  # noqa: ARG003 (for those that have some)
        """The models this plugin keeps on disk, where it does so."""
        return None

    async def run(self) -> None:
        """Keep the engine alive, where there is one. Started once, cancelled at the end.

        Raises Misconfigured at the first start only: the model can't work as configured.
        """

    @abstractmethod
    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        """The picture the model wants at this level of detail."""

    def expects(self, details: Collection[Detail]) -> None:
        """Told before ``run``: the levels of detail that cameras want of it. Others may follow."""

    @property
    def model(self) -> str:
        """The model's name, for the record."""
        return type(self).__name__

    @property
    def state(self) -> str:
        """``ready``, ``starting``, ``failed: …``: for the status, a few words."""
        return "ready"

    @property
    def said(self) -> Sequence[str]:
        """The last lines of its engine's own output, oldest first, where it has an engine."""
        return ()

    @property
    def processes(self) -> Sequence[int]:
        """The ids of its own processes, whose memory is its."""
        return ()

    def wire(self, request: CaptionRequest) -> Wire | None:  # noqa: ARG002 (for those that have one)
        """The request's caption (not its questions) as it is sent, where that is a single HTTP request."""
        return None

    async def check(self) -> str:
        """For ``camscribe doctor``: a sentence about what is there, without starting or downloading anything.

        Raises Misconfigured.
        """
        return f"{self.model} is configured."

    async def ready(self, timeout: float) -> None:
        """Wait until ``caption`` can work. Raises CaptionUnavailable after ``timeout`` seconds."""

    @abstractmethod
    async def caption(self, request: CaptionRequest) -> Caption:
        """Raises CaptionUnavailable. Called at most ``slots`` times at once."""

    slots: int = 1


class Output(Plugin[C]):
    """Tells somebody. One coroutine: see ``deliver``."""

    @classmethod
    def place(cls, config: Any) -> str | None:  # noqa: ARG003 (for those that have one)
        """Where it speaks in its own name, so that a second output must not: ``the broker at host:1883``."""
        return None

    unavailable: ClassVar[tuple[type[BaseException], ...]] = ()
    """The client library's own exceptions that mean 'the target can't be reached just now'."""

    @property
    def home(self) -> Home:
        """The cameras and the agent themselves, for an output that speaks for the home as well."""
        assert self.context.home is not None
        return self.context.home

    async def check(self) -> str:
        """For ``camscribe doctor``, where no service runs: a sentence about the target, without telling it anything.

        Raises what ``deliver`` raises where it can't be reached.
        """
        return "configured, but not tried"

    @abstractmethod
    async def deliver(self, deliveries: AsyncIterator[Delivery]) -> None:
        """Connect, send each delivery, and return when ``deliveries`` ends (the agent is stopping).

        Asking for the next delivery confirms the last one. Raise OutputUnavailable, or let one of ``unavailable`` out:
        the agent backs off and calls again with the unconfirmed delivery first. Raise ObservationRefused: this one is
        given up. Each send has a deadline that the agent owns; it cancels.
        """


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera as the home knows it."""

    id: str
    name: str
    area: str | None
    online: bool
    """It gives pictures, and its last good look is as fresh as it should be."""
    state: CameraState
    since: Moment
    problem: str | None
    """A sentence, where something is wrong."""
    enabled: bool
    every: float | None
    """Seconds between scheduled looks, or None (cron, or none)."""
    prompt: str
    last: Observation | None
    """The last good look by the camera's own prompt."""
    captioner: tuple[str, ...] = ()
    """Who answers: the first that can."""
    configured: tuple[str, ...] = ()
    """Who answers by the config, whatever was set since."""
    questions: Mapping[str, Question] = field(default_factory=dict)
    fresh_for: float | None = None
    """Seconds after which its last good look is stale; None where it does not look every so often."""
    failing: LookError | None = None
    """Why its last look failed, where it did."""
    failures: int = 0
    """Looks that failed since the start."""


@dataclass(frozen=True, slots=True)
class HomeState:
    """The agent as the home knows it."""

    version: str
    engine: str
    """``ready``, ``starting``, ``failed: …``: the default captioner's state."""
    captions_per_minute: float
    queued: int
    """Frames that wait for the captioner."""
    dropped: int
    """Frames overtaken by fresher ones since the start."""
    cameras: Mapping[str, CameraInfo]
    model: str = ""
    """The default captioner's."""
    captioners: tuple[str, ...] = ()
    """The names that a camera's ``captioner`` may be set to."""
    paused: bool = False
    """Nobody looks through any camera until somebody ends that."""
    log_level: str = "INFO"


class Home(Protocol):
    """What an output that speaks for the home (discovery, availability, commands) may ask."""

    @property
    def state(self) -> HomeState:
        """The state as it is now."""

    def changes(self) -> AsyncIterator[HomeState]:
        """The state now, then the latest one whenever something has changed (changes between are skipped).

        At least every ten seconds, for what time alone changes.
        """

    async def command(self, camera: str | None, name: str, value: str) -> None:
        """Of a camera: ``enabled`` (ON/OFF), ``every`` (a duration), ``prompt`` (a text), ``captioner`` (a name, or
        several with commas between). Of the agent, with None for the camera: ``paused`` (ON/OFF), ``log_level``
        (DEBUG, INFO, WARNING, ERROR), ``restart`` (any value). What is set outlives a restart.

        Raises CommandRefused.
        """

    async def look(self, camera: str, prompt: str | None = None) -> Observation:
        """A look now, by the camera's own prompt and questions or by another prompt alone; waits for what comes of it.

        Raises CommandRefused: there is no such camera, all are paused, or too many looks are under way.
        """
