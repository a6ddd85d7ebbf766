"""A whole config's plain values as settings, or as problems: all of them, the plugins' own too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from agent.config import grammar
from agent.config.checker import Checker
from agent.config.choices import Choices
from agent.config.faults import Path_
from agent.config.grammar import DEFAULT, DEFAULT_PLUGIN, name_fault
from agent.config.sentences import Found
from agent.config.shapes import keys_of
from agent.registry import Registry

_INSTEAD_OF_A_LIST = {
    "cameras": "found a list; a mapping is allowed. Instead of '- name: front_door' write 'front_door:', and below it, "
    "indented, 'source: rtsp://…' and the rest",
    "captioners": "found a list; a mapping is allowed. Instead of '- name: second' write 'second:', and its options "
    "below it, indented",
    "outputs": "found a list; a mapping is allowed. Instead of '- use: mqtt' write 'mqtt:', and its options below it, "
    "indented",
}


@dataclass
class Read:
    """What came of it; whole only where there are no problems."""

    document: grammar.Document | None = None
    captioners: dict[str, grammar.CaptionerSettings] = field(default_factory=dict)
    cameras: dict[str, grammar.CameraSettings] = field(default_factory=dict)
    outputs: dict[str, grammar.OutputSettings] = field(default_factory=dict)


class Reader:
    """One pass over a config's values."""

    def __init__(self, registry: Registry, checker: Checker) -> None:
        self._captioners = registry.captioners
        self._checker = checker
        self._choices = Choices(registry, checker)

    def read(self, data: Any) -> Read:
        result = Read()
        data = {} if data is None else data
        if not isinstance(data, Mapping):
            self._checker.problem((), f"found {Found(data, hidden=True)}; a mapping with 'cameras:' in it is allowed")
            return result
        data = self._sections(data)
        cameras, captioners = self._entries(data, "cameras"), self._entries(data, "captioners")
        self._checker.context |= {"cameras": list(cameras), "captioners": [DEFAULT, *captioners]}
        for name, entry in {DEFAULT: data.get("model"), **captioners}.items():
            path: Path_ = ("model",) if name == DEFAULT else ("captioners", name)
            if found := self._captioner(name, entry, path):
                result.captioners[name] = found
        for name, entry in cameras.items():
            if camera := self._camera(name, entry):
                result.cameras[name] = camera
        for name, entry in self._entries(data, "outputs").items():
            if output := self._output(name, entry):
                self._check_place(output, result.outputs)
                result.outputs[name] = output
        result.document = self._document(data)
        return result

    def _sections(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """An empty section is as good as none; the environment's JSON is decoded."""
        empty: dict[str, Any] = {"model": {}, "captioners": {}, "outputs": {}, "web": {}, "keep": {}}
        return {
            key: self._checker.json(value, (key,)) if value is not None else empty.get(key)
            for key, value in data.items()
            if not (value is None and key == "cameras")
        }

    def _entries(self, data: Mapping[str, Any], section: str) -> dict[str, Any]:
        entries = data.get(section)
        if not isinstance(entries, Mapping):
            return {}
        for name in entries:
            if fault := name_fault(name, section[:-1], grammar.RESERVED if section == "cameras" else ()):
                self._checker.problem((section, name), fault)
        if section == "captioners" and DEFAULT in entries:
            self._checker.problem((section, DEFAULT), "the captioner 'default' is described by 'model:' at the top")
        return {name: entry for name, entry in entries.items() if (section, name) != ("captioners", DEFAULT)}

    def _document(self, data: dict[str, Any]) -> grammar.Document | None:
        if data.get("web") == "false":  # the environment gives texts only
            data = {**data, "web": False}
        for section in ("cameras", "captioners", "outputs"):
            if isinstance(data.get(section), list | tuple):
                self._checker.problem((section,), _INSTEAD_OF_A_LIST[section])
                data = {**data, section: {"": {}}}
        if data.get("cameras", {}) == {}:
            example = "'cameras: {front_door: {source: rtsp://…, every: 30s}}'"
            self._checker.problem(("cameras",), f"there is no camera: add one, such as {example}")
            data = {**data, "cameras": {}}
        return self._checker.validate(grammar.Document, data, ())

    def _mapping(self, entry: Any, path: Path_, what: str) -> dict[str, Any] | None:
        entry = self._checker.json(entry, path)
        if isinstance(entry, Mapping):
            return dict(entry)
        self._checker.problem(path, f"found {self._checker.found(entry, path)}; {what} is allowed")
        return None

    def _captioner(self, name: str, entry: Any, path: Path_) -> grammar.CaptionerSettings | None:
        options = self._mapping({} if entry is None else entry, path, "a mapping such as {preset: smolvlm-500m}")
        if options is None:
            return None
        core = self._checker.validate(grammar.CaptionerOptions, _only(options, grammar.CaptionerOptions), path)
        if core is None:
            return None
        named = name if name in self._captioners and name != DEFAULT else DEFAULT_PLUGIN
        plugin = self._choices.plugin("captioner", core.use or named, options, path, core)
        return grammar.CaptionerSettings(name=name, plugin=plugin) if plugin else None

    def _output(self, name: str, entry: Any) -> grammar.OutputSettings | None:
        path: Path_ = ("outputs", name)
        options = self._mapping({} if entry is None else entry, path, "a mapping of the output's options")
        if options is None:
            return None
        core = self._checker.validate(grammar.OutputOptions, _only(options, grammar.OutputOptions), path)
        use = name if options.get("use") is None else options["use"]
        # Where our own keys are wrong, the plugin's are looked at all the same.
        known = core or grammar.OutputOptions()
        plugin = self._choices.plugin("output", use, options, path, known) if isinstance(use, str) else None
        if core is None or plugin is None:
            return None
        return grammar.OutputSettings(**{**dict(core), "name": name, "plugin": plugin})

    def _check_place(self, output: grammar.OutputSettings, others: Mapping[str, grammar.OutputSettings]) -> None:
        place = output.plugin.type.place(output.plugin.options)
        for name, other in others.items():
            if place is not None and place == other.plugin.type.place(other.plugin.options):
                told = f"'{name}' and '{output.name}' would both speak for camscribe at {place}: take one of them out"
                self._checker.problem(("outputs", output.name), told)

    def _camera(self, name: str, entry: Any) -> grammar.CameraSettings | None:
        path: Path_ = ("cameras", name)
        options = self._mapping(
            {} if entry is None else entry, path, "a mapping such as {source: rtsp://…, every: 30s}"
        )
        if options is None:
            return None
        core = self._checker.validate(grammar.CameraOptions, options, path)
        source = self._choices.source(options["source"], (*path, "source")) if "source" in options else None
        if core is None or source is None:
            return None
        return grammar.CameraSettings(**{**dict(core), "id": name, "source": source})


def _only(options: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    keys = keys_of(model)
    return {key: value for key, value in options.items() if key in keys}
