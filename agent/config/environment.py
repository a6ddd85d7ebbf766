"""The environment over the file: ``CAMSCRIBE_CAMERAS__FRONT_DOOR__EVERY=10s``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import SkipValidation
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.config.faults import ENVIRONMENT, Fault, Path_, did_you_mean, listed
from agent.config.sentences import quoted

PREFIX = "CAMSCRIBE_"
BETWEEN = "__"
LOG_LEVEL = "CAMSCRIBE_LOG_LEVEL"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
OTHER_VARIABLES: Mapping[str, str] = {
    "CAMSCRIBE_CONFIG": "Where the config file is, unless --config says it.",
    LOG_LEVEL: "DEBUG, INFO (the default), WARNING or ERROR.",
}
"""Variables of ours that say nothing about the config's keys. Any other that begins with the prefix must name a key."""

Section = Annotated[dict[str, Any], SkipValidation]


class Layers(BaseSettings):
    """The config's top level as the environment sees it; what may be in it, the grammar says."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=BETWEEN, extra="allow")

    model: Section = {}
    captioners: Section = {}
    cameras: Section = {}
    outputs: Section = {}
    web: Section = {}
    keep: Section = {}
    data_dir: Annotated[str, SkipValidation] = ""
    plugins_dir: Annotated[str, SkipValidation] = ""


class _Environment(EnvSettingsSource):
    """pydantic-settings' own source, from a given environment, with every value left as text.

    Text, because only the grammar knows whether 0123 is a number or a password.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Layers)
        self.env_vars = {name.lower(): value for name, value in environ.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo | None, value: Any) -> Any:  # noqa: ARG002 (its signature)
        return value


@dataclass
class Layered:
    """The file's values with the environment's over them."""

    data: Any
    variables: dict[Path_, str] = field(default_factory=dict)
    """Paths that the environment gave, with the variable's name."""
    faults: list[Fault] = field(default_factory=list)


def layer(data: Any, environ: Mapping[str, str]) -> Layered:
    """Never raises: variables that fit nowhere are ``faults``."""
    result = Layered(data)
    ours = {}
    for name, value in environ.items():
        if name.upper() == LOG_LEVEL and value.upper() not in LEVELS:
            wrong = f"found {quoted(value)}; {listed(LEVELS)} is allowed"
            result.faults.append(Fault(ENVIRONMENT, None, name, wrong))
        if name.upper().startswith(PREFIX) and name.upper() not in OTHER_VARIABLES:
            path = tuple(name[len(PREFIX) :].lower().split(BETWEEN))
            if message := _misfit(path):
                result.faults.append(Fault(ENVIRONMENT, None, name, message))
            else:
                ours[name] = path
    if not ours or not isinstance(data, dict | None):
        return result
    given = _Environment({name: environ[name] for name in ours})
    overlaid = given()
    for name, path in ours.items():
        if _at(overlaid, path) == environ[name]:
            result.variables[path] = name
        else:
            result.faults.append(Fault(ENVIRONMENT, None, name, "it clashes with another variable of the same key"))
    result.data = _merged(given, data or {})
    return result


def _merged(given: _Environment, data: dict[str, Any]) -> dict[str, Any]:
    class Merged(Layers):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return given, InitSettingsSource(settings_cls, init_kwargs=data)

    return Merged().model_dump(exclude_unset=True, warnings=False)


def _misfit(path: Path_) -> str | None:
    known = [field.upper() for field in Layers.model_fields]
    if "" in path:
        return f"this is no key: names are joined by two underscores, such as {PREFIX}CAMERAS__FRONT_DOOR__EVERY"
    if str(path[0]).upper() not in known:
        candidates = [*OTHER_VARIABLES, *(PREFIX + field for field in known)]
        near = did_you_mean(PREFIX + str(path[0]).upper(), candidates)
        return f"camscribe has no such variable: it names no key of config.yaml.{near}"
    if len(path) > 1 and path[0] in ("data_dir", "plugins_dir"):
        return f"{path[0]} has no keys below it: write {PREFIX}{str(path[0]).upper()}"
    return None


def _at(data: Any, path: Path_) -> Any:
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    return data
