"""What is different between two configs, in words for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from agent.config.grammar import DEFAULT, Config

FIXED = ("controls", "data_dir", "plugins_dir", "web")
"""What only a new process can take over."""


def changes(old: Config, new: Config) -> list[str]:
    """``camera door (prompt, every)``, ``output mqtt added`` and so on; empty where nothing that can change did."""
    return [
        *_captioners(old, new),
        *_section("camera", old.cameras, new.cameras),
        *_section("output", old.outputs, new.outputs),
        *(["keep"] if old.keep != new.keep else []),
        *(["reload"] if old.reload != new.reload else []),
    ]


def need_restart(old: Config, new: Config) -> list[str]:
    """The keys that have changed and can't change while camscribe runs."""
    return [key for key in FIXED if getattr(old, key) != getattr(new, key)]


def _captioners(old: Config, new: Config) -> Iterator[str]:
    for told in _section("captioner", old.captioners, new.captioners):
        yield told.replace(f"captioner {DEFAULT} ", "model ", 1)


def _section(what: str, old: Mapping[str, BaseModel], new: Mapping[str, BaseModel]) -> Iterator[str]:
    for name in old:
        if name not in new:
            yield f"{what} {name} removed"
    for name, settings in new.items():
        if name not in old:
            yield f"{what} {name} added"
        elif keys := _keys(_flat(old[name]), _flat(settings)):
            yield f"{what} {name} ({', '.join(keys)})"


def _flat(settings: BaseModel) -> dict[str, Any]:
    """The keys as the file has them: a captioner's or an output's plugin has its options beside the rest."""
    flat = _options(settings)
    plugin = flat.pop("plugin", None)
    return flat | ({"use": plugin.use, **_options(plugin.options)} if plugin else {})


def _options(settings: BaseModel) -> dict[str, Any]:
    """Without what a model has worked out of them for itself and keeps."""
    return {key: getattr(settings, key) for key in type(settings).model_fields}


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key)]
