"""docs/configuration.md, made from the models: ``python -m agent.config.docs > docs/configuration.md``."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from agent.config.environment import OTHER_VARIABLES
from agent.config.grammar import CameraOptions, CaptionerOptions, Document, KeepSettings, OutputOptions, WebSettings
from agent.config.shapes import alternatives, fixed, is_secret, keys_of
from agent.questions import Question
from agent.registry import Registry
from agent.units import Duration, Size, duration_text, size_text

_HEAD = """# config.yaml, key by key

This page is made from the code that checks config.yaml (`python -m agent.config.docs > docs/configuration.md`); the
sample at the top of the repository shows most of it in use. `camscribe check` names every fault with its line,
`camscribe schema` prints a JSON schema for your editor.

The file is looked for at `--config`, `$CAMSCRIBE_CONFIG`, `./config.yaml`, your config folder
(`~/.config/camscribe`, on a Mac also `~/Library/Application Support/camscribe`) and `/etc/camscribe`.

- **Durations** are written `500ms`, `30s`, `5m`, `1h30m`, `1d`; **sizes** `500MB`, `5GB`. A bare number is a fault.
- **Paths** may begin with `~`; a relative one counts from the config file's folder.
- **`${VAR}`** in a text is the environment's variable, `${VAR:-default}` has a default for one that is missing or
  empty, `${file:/path}` is a file's content without its last line end (Docker and systemd secrets). `$${` is a literal
  `${`. In a URL's `user:password@` part what is filled in is percent-quoted, so a password may have any character.
- Everything that came from a `${…}` into a password or a token is kept out of logs and messages.
- A camera's, captioner's or output's **name** has lower case letters, digits and single underscores.
- YAML tags, merge keys (`<<`), several documents and files above 1 MiB are not taken.

"""

_QUESTIONS = """## `questions:` each of them

A text alone is a question that is answered in a few words. Any other is a mapping with `type:` and these keys.
docs/questions.md has examples of each, and says what an answer's confidence is.
"""

_ENVIRONMENT = """## The environment over the file

`CAMSCRIBE_` and the key's path in capitals, joined by two underscores: `CAMSCRIBE_CAMERAS__FRONT_DOOR__EVERY=10s`. A
mapping or a list is given as JSON: `CAMSCRIBE_CAMERAS__FRONT_DOOR__CROP='[0, 0.2, 1, 0.9]'`. Values are taken as they
are: no `${…}` is filled in. A variable that begins so and names no key is a fault. These mean something else:

| variable | what it is |
| --- | --- |
"""


P = TypeVar("P", bound=type)


def markdown(registry: Registry) -> str:
    """The whole page."""
    return "\n".join(_lines(registry)).replace("``", "`").rstrip() + "\n"


def _lines(registry: Registry) -> Iterator[str]:
    yield _HEAD
    yield from _section("## The top level", Document)
    yield from _section("## `cameras:` each of them", CameraOptions)
    yield _QUESTIONS
    for question in get_args(Question):
        yield f"### `type: {fixed(question)['type']}`\n\n{_doc(question)}"
        yield from _table(question, leave_out=fixed(question))
    yield from _plugins("source", registry, "`source:`", "The long form is a mapping with `use:` and these keys.")
    yield from _section("## `model:` and `captioners:` each of them", CaptionerOptions)
    yield from _plugins("captioner", registry, "`use:`", "")
    yield from _section("## `outputs:` each of them", OutputOptions)
    yield from _plugins("output", registry, "`use:`", "")
    yield from _section("## `web:`", WebSettings)
    yield from _section("## `keep:`", KeepSettings)
    yield _ENVIRONMENT + "\n".join(f"| `{name}` | {told} |" for name, told in OTHER_VARIABLES.items())


def _section(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"{title}\n\n{_doc(model)}"
    yield from _table(model)


def _plugins(kind: str, registry: Registry, key: str, told: str) -> Iterator[str]:
    ours = keys_of(OutputOptions) if kind == "output" else ()
    for name, plugin in sorted(registry.of(kind).items()):
        schemes = ", ".join(f"`{scheme}:`" for scheme in getattr(plugin, "schemes", ()))
        yield f"### {key} {name}\n"
        yield " ".join(
            part for part in (_doc(plugin) or _doc(plugin.Config), schemes and f"Short form: {schemes}. {told}") if part
        )
        yield from _table(plugin.Config, leave_out=ours)


def _doc(item: type) -> str:
    return " ".join(inspect.cleandoc(item.__doc__ or "").split())


def _table(model: type[BaseModel], prefix: str = "", leave_out: Collection[str] = ()) -> Iterator[str]:
    if not prefix:
        yield "\n| key | what may stand there | left out | what it is |\n| --- | --- | --- | --- |"
    for key, field in keys_of(model).items():
        if key in leave_out:
            continue
        told = " ".join((field.description or "").replace("|", "\\|").split())
        yield f"| `{prefix}{key}` | {_type(field)} | {_default(field)} | {told} |"
        for inner in alternatives(field.annotation):
            if isinstance(inner, type) and issubclass(inner, BaseModel) and model is not Document:
                yield from _table(inner, f"{prefix}{key}.")
    if not prefix:
        yield ""


def _type(field: FieldInfo) -> str:
    if field.title:
        return field.title
    annotation = field.rebuild_annotation()
    names = dict.fromkeys(_names(annotation))
    return " or ".join(names).replace("|", "\\|")


def _names(annotation: Any) -> Iterable[str]:
    """What a person calls the type."""
    for known, name in ((Duration, "a duration"), (Size, "a size")):
        if annotation == known or (_same(annotation, known)):
            return [name]
    origin = get_origin(annotation)
    members = [one for one in get_args(annotation) if one is not type(None)]
    if origin is not None and len(list(alternatives(annotation))) > 1 and origin is not Literal:
        return [name for one in members if not _is_note(one) for name in _names(one)]
    return [_name(next(iter(alternatives(annotation))))]


def _is_note(one: Any) -> bool:
    return not isinstance(one, type) and get_origin(one) is None


def _same(annotation: Any, known: Any) -> bool:
    return known.__metadata__[0] in getattr(annotation, "__metadata__", ())


def _name(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value) if not isinstance(value, str) else value}`" for value in get_args(kind))
    if is_secret([kind]):
        return "a secret text" if origin is None else "a mapping of secret texts"
    kind = origin or kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    return next((name for base, name in _CALLED if isinstance(kind, type) and issubclass(kind, base)), "any value")


_CALLED: tuple[tuple[Any, str], ...] = (
    (bool, "`true` or `false`"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (PurePath, "a path"),
    (Mapping | BaseModel, "a mapping"),
    (list | tuple | set | frozenset, "a list"),
)


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required():
        return "**must be there**"
    if default is None or default is PydanticUndefined or isinstance(default, BaseModel) or default in ((), {}, ""):
        return ""
    if "a duration" in _type(field):
        return f"`{duration_text(default)}`"
    if "a size" in _type(field):
        return f"`{size_text(default)}`"
    plain = to_jsonable_python(default)
    return f"`{plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)}`"


def built_in() -> Registry:
    """The plugins that come with camscribe: what else this machine has is no part of its documentation."""
    every = Registry.discover(None)

    def own(plugins: Mapping[str, P]) -> dict[str, P]:
        return {name: plugin for name, plugin in plugins.items() if plugin.__module__.startswith("plugins.")}

    return Registry(own(every.sources), own(every.captioners), own(every.outputs))


if __name__ == "__main__":
    sys.stdout.write(markdown(built_in()))
