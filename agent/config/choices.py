"""Which plugin is meant, and its options: ``source: rtsp://…``, ``use: mqtt``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import BaseModel

from agent.config.checker import Checker, TooMany
from agent.config.faults import Path_, closest, did_you_mean, listed
from agent.config.grammar import CaptionerOptions, PluginChoice
from agent.config.sentences import Found, quoted
from agent.config.shapes import keys_of
from agent.plugin import Plugin, PluginConfig, Source
from agent.registry import NOTHING_INSTALLED, Registry
from agent.units import Seconds

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)(:|$)", re.IGNORECASE)

_ADDRESS = re.compile(
    r"([0-9]{1,3}(\.[0-9]{1,3}){3}|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(?=:[0-9]))(:[0-9]+)?(?=/|$)", re.IGNORECASE
)
_SAY_WHICH = " Say which with 'use:'"
_FILE = re.compile(r"^[^/]*\.(mp4|mkv|avi|mov|webm|ts|jpe?g|png|webp|ya?ml)$", re.IGNORECASE)


class Choices:
    """Finds plugins in the registry and checks what the config says for them."""

    def __init__(self, registry: Registry, checker: Checker) -> None:
        self._registry = registry
        self._checker = checker

    def source(self, given: Any, path: Path_) -> PluginChoice | None:
        given = self._checker.json(given, path)
        if isinstance(given, str):
            return self._short_source(given, path)
        if not isinstance(given, Mapping):
            found = self._checker.found(given, path)
            self._checker.problem(path, f"found {found}; {self._source_forms()} is allowed")
            return None
        if "use" not in given:
            self._checker.problem(path, self._no_use(given))
            return None
        use = given["use"]
        if not isinstance(use, str):
            self._checker.problem(
                (*path, "use"), f"found {self._checker.found(use, path)}; the name of a source plugin is allowed"
            )
            return None
        return self.plugin("source", use, given, path, CaptionerOptions())

    def _short_source(self, text: str, path: Path_) -> PluginChoice | None:
        scheme = _SCHEME.match(text)
        word = scheme[1].lower() if scheme else ""
        takers = {name: source for name, source in self._registry.sources.items() if word in source.schemes}
        if len(takers) > 1:
            self._checker.problem(
                path, f"'{word}' is taken by the plugins {listed(takers, 'and')}: name one with 'use:'"
            )
        elif not takers:
            self._checker.problem(path, self._no_taker(text, word, path))
        else:
            ((use, source),) = takers.items()
            if (options := self._options_of(use, source, text, path)) is not None:
                return self._choice(
                    use, source, lambda: self._checker.validate_short(source.Config, options, path, text), path
                )
        return None

    def _options_of(self, use: str, source: type[Source[Any]], text: str, path: Path_) -> dict[str, Any] | None:
        try:
            return dict(source.from_short(text))
        except Exception as error:  # noqa: BLE001 (a plugin's own code; whatever it is, it is a fault with a place)
            told = str(error) if isinstance(error, ValueError) else f"the plugin {use} failed on it: {_told(error)}"
            self._checker.problem(path, told)
            return None

    def _no_taker(self, text: str, word: str, path: Path_) -> str:
        for name in (word, word.rstrip("s")):
            if reason := self._registry.failures.get(("source", name)):
                return f"the source plugin '{name}' could not be loaded: {reason}"
        if self._registry.empty:
            return NOTHING_INSTALLED
        schemes = [scheme for source in self._registry.sources.values() for scheme in source.schemes]
        near = _unspoken(word, schemes) or (did_you_mean(word, schemes) if word else "")
        found = self._checker.found(text, path)
        if "usb" in schemes and text.startswith("/dev/"):
            near = f" Write 'usb:{text}'"
        if "://" not in text and "@" in text:  # a login, and no scheme by which to know it for one
            found = Found(f"***@{address_of(text)}", hidden=found.hidden)
        hint = near
        if not hint and "rtsp" in schemes and not found.hidden and (address := address_of(text)):
            hint = f" Write 'rtsp://{address}/…', with the path of its stream, if a network camera is meant"
        return f"found {found}; {self._source_forms()} is allowed{'.' if hint else ''}{hint}"

    def _source_forms(self) -> str:
        schemes = sorted({scheme for source in self._registry.sources.values() for scheme in source.schemes})
        return f"a text that begins with {listed(f'{scheme}:' for scheme in schemes)}" if schemes else "a source"

    def _no_use(self, given: Mapping[str, Any]) -> str:
        known = [*self._registry.sources, *(s for one in self._registry.sources.values() for s in one.schemes)]
        if len(given) == 1 and (name := next(iter(given))) in known:
            if given[name] is None:
                return f"found a mapping, because of the colon behind '{name}': write 'source: {name}'"
            return f"found a mapping without 'use:'. Write 'use: {name}' and its options beside it"
        return f"'use:' is missing; it names the source plugin: {listed(sorted(self._registry.sources))}"

    def plugin(
        self, kind: str, use: str, entry: Mapping[str, Any], path: Path_, ours: BaseModel
    ) -> PluginChoice | None:
        """``entry``: the mapping as it stands; ``ours``: camscribe's own keys of it, checked. The rest is its own."""
        plugin = self._registry.of(kind).get(use)
        if plugin is None:
            named = entry.get("use") is not None
            fit = "" if named else self._with_use(kind, entry, type(ours))
            self._checker.problem((*path, "use") if named else path, self._no_plugin(kind, use, fit))
            return None
        our_keys = keys_of(type(ours))
        own = {key: value for key, value in entry.items() if key not in our_keys} | _shared(plugin.Config, ours)
        return self._choice(use, plugin, lambda: self._checker.validate(plugin.Config, own, path, our_keys), path)

    def _with_use(self, kind: str, entry: Mapping[str, Any], ours: type[BaseModel]) -> str:
        """For an entry that is named after no plugin: the one plugin that its options fit, where there is one."""
        own = {key: value for key, value in entry.items() if key not in keys_of(ours)}
        plugins = self._registry.of(kind)
        fitting = [name for name, plugin in plugins.items() if own and _fits(plugin.Config, own, self._checker.context)]
        return f" Say which with 'use: {fitting[0]}'" if len(fitting) == 1 else _SAY_WHICH

    def _no_plugin(self, kind: str, use: str, otherwise: str) -> str:
        if reason := self._registry.failures.get((kind, use)):
            return f"the {kind} plugin '{use}' could not be loaded: {reason}"
        if self._registry.empty:
            return NOTHING_INSTALLED
        known = sorted(self._registry.of(kind))
        misnamed = self._registry.misnamed(kind)
        meant = closest(use, misnamed) or (next(iter(misnamed), None) if otherwise in ("", _SAY_WHICH) else None)
        unspoken = _unspoken(use, known) if kind == "source" else ""
        near = unspoken or did_you_mean(use, known) or (f" {misnamed[meant]}" if meant else otherwise)
        return f"there is no {kind} plugin {quoted(use)}; there {'are' if len(known) != 1 else 'is'} " + (
            f"{listed(known, 'and')}.{near}" if known else "none"
        )

    def _choice(
        self, use: str, plugin: type[Plugin[Any]], check: Callable[[], PluginConfig | None], path: Path_
    ) -> PluginChoice | None:
        try:
            options = check()
        except TooMany:
            raise
        except Exception as error:  # noqa: BLE001 (a plugin's validator; pydantic keeps only ValueErrors)
            self._checker.problem(path, f"the plugin {use} failed while it checked its options: {_told(error)}")
            return None
        return PluginChoice(use, plugin, options) if options else None


def _fits(config: type[PluginConfig], options: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    try:
        config.model_validate(options, context=dict(context))
    except Exception:  # noqa: BLE001 (a plugin's own validators; this only looks for a hint)
        return False
    return True


def _unspoken(word: str, known: Collection[str]) -> str:
    """``rtmp`` is one letter from ``rtsp``, but no slip of the hand: with that letter changed it would not work."""
    if not word.lower().startswith("rtmp") or "rtsp" not in known:
        return ""
    return " camscribe doesn't speak RTMP; most cameras have an rtsp:// address too"


def address_of(text: str) -> str | None:
    """The host and port that a text without a scheme begins with, without a login before it."""
    login, at, rest = text.rpartition("@")
    found = _ADDRESS.match(rest)
    return found[0] if found and (at or not _FILE.search(rest)) and "://" not in login else None


def _shared(config: type[PluginConfig], ours: BaseModel) -> dict[str, Any]:
    """What the user gave for keys of ours that the plugin declares as well, such as an output's ``timeout``."""
    given = {key: getattr(ours, key) for key in keys_of(config) if key in ours.model_fields_set}
    return {key: Seconds(value) if isinstance(value, float) else value for key, value in given.items()}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
