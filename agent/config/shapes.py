"""Which types a model wants at a path: for what a pydantic error alone does not say."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from agent.config.faults import Path_


def alternatives(wanted: Any) -> Iterator[Any]:
    """The members of a union, nested ones too, without their annotations."""
    origin = get_origin(wanted)
    if origin is Annotated:
        yield from alternatives(get_args(wanted)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(wanted):
            yield from alternatives(member)
    else:
        yield getattr(wanted, "__value__", wanted)  # a `type X = …` alias of Python 3.12


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """What a mapping for this model may hold: the names as a user writes them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _is_model(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, BaseModel)


def _step(wanted: Any, step: str | int) -> Iterator[Any]:
    for one in alternatives(wanted):
        origin, arguments = get_origin(one), get_args(one)
        if _is_model(one):
            if step in (keys := keys_of(one)):
                yield keys[str(step)].annotation
        elif isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
            yield arguments[1]
        elif origin is tuple and isinstance(step, int) and Ellipsis not in arguments:
            yield from arguments[step : step + 1]
        elif isinstance(origin, type) and issubclass(origin, Sequence | set | frozenset) and arguments:
            yield arguments[0]


def wanted_at(model: type[BaseModel], path: Iterable[str | int]) -> list[Any]:
    """Every type that is allowed at the path below the model; nothing where that is unknown."""
    wanted: list[Any] = [model]
    for step in path:
        wanted = [inner for one in wanted for inner in _step(one, step)]
    return [one for outer in wanted for one in alternatives(outer)]


def models_at(model: type[BaseModel], path: Path_) -> list[type[BaseModel]]:
    """The models among them: their keys are what may stand there."""
    return [one for one in wanted_at(model, path) if _is_model(one)]


def fixed(model: type[BaseModel]) -> dict[str, str]:
    """The keys that have but one word, by which a model is told from others: ``type: boolean``."""
    words = {key: get_args(field.annotation) for key, field in keys_of(model).items() if _is_word(field.annotation)}
    return {key: word for key, (word,) in words.items()}


def _is_word(wanted: Any) -> bool:
    return get_origin(wanted) is Literal and len(get_args(wanted)) == 1 and isinstance(get_args(wanted)[0], str)


def fitting(models: Iterable[type[BaseModel]], raw: Any) -> list[type[BaseModel]]:
    """Those whose fixed words stand in the mapping."""
    return [one for one in models if all(raw.get(key) == word for key, word in fixed(one).items())]


def field_at(model: type[BaseModel], path: Path_) -> FieldInfo | None:
    """The declaration of the key at the path's end."""
    for owner in models_at(model, path[:-1]):
        if path and path[-1] in (keys := keys_of(owner)):
            return keys[str(path[-1])]
    return None


def is_secret(wanted: Iterable[Any]) -> bool:
    """A SecretStr is among them, or within one of them."""
    return any(
        (isinstance(one, type) and issubclass(one, SecretStr))
        or (not _is_model(one) and is_secret(inner for argument in get_args(one) for inner in alternatives(argument)))
        for one in wanted
    )


def takes_text(wanted: Iterable[Any]) -> bool:
    """A plain text may stand there as it is."""
    return any(
        one in (Any, object)
        or (isinstance(one, type) and issubclass(one, str | bytes | SecretStr | PurePath | Enum))
        or (get_origin(one) is Literal and any(isinstance(value, str) for value in get_args(one)))
        for one in wanted
    )


def takes_only_numbers(wanted: Iterable[Any]) -> bool:
    """Numbers and nothing else: pydantic would take ``yes`` for 1 there."""
    kinds = {one for one in wanted if one is not type(None)}
    return bool(kinds) and kinds <= {int, float}
