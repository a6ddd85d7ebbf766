"""The config's JSON schema, with the options of every installed plugin: for editors, and ``camscribe schema``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agent.config.grammar import (
    DEFAULT_PLUGIN,
    CameraOptions,
    CaptionerOptions,
    Document,
    OutputOptions,
)
from agent.registry import Registry
from agent.units import DURATION_SCHEMA, SIZE_SCHEMA, duration_text, size_text

_NAME = "^[a-z0-9]+(_[a-z0-9]+)*$"
_REF = "#/$defs/{model}"


def json_schema(registry: Registry) -> dict[str, Any]:
    """The whole grammar, as JSON schema 2020-12."""
    shapes = _Shapes(registry)
    schema = shapes.of(Document)
    properties = schema["properties"]
    properties["cameras"] = _described(properties["cameras"], _entries(shapes.camera()) | {"minProperties": 1})
    captioners = {name: shapes.plugin("captioner", name, CaptionerOptions) for name in registry.captioners}
    properties["captioners"] = _described(properties["captioners"], _by_name(captioners))
    properties["model"] = _described(properties["model"], _any_of(captioners, DEFAULT_PLUGIN))
    outputs = {name: shapes.plugin("output", name, OutputOptions) for name in registry.outputs}
    properties["outputs"] = _described(properties["outputs"], _by_name(outputs))
    for section in ("model", "captioners", "outputs", "web", "keep"):
        # A heading with nothing below it.
        properties[section] = _described(properties[section], {"anyOf": [{"type": "null"}, properties[section]]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "camscribe's config.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": shapes.definitions,
    }


class _Shapes:
    """The models' own schemas, their shared definitions gathered in one place."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        plugins = [plugin for kind in ("source", "captioner", "output") for plugin in registry.of(kind).values()]
        core: list[type[BaseModel]] = [Document, CameraOptions, CaptionerOptions, OutputOptions]
        models = dict.fromkeys([*core, *(plugin.Config for plugin in plugins)])
        refs, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
        self._refs = {model: ref["$ref"].rsplit("/", 1)[1] for (model, _), ref in refs.items()}
        self.definitions: dict[str, Any] = schema["$defs"]
        _write_defaults(self.definitions)
        self._own = {model: self.definitions[name] for model, name in self._refs.items()}
        for name in self._refs.values():
            self.definitions.pop(name, None)

    def of(self, model: type[BaseModel]) -> dict[str, Any]:
        return {**self._own[model], "properties": dict(self._own[model].get("properties", {}))}

    def plugin(self, kind: str, name: str, ours: type[BaseModel]) -> dict[str, Any]:
        """One plugin's entry: our keys and its own in one mapping."""
        config = self.of(self._registry.of(kind)[name].Config)
        core = self.of(ours)["properties"] if ours is not CaptionerOptions else {}
        use = {"const": name, "description": f"The {kind} plugin."}
        key = f"{kind}_{name}"
        self.definitions[key] = {
            **config,
            "title": name,
            "properties": {**config["properties"], **core, "use": use},
            "additionalProperties": False,
        }
        return {"$ref": _REF.format(model=key)}

    def camera(self) -> dict[str, Any]:
        camera = self.of(CameraOptions)
        sources = self._registry.sources
        schemes = sorted({scheme for source in sources.values() for scheme in source.schemes})
        short = {"type": "string", "pattern": rf"^(\$\{{|({'|'.join(schemes)})(:|$))", "examples": ["demo"]}
        long = _any_of({name: self.plugin("source", name, CaptionerOptions) for name in sources})
        forms = {"anyOf": [short, *long["anyOf"]]}
        camera["properties"]["source"] = _described(camera["properties"]["source"], forms)
        self.definitions["camera"] = camera
        return {"$ref": _REF.format(model="camera")}


def _write_defaults(part: Any) -> None:
    """A duration's and a size's default as a person would write it."""
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _write_defaults(value)
    if isinstance(part, dict) and isinstance(part.get("default"), float | int):
        patterns = {one.get("pattern") for one in [part, *part.get("anyOf", [])]}
        for schema, text in ((DURATION_SCHEMA, duration_text), (SIZE_SCHEMA, size_text)):
            if schema["pattern"] in patterns:
                part["default"] = text(part["default"])


def _entries(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": {"pattern": _NAME}, "additionalProperties": value}


def _any_of(plugins: Mapping[str, Any], assumed: str | None = None) -> dict[str, Any]:
    """Each by its ``use``, which one of them may do without."""
    forms = [ref if name == assumed else {**ref, "required": ["use"]} for name, ref in plugins.items()]
    return {"anyOf": forms}


def _by_name(plugins: Mapping[str, Any]) -> dict[str, Any]:
    """Entries by name; one that bears a plugin's name needs no ``use``, may be empty, and may name another plugin."""
    named = {name: {"anyOf": [{"type": "null"}, *_any_of(plugins, name)["anyOf"]]} for name in plugins}
    return _entries(_any_of(plugins)) | {"properties": named}


def _described(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {**new, "description": old.get("description", "")}
