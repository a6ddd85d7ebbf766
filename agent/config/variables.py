"""``${VAR}``, ``${VAR:-default}`` and ``${file:/path}`` in the texts of a config; ``$${`` is a literal ``${``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.config.faults import Path_, Problem, did_you_mean

_PLACE = re.compile(r"\$\$\{|\$\{([^{}]*)(\})?")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_FILE = re.compile(r"file:(.+)", re.DOTALL)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LARGEST_SECRET = 64 * 1024


class Place(StrEnum):
    """Where in a text a ``${…}`` stands."""

    USER = "user"
    PASSWORD = "password"  # noqa: S105 (the name of a place)
    HOST = "host"
    BEHIND_HOST = "behind the host"
    TEXT = "text"
    """The text is no URL, or the ``${…}`` is all of it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One ``${…}`` that was filled in."""

    value: str
    from_file: bool
    place: Place


@dataclass
class Expansion:
    """What ``expand`` came to."""

    data: Any = None
    pieces: dict[Path_, list[Piece]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Unfilled(Exception):
    """Why a ``${…}`` can't be filled in."""


class Expander:
    """Fills in the texts of a tree of plain values."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder

    def expand(self, data: Any, keep: frozenset[Path_] = frozenset()) -> Expansion:
        """``keep``: paths that are taken as they are."""
        result = Expansion()
        result.data = self._value(data, (), keep, result)
        return result

    def _value(self, value: Any, path: Path_, keep: frozenset[Path_], result: Expansion) -> Any:
        if path in keep:
            return value
        if isinstance(value, Mapping):
            return {key: self._value(item, (*path, key), keep, result) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item, (*path, i), keep, result) for i, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            try:
                return self._text(value, path, result)
            except _Unfilled as error:
                result.problems.append(Problem(path, str(error)))
        return value

    def _text(self, text: str, path: Path_, result: Expansion) -> str:
        url = _Url(text)
        done: list[str] = []
        end = 0
        pieces: list[Piece] = []
        for place in _PLACE.finditer(text):
            done.append(text[end : place.start()])
            end = place.end()
            if place[0] == "$${":
                done.append("${")
                continue
            if not place[2]:
                raise _Unfilled("found ${ that is not closed by }. For a literal ${ write $${")
            value, from_file = self._fill(place[1])
            where = url.place(place.start(), place.end())
            pieces.append(Piece(value, from_file, where))
            done.append(quote(value, safe="") if where in (Place.USER, Place.PASSWORD) else value)
        if pieces:
            result.pieces[path] = pieces
        return "".join(done) + text[end:]

    def _fill(self, inside: str) -> tuple[str, bool]:
        if file := _FILE.fullmatch(inside):
            return self._file(file[1]), True
        variable = _VARIABLE.fullmatch(inside)
        if not variable:
            known = "${VAR}, ${VAR:-default} or ${file:/path} is allowed"
            raise _Unfilled(f"found a ${{…}} of no known form: {known}. For a literal ${{ write $${{")
        name, default = variable.groups()
        if value := self._environ.get(name, ""):
            return value, False
        if default is not None:
            return default, False
        if name in self._environ:
            return "", False
        near = did_you_mean(name, self._environ) or f" Set it, or give a default: ${{{name}:-…}}"
        raise _Unfilled(f"the environment has no variable {name}.{near}")

    def _file(self, name: str) -> str:
        file = Path(self._folder, name)
        try:
            file = Path(self._folder, Path(name).expanduser())
            if not file.is_file():
                what = "is not a plain file" if file.exists() else "does not exist"
                raise _Unfilled(f"the secret file {file} {what}")
            with file.open("rb") as stream:
                raw = stream.read(_LARGEST_SECRET + 1)
            text = raw.decode()
        except OSError as error:
            raise _Unfilled(f"the secret file {file} can't be read: {error.strerror}") from None
        except RuntimeError:
            raise _Unfilled(f"the secret file {name} is in a home folder that does not exist") from None
        except ValueError:
            raise _Unfilled(f"the secret file {file} is not UTF-8 text") from None
        if len(raw) > _LARGEST_SECRET:
            raise _Unfilled(f"the secret file {file} is larger than 64 KiB")
        return text.rstrip("\r\n")


class _Url:
    """A URL's parts by their positions. Only the template's own characters count, not what a ``${…}`` holds."""

    def __init__(self, text: str) -> None:
        address = _ADDRESS.match(text)
        self._blank = _PLACE.sub(lambda place: "x" * len(place[0]), text)
        self._start = address.end() if address else len(text)
        authority = re.split(r"[/?#]", self._blank[self._start :], maxsplit=1)[0]
        self._end = self._start + len(authority)
        self._at = self._start + authority.rfind("@")

    def place(self, begin: int, end: int) -> Place:
        """What is filled in for user or password is percent-quoted, so that any character works there."""
        if begin < self._start:
            return Place.TEXT
        if begin < self._at:
            alone = ":" not in self._blank[self._start : begin] and self._blank[end : end + 1] == ":"
            return Place.USER if alone else Place.PASSWORD
        # A raw password with a slash in it moves the host behind what looks like the host's end.
        return Place.HOST if begin < self._end or self._blank[begin - 1] == "@" else Place.BEHIND_HOST
