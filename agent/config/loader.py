"""A config, from its file or from given values: read, layered, filled in, checked. Every fault at once, or a Config."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.config import places, text
from agent.config.checker import Checker, TooMany
from agent.config.environment import BETWEEN, PREFIX, Layered, layer
from agent.config.faults import ENVIRONMENT, ConfigFaults, Fault, Path_, Problem, closest, dotted
from agent.config.grammar import Config, Document, WebSettings
from agent.config.reader import Read, Reader
from agent.config.secrets import secrets_of
from agent.config.variables import Expander, Expansion
from agent.errors import Misconfigured
from agent.redact import Redactor
from agent.registry import Registry

Discover = Callable[[Path | None], Registry]


def load(path: Path, environ: Mapping[str, str] = os.environ, discover: Discover = Registry.discover) -> Config:
    """The config of a file. Raises ConfigFaults."""
    try:
        with path.open("rb") as file:
            raw = file.read(text.LARGEST + 1)
    except OSError as error:
        fault = Fault(str(path), None, "", f"the file can't be read: {error.strerror}")
        raise ConfigFaults(str(path), [fault]) from None
    return _Loading(str(path), path, path.absolute().parent, environ, discover).config(text.read(raw))


def parse(
    data: Mapping[str, Any],
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    discover: Discover = Registry.discover,
    name: str = "the given config",
) -> Config:
    """The config of given values, checked as a file's would be. Raises ConfigFaults, whose faults have no lines."""
    tree = text.Tree(data=data)
    return _Loading(name, None, folder or Path.cwd(), environ or {}, discover).config(tree)


class _Loading:
    def __init__(
        self, name: str, path: Path | None, folder: Path, environ: Mapping[str, str], discover: Discover
    ) -> None:
        self._name = name
        self._path = path
        self._folder = folder
        self._environ = environ
        self._discover = discover

    def config(self, tree: text.Tree) -> Config:
        """Raises ConfigFaults."""
        layered = layer(tree.data, self._environ)
        if tree.broken:
            raise self._faults(tree, layered, tree.problems, ())
        expansion = Expander(self._environ, self._folder).expand(layered.data, keep=frozenset(layered.variables))
        problems = [*tree.problems, *expansion.problems]
        registry = self._registry(expansion.data, problems)
        checker = Checker(self._folder, written=tree.written, hidden=expansion.pieces, variables=layered.variables)
        try:
            result = Reader(registry, checker).read(expansion.data)
        except TooMany:
            rest = f"more than {len(checker.problems)} things are wrong; the rest was not looked at"
            problems += [*checker.problems, Problem((), rest)]
            raise self._faults(tree, layered, problems, _hidden_texts(expansion, checker)) from None
        problems += checker.problems
        data_dir = self._data_dir(result.document, problems)
        if problems or layered.faults or result.document is None or data_dir is None:
            raise self._faults(tree, layered, problems, _hidden_texts(expansion, checker))
        return self._whole(result, result.document, registry, data_dir, expansion, checker)

    def _registry(self, data: Any, problems: list[Problem]) -> Registry:
        """Before everything else is checked: the plugins say what their options may be."""
        named = data.get("plugins_dir") if isinstance(data, Mapping) else None
        if not isinstance(named, str | Path):
            return self._discover(None)
        try:
            return self._discover(Path(self._folder, Path(named).expanduser()))
        except (Misconfigured, RuntimeError) as error:
            problems.append(Problem(("plugins_dir",), str(error)))
        except OSError as error:
            problems.append(Problem(("plugins_dir",), f"the folder can't be read: {error.strerror}"))
        return self._discover(None)

    def _data_dir(self, document: Document | None, problems: list[Problem]) -> Path | None:
        if document and document.data_dir:
            return document.data_dir
        try:
            return places.data_dir(self._environ)
        except Misconfigured as error:
            problems.append(Problem(("data_dir",), str(error)))
            return None

    def _whole(
        self, read: Read, document: Document, registry: Registry, data_dir: Path, expansion: Expansion, checker: Checker
    ) -> Config:
        options: list[BaseModel] = [camera.source.options for camera in read.cameras.values()]
        options += [captioner.plugin.options for captioner in read.captioners.values()]
        options += [output.plugin.options for output in read.outputs.values()]
        return Config(
            path=self._path,
            registry=registry,
            captioners=read.captioners,
            cameras=read.cameras,
            outputs=read.outputs,
            web=document.web if isinstance(document.web, WebSettings) else None,
            keep=document.keep,
            reload=document.reload,
            controls=document.controls,
            data_dir=data_dir,
            plugins_dir=document.plugins_dir,
            secrets=secrets_of(options, expansion.pieces, checker.secret_paths),
        )

    def _faults(
        self, tree: text.Tree, layered: Layered, problems: Iterable[Problem], hidden: Iterable[str]
    ) -> ConfigFaults:
        """Each problem at the place where its path was written, once a place, in the file's order."""
        redactor = Redactor(hidden)
        faults: dict[tuple[str, int | None, str], Fault] = {}
        for problem in problems:
            file, line, key, message = self._place(problem, tree, layered)
            faults.setdefault((file, line, key), Fault(file, line, key, redactor.redact(message)))
        found = sorted(faults.values(), key=lambda fault: (fault.file == ENVIRONMENT, fault.line or 0))
        return ConfigFaults(self._name, [*found, *layered.faults])

    def _place(self, problem: Problem, tree: text.Tree, layered: Layered) -> tuple[str, int | None, str, str]:
        path = problem.path
        if problem.line is not None:
            return self._name, problem.line, dotted(path), problem.message
        for length in range(len(path), -1, -1):
            near = path[:length]
            if variable := layered.variables.get(near):
                told = problem.message if near == path else f"{dotted(path)}: {problem.message}"
                return ENVIRONMENT, None, variable, told
            if near in tree.lines:
                return self._name, tree.lines[near], dotted(path), problem.message
            below = next((given for given in layered.variables if length and given[:length] == near), None)
            if below:
                told = f"{dotted(path)} {problem.message}{_other_name(below, tree)}"
                return ENVIRONMENT, None, layered.variables[below], told
        return self._name, None if self._path is None else 1, dotted(path), problem.message


def _other_name(variable: Path_, tree: text.Tree) -> str:
    """A variable for an entry that the file has not may be a misspelled one."""
    entries = tree.data.get(variable[0]) if isinstance(tree.data, Mapping) else None
    near = closest(str(variable[1]), entries) if isinstance(entries, Mapping) and len(variable) > 1 else None
    if near is None:
        return ""
    meant = BETWEEN.join([str(variable[0]), near, *map(str, variable[2:])]).upper()
    return f". Did you mean {PREFIX}{meant}?"


def _hidden_texts(expansion: Expansion, checker: Checker) -> set[str]:
    """What no message may hold, even one that a plugin words."""
    filled = {piece.value for pieces in expansion.pieces.values() for piece in pieces}
    return filled | {text for path in checker.secret_paths if isinstance(text := _at(expansion.data, path), str)}


def _at(data: Any, path: Path_) -> Any:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data
