"""Values against a model: the validated model, or every problem with its path."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.config.faults import Path_, Problem, listed
from agent.config.sentences import Found, either, hides, sentence, unknown_key
from agent.config.shapes import (
    field_at,
    fitting,
    fixed,
    is_secret,
    keys_of,
    models_at,
    takes_only_numbers,
    takes_text,
    wanted_at,
)

M = TypeVar("M", bound=BaseModel)


MOST_PROBLEMS = 200


class TooMany(Exception):
    """So much is wrong that the rest is not looked at."""


class Checker:
    """Validates parts of one config and collects what is wrong with them."""

    def __init__(
        self, folder: Path, *, written: Mapping[Path_, str], hidden: Iterable[Path_], variables: Iterable[Path_]
    ) -> None:
        self.problems: list[Problem] = []
        self.secret_paths: set[Path_] = set()
        """Where a SecretStr stands."""
        self.context: dict[str, Any] = {"folder": folder}
        self._written = written
        self._hidden = frozenset(hidden)
        self._variables = tuple(variables)

    def problem(self, path: Path_, message: str) -> None:
        """Raises TooMany."""
        if len(self.problems) >= MOST_PROBLEMS:
            raise TooMany
        self.problems.append(Problem(path, message))

    def found(self, value: Any, path: Path_, *, secret: bool = False) -> Found:
        """A value as a message may show it."""
        secret = secret or path in self._hidden or any(hides(step) for step in path[1:])
        return Found(value, self._written.get(path), secret)

    def json(self, value: Any, path: Path_) -> Any:
        """A mapping or a list that an environment variable gives whole."""
        if not (path in self._variables and isinstance(value, str) and value.lstrip()[:1] in ("{", "[")):
            return value
        try:
            return json.loads(value)
        except ValueError:
            self.problem(path, "found a text that begins like JSON and is none")
            return value

    def validate_short(self, model: type[M], raw: dict[str, Any], path: Path_, text: str) -> M | None:
        """As ``validate``, of values that one text stands for: what is wrong with them is wrong with the text."""
        secret = any(is_secret(wanted_at(model, rel)) for rel, _ in leaves(raw))
        if secret:
            self.secret_paths.add(path)
        try:
            return model.model_validate(raw, context=self.context)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                self.problem(path, sentence(one, self.found(text, path, secret=secret)))
        return None

    def validate(self, model: type[M], raw: dict[str, Any], path: Path_, also: Iterable[str] = ()) -> M | None:
        """The model of the values, or None and the problems. ``also``: keys that are read elsewhere, for the hints."""
        raw = self._decoded(model, raw, path)
        self._note_secrets(model, raw, path)
        result: M | None = None
        told: Collection[Path_] = ()
        try:
            result = model.model_validate(raw, context=self.context)
        except ValidationError as error:
            told = self._explain(model, raw, path, error.errors(include_url=False), also)
        truths = [rel for rel, value in leaves(raw) if isinstance(value, bool) and rel not in told]
        numbers = [self._truth(model, raw, rel, path) for rel in truths]
        return None if any(numbers) else result

    def _decoded(self, model: type[M], raw: dict[str, Any], path: Path_) -> dict[str, Any]:
        """With the JSON that variables give for what can't be a text."""
        below = [variable[len(path) :] for variable in self._variables if variable[: len(path)] == path != variable]
        raw = copy.deepcopy(raw) if below else raw
        for rel in below:
            *owners, last = rel
            owner = at(raw, tuple(owners))
            wanted = wanted_at(model, rel)
            if isinstance(owner, dict) and last in owner and wanted and not takes_text(wanted):
                owner[last] = self.json(owner[last], (*path, *rel))
        return raw

    def _note_secrets(self, model: type[M], raw: dict[str, Any], path: Path_) -> None:
        for rel, _ in leaves(raw):
            if is_secret(wanted_at(model, rel)):
                self.secret_paths.add((*path, *rel))

    def _truth(self, model: type[M], raw: dict[str, Any], rel: Path_, path: Path_) -> bool:
        """pydantic takes ``yes`` for the number 1: nobody means that."""
        wanted = wanted_at(model, rel)
        if not takes_only_numbers(wanted):
            return False
        whole = (*path, *rel)
        self.problem(whole, f"found {self.found(at(raw, rel), whole)}; a number is allowed")
        return True

    def _explain(
        self, model: type[M], raw: dict[str, Any], path: Path_, errors: list[ErrorDetails], also: Iterable[str]
    ) -> Collection[Path_]:
        """Tells each error, and returns where they are."""
        grouped: dict[Path_, list[ErrorDetails]] = {}
        for error in errors:
            grouped.setdefault(real_path(error, raw), []).append(error)
        for rel, group in grouped.items():
            # A union tells one error a member. Those deeper down know more than 'this should be false'. And a list is
            # called too short when its items are wrong.
            tagged = all(len(error["loc"]) > len(rel) or error["type"] == "too_short" for error in group)
            if tagged and any(other[: len(rel)] == rel != other for other in grouped):
                continue
            self.problem((*path, *rel), self._message(model, raw, path, rel, group, also))
        return grouped

    def _message(
        self,
        model: type[M],
        raw: dict[str, Any],
        path: Path_,
        rel: Path_,
        group: list[ErrorDetails],
        also: Iterable[str],
    ) -> str:
        error = group[0]
        if misnamed := next((error for error in group if error["loc"][-1:] == ("[key]",)), None):
            return sentence(misnamed, Found(rel[-1]))
        if error["type"] == "extra_forbidden":
            return self._unknown(model, raw, rel, also if len(rel) == 1 else ())
        if error["type"] == "missing":
            declared = field_at(model, rel)
            return sentence(error, Found(None), declared.description if declared else None)
        found = self.found(at(raw, rel), (*path, *rel), secret=is_secret(wanted_at(model, rel)))
        return either(group, found)

    def _unknown(self, model: type[M], raw: dict[str, Any], rel: Path_, also: Iterable[str]) -> str:
        owners, name = models_at(model, rel[:-1]), str(rel[-1])
        meant = fitting(owners, at(raw, rel[:-1]))
        if elsewhere := [one for owner in owners if name in keys_of(owner) for one in fixed(owner).items()]:
            told = listed(f"'{key}: {word}'" for key, word in elsewhere)
            return f"this key goes with {told}"
        return unknown_key(name, {*also, *(key for owner in meant for key in keys_of(owner))})


def real_path(error: ErrorDetails, raw: Any) -> Path_:
    """pydantic's location without the names of union members and validators: only steps that the values have."""
    path: list[str | int] = []
    missing = error["type"] in ("missing", "extra_forbidden")
    location = error["loc"]
    for i, step in enumerate(location):
        if _has(raw, step):
            raw = raw[step]
        elif not (missing and i == len(location) - 1 and isinstance(raw, Mapping)):
            continue
        path.append(step)
    return tuple(path)


def at(raw: Any, path: Path_) -> Any:
    """What stands at the path, or None."""
    for step in path:
        if not _has(raw, step):
            return None
        raw = raw[step]
    return raw


def _has(raw: Any, step: str | int) -> bool:
    if isinstance(raw, Mapping):
        return step in raw
    return isinstance(raw, list | tuple) and isinstance(step, int) and step < len(raw)


def leaves(raw: Any, path: Path_ = ()) -> Iterable[tuple[Path_, Any]]:
    """Every scalar with its path."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from leaves(value, (*path, key))
    elif isinstance(raw, list | tuple):
        for i, value in enumerate(raw):
            yield from leaves(value, (*path, i))
    else:
        yield path, raw
