"""What people have set by command (a switch, an interval, a prompt), kept between runs.

The file holds only what is different from config.yaml, and beside it what config.yaml said then: whoever changed a
value last has it, a command or the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.camera import Camera

T = TypeVar("T")
FILE = "controls.json"

log = logging.getLogger("camscribe.controls")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Set(_Record, Generic[T]):
    """A value that was set, and the one it was set over."""

    set: T
    over: T

    def over_this(self, now: object, name: str) -> bool:
        return bool(self.over == getattr(now, name))


class _Every(_Set[Annotated[float, Field(ge=0.1)] | None]):
    """An interval takes the place of a ``cron`` as well."""

    cron: str | None = None

    def over_this(self, now: object, name: str) -> bool:
        return super().over_this(now, name) and self.cron == getattr(now, "cron", None)


class _OfCamera(_Record):
    """A camera's attributes of these names; None: as config.yaml has it."""

    enabled: _Set[bool] | None = None
    every: _Every | None = None
    prompt: _Set[Annotated[str, Field(min_length=1, max_length=4000)]] | None = None
    captioner: _Set[tuple[str, ...]] | None = None


class AgentControls(_Record):
    """What can be set of the agent itself."""

    paused: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class _OfAgent(_Record):
    paused: _Set[bool] | None = None
    log_level: _Set[Literal["DEBUG", "INFO", "WARNING", "ERROR"]] | None = None


class _File(_Record):
    agent: _OfAgent = _OfAgent()
    cameras: dict[str, _OfCamera] = {}


class Controls:
    """The file, in the data_dir. What it says is used once a part: when that starts."""

    def __init__(self, data_dir: Path, *, keep: bool) -> None:
        """``keep``: what was set outlives a restart. Otherwise config.yaml wins then, and nothing is written."""
        self._path = data_dir / FILE
        self._keep = keep
        self._kept = _File()
        self._written = ""
        self._failed = False
        self._turn = asyncio.Lock()

    def read(self) -> None:
        """Blocks. With a file that makes no sense a service must start all the same."""
        if not self._keep:
            with suppress(OSError):  # what it says must not come back when it is kept again
                self._path.unlink(missing_ok=True)
            return
        try:
            self._written = self._path.read_text()
            self._kept = _File.model_validate_json(self._written)
        except FileNotFoundError:
            return
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it makes no sense"
            log.warning("%s can't be read (%s), so everything is as config.yaml says.", self._path, why)

    def agent(self, started: AgentControls) -> AgentControls:
        """As it was set; ``started``: what it is without."""
        return started.model_copy(update=_chosen(self._kept.agent, started))

    def restore(self, camera: Camera, captioners: Collection[str]) -> None:
        """Set the camera as it was set. A captioner may be gone from the config."""
        kept = self._kept.cameras.pop(camera.id, _OfCamera())
        for name, value in _chosen(kept, camera.settings).items():
            if name != "captioner" or (value and set(value) <= set(captioners)):
                setattr(camera, name, value)

    async def save(self, cameras: Iterable[Camera], agent: AgentControls, started: AgentControls) -> None:
        """Write down what is set now. A disk that takes nothing is told once."""
        if not self._keep:
            return
        different = {camera.id: _different(_OfCamera, camera, camera.settings) for camera in cameras}
        file = _File(
            agent=_different(_OfAgent, agent, started),
            cameras={id_: one for id_, one in different.items() if one.model_fields_set},
        )
        text = file.model_dump_json(indent=1, exclude_unset=True) + "\n"
        async with self._turn:
            if text == self._written:
                return
            try:
                await asyncio.to_thread(_write, self._path, text)
            except OSError as error:
                if not self._failed:
                    told = "%s can't be written (%s), so what is set by command ends with this run."
                    log.warning(told, self._path, error.strerror)
                self._failed = True
            else:
                self._written, self._failed = text, False


def _chosen(kept: BaseModel, now: object) -> dict[str, Any]:
    """What was set over the very value that there is now."""
    sets = {name: getattr(kept, name) for name in type(kept).model_fields}
    return {name: one.set for name, one in sets.items() if one is not None and one.over_this(now, name)}


K = TypeVar("K", bound=BaseModel)


def _different(kind: type[K], now: object, before: object) -> K:
    pairs = {name: (getattr(now, name), getattr(before, name)) for name in kind.model_fields}
    found: dict[str, Any] = {name: {"set": a, "over": b} for name, (a, b) in pairs.items() if a != b}
    if "every" in found:
        found["every"]["cron"] = getattr(before, "cron", None)
    return kind.model_validate(found)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also through a power cut."""
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
