"""Finds plugins: entry points, for the built-in ones and third parties alike, and the files of the plugins folder.

A plugin that can't be loaded is kept in ``failures`` with its reason. It takes no other down, and is a fault only where
the config uses it.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from agent.errors import Misconfigured
from agent.plugin import Captioner, Output, Plugin, PluginConfig, Source

CONTRACTS: Mapping[str, type[Plugin[Any]]] = {"source": Source, "captioner": Captioner, "output": Output}
"""The kinds of plugin, each with the class to subclass. Its entry-point group is ``camscribe.<kind>s``."""

NOTHING_INSTALLED = "no plugins are installed: run `make demo` or `pip install -e .`"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class _Unusable(Exception):
    """Why one plugin can't be used."""


@dataclass(frozen=True)
class Registry:
    """Every plugin that could be loaded, by kind and name."""

    sources: Mapping[str, type[Source[Any]]] = field(default_factory=dict)
    captioners: Mapping[str, type[Captioner[Any]]] = field(default_factory=dict)
    outputs: Mapping[str, type[Output[Any]]] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """``("output", "mqtt")`` -> why it could not be loaded. A file that fails to import has an entry for each kind."""

    def of(self, kind: str) -> Mapping[str, type[Plugin[Any]]]:
        """The plugins of one kind: source, captioner or output."""
        return {"source": self.sources, "captioner": self.captioners, "output": self.outputs}[kind]

    def misnamed(self, kind: str) -> Mapping[str, str]:
        """Files of the plugins folder that no config could name, with what is wrong."""
        named = {name: reason for (failed, name), reason in self.failures.items() if failed == kind}
        return {name: reason for name, reason in named.items() if not _NAME.fullmatch(name)}

    @property
    def empty(self) -> bool:
        """Nothing was even found: a source checkout that was never installed."""
        return not (self.sources or self.captioners or self.outputs or self.failures)

    @classmethod
    def discover(cls, plugins_dir: Path | None) -> Registry:
        """Load them all. Raises Misconfigured where the folder itself can't be used."""
        found = _Findings()
        for kind in CONTRACTS:
            for point in entry_points(group=f"camscribe.{kind}s"):
                found.entry_point(kind, point)
        if plugins_dir is not None:
            for file in _plugin_files(plugins_dir):
                found.file(file)
        return found.registry()


@dataclass
class _Found:
    plugin: type[Plugin[Any]]
    origin: str


class _Findings:
    """What turns up on the way, before clashes are settled."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[_Found]] = {}
        self._failures: dict[tuple[str, str], str] = {}

    def entry_point(self, kind: str, point: EntryPoint) -> None:
        try:
            plugin = point.load()
            _check(kind, plugin)
        except _Unusable as error:
            self._failures[kind, point.name] = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin's import may raise anything; it is kept as the reason)
            self._failures[kind, point.name] = _reason(error)
        else:
            known = self._found.setdefault((kind, point.name), [])
            if all(other.plugin is not plugin for other in known):
                known.append(_Found(plugin, f"{point.dist.name if point.dist else 'a package'} ({point.value})"))

    def file(self, file: Path) -> None:
        try:
            classes = _classes(_load(file))
        except _Unusable as error:
            self._unusable(file, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (as above)
            self._unusable(file, _reason(error))
        else:
            for kind, plugin in classes.items():
                try:
                    _check(kind, plugin)
                except _Unusable as error:
                    self._failures[kind, file.stem] = f"{file}: {error}"
                else:
                    self._found.setdefault((kind, file.stem), []).append(_Found(plugin, str(file)))

    def _unusable(self, file: Path, reason: str) -> None:
        for kind in CONTRACTS:
            self._failures.setdefault((kind, file.stem), f"{file}: {reason}")

    def registry(self) -> Registry:
        kinds: dict[str, dict[str, Any]] = {kind: {} for kind in CONTRACTS}
        for (kind, name), found in sorted(self._found.items()):
            if len(found) == 1:
                kinds[kind][name] = found[0].plugin
                # The name has a plugin of this kind; what else bears it could only have been of another kind.
                self._failures.pop((kind, name), None)
            else:
                origins = " and ".join(sorted(one.origin for one in found))
                self._failures[kind, name] = f"the name is taken twice, by {origins}: rename one"
        return Registry(kinds["source"], kinds["captioner"], kinds["output"], dict(sorted(self._failures.items())))


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _check(kind: str, plugin: Any) -> None:
    contract = CONTRACTS[kind]
    if not isinstance(plugin, type) or not issubclass(plugin, contract):
        raise _Unusable(f"{getattr(plugin, '__name__', plugin)!s} is no subclass of agent.plugin.{contract.__name__}")
    if inspect.isabstract(plugin):
        missing = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
        raise _Unusable(f"{plugin.__name__} does not define {missing}")
    if not issubclass(plugin.Config, PluginConfig):
        raise _Unusable(f"{plugin.__name__}.Config is no PluginConfig")
    bare = [name for name, option in plugin.Config.model_fields.items() if not option.description]
    if bare:
        raise _Unusable(f"{plugin.Config.__name__} has options without a description: {', '.join(bare)}")
    if issubclass(plugin, Source) and not (
        isinstance(plugin.schemes, tuple) and all(isinstance(scheme, str) for scheme in plugin.schemes)
    ):
        raise _Unusable(f"{plugin.__name__}.schemes is no tuple of texts, such as ('rtsp',)")


def _plugin_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise Misconfigured(f"there is no folder {folder}")
    if folder.stat().st_mode & stat.S_IWOTH:
        raise Misconfigured(f"anybody may write to {folder}, so anybody could run code here: chmod o-w {folder}")
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))


def _load(file: Path) -> ModuleType:
    if not _NAME.fullmatch(file.stem):
        meant = re.sub("[^a-z0-9]+", "_", file.stem.lower()).strip("_")
        hint = f": rename it to {meant}.py" if _NAME.fullmatch(meant) else ""
        raise _Unusable(f"a plugin file's name is lower case letters, digits and single underscores{hint}")
    if file.stat().st_mode & stat.S_IWOTH:
        raise _Unusable(f"anybody may write to it, so anybody could run code here: chmod o-w {file}")
    # Under a name of its own and never through sys.path: a plugin file called json.py must not become everybody's json.
    name = f"camscribe_plugins.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _classes(module: ModuleType) -> dict[str, type[Plugin[Any]]]:
    """By kind, what a plugin file defines itself."""
    own = [
        item
        for name, item in vars(module).items()
        if isinstance(item, type) and item.__module__ == module.__name__ and not name.startswith("_")
    ]
    classes: dict[str, type[Plugin[Any]]] = {}
    for kind, contract in CONTRACTS.items():
        match [item for item in own if issubclass(item, contract)]:
            case []:
                continue
            case [plugin]:
                classes[kind] = plugin
            case several:
                names = ", ".join(plugin.__name__ for plugin in several)
                raise _Unusable(f"it defines more than one {kind} ({names}): begin the helpers' names with _")
    if not classes:
        raise _Unusable("it defines no subclass of Source, Captioner or Output")
    return classes
