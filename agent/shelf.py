"""The models that captioner plugins keep on disk, and who in the config uses them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agent import control
from agent.config import Config, find, load
from agent.config.grammar import DEFAULT_PLUGIN
from agent.config.places import data_dir
from agent.errors import CamscribeError, Misconfigured
from agent.plugin import ModelInfo, Models, Progress
from agent.registry import NOTHING_INSTALLED, Registry
from agent.runtime import control_socket


@dataclass(frozen=True, slots=True)
class Entry:
    """A model, and what is known of it here."""

    info: ModelInfo
    plugin: str
    """The captioner plugin that serves it: ``use:`` in the config."""
    default: bool
    """Used where the config names none."""
    used_by: tuple[str, ...]
    """The captioners of the config that use it."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self.info), "plugin": self.plugin, "default": self.default, "used_by": list(self.used_by)}


@dataclass(frozen=True)
class Shelf:
    """What there is, by plugin."""

    data_dir: Path
    models: Mapping[str, Models]
    config: Config | None
    defaults: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path | None) -> Shelf:
        """With the config of that path or the usual places; without one where there is none. Raises Misconfigured."""
        config = _config(path)
        registry = config.registry if config else Registry.discover(None)
        if registry.empty:
            raise Misconfigured(f"There are no models, as {NOTHING_INSTALLED}.")
        folder = config.data_dir if config else data_dir(os.environ)
        log = logging.getLogger("camscribe.model")
        found = {name: plugin.models(folder, log) for name, plugin in registry.captioners.items()}
        models = {name: kept for name, kept in found.items() if kept is not None}
        return cls(folder, models, config, {name: _default(registry, name, kept) for name, kept in models.items()})

    async def entries(self) -> list[Entry]:
        """The default plugin's first."""
        listed = []
        for plugin in sorted(self.models, key=lambda name: (name != DEFAULT_PLUGIN, name)):
            for info in await self.models[plugin].known():
                default = info.name == self.defaults.get(plugin)
                listed.append(Entry(info, plugin, default, self._users(plugin, info.name)))
        return listed

    async def entry(self, name: str) -> Entry | None:
        return next((entry for entry in await self.entries() if entry.info.name == name), None)

    async def pull(self, name: str, progress: Callable[[Progress], None]) -> Path:
        return await (await self._keeper(name)).pull(name, progress)

    async def remove(self, name: str) -> int:
        return await (await self._keeper(name)).remove(name)

    async def service_runs(self) -> bool:
        try:
            await control.ask(control_socket(self.data_dir), {"do": "status"}, 5.0)
        except control.NotRunning:
            return False
        except CamscribeError:  # it runs, but gives no answer, or not to us
            return True
        return True

    async def _keeper(self, name: str) -> Models:
        """The plugin that knows it; a repository's name goes to the default one, and so does what nobody knows."""
        known = await self.entries()
        plugin = next((entry.plugin for entry in known if entry.info.name == name), None)
        if plugin is None and "/" not in name:
            names = [entry.info.name for entry in known]
            near = get_close_matches(name.lower()[:100], names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise Misconfigured(
                f"There is no model '{name}'.{hint} There are {', '.join(name for name in names if '/' not in name)}, "
                "and owner/repo:quantisation of what is on Hugging Face."
            )
        if (plugin or DEFAULT_PLUGIN) not in self.models:
            raise Misconfigured(f"The captioner plugin {DEFAULT_PLUGIN} can't be loaded; camscribe doctor says why.")
        return self.models[plugin or DEFAULT_PLUGIN]

    def _users(self, plugin: str, name: str) -> tuple[str, ...]:
        captioners = self.config.captioners if self.config else {}
        return tuple(
            captioner.name
            for captioner in captioners.values()
            if captioner.plugin.use == plugin and self.models[plugin].asked_for(captioner.plugin.options) == name
        )


def _config(path: Path | None) -> Config | None:
    try:
        place = find(path, os.environ)
    except Misconfigured:
        if path is not None or os.environ.get("CAMSCRIBE_CONFIG"):
            raise
        return None
    return load(place, os.environ)


def _default(registry: Registry, plugin: str, models: Models) -> str | None:
    try:
        return models.asked_for(registry.captioners[plugin].Config())
    except ValueError:  # a plugin that can't do without options has no default
        return None
