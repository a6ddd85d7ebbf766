"""YAML text as plain values that know their lines. Nothing in it can make this slow, large or deep."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import ScalarNode

from agent.config.faults import Path_, Problem

LARGEST = 2**20
DEEPEST = 20
MOST_VALUES = 20_000
MOST_PROBLEMS = 100
_LONGEST_TYPED = 100
"""A plain scalar longer than this is text: a number of a million digits is a trap, not a number."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_TAG = "tag:yaml.org,2002:"
_NO_TAGS = "found a tag (!), and tags are not used here. Put a text that begins with ! in quotes"
_KEY = re.compile(r"""\s*(?:- +)*(["']?)([\w-]+)\1\s*:""")
_COMMENT = re.compile(r"\s*#[^\s#]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class _Node:
    """A value in the text: a scalar, a list of nodes, or a mapping of keys to nodes."""

    line: int
    value: Any = None
    text: str | None = None
    """A plain scalar as it was written, where YAML reads it as something else."""


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: _Node
    anchor: str | None
    step: str | int = 0
    """Where its next value belongs; for a mapping only once the key is read."""
    awaits_key: bool = False
    dropped: bool = False
    flow: bool = False
    lines: dict[str, int] = field(default_factory=dict)


@dataclass
class Tree:
    """Plain values, and for each path the line it stands on and how it was written."""

    data: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    written: dict[Path_, str] = field(default_factory=dict)
    """Plain scalars that YAML reads as something other than text: ``no``, ``1:30``, ``0123``."""
    problems: list[Problem] = field(default_factory=list)
    broken: bool = False
    """The text could not be read to its end, so what is missing says nothing."""


class _Stop(Exception):
    """The rest can't be read."""


def read(raw: bytes) -> Tree:
    """Never raises: what is wrong is in ``problems``."""
    tree = Tree()
    try:
        text = _decode(raw, tree)
        root = _Builder(text, tree).build()
        if root is not None:
            tree.data = _Flattener(tree).flatten(root, (), 0)
    except _Stop:
        tree.broken = True
    return tree


def _stop(tree: Tree, line: int, message: str, path: Path_ = ()) -> _Stop:
    tree.problems.append(Problem(path, message, line))
    return _Stop()


def _decode(raw: bytes, tree: Tree) -> str:
    if len(raw) > LARGEST:
        raise _stop(tree, 1, "the file is too large: a config of at most 1 MiB is allowed")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _stop(tree, line, "this is not UTF-8 text: save the file as UTF-8") from None
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise _stop(tree, line, f"found the control character {control[0]!r}: this is not a text file")
    return text


class _Builder:
    """Makes nodes of the parser's events, without recursion."""

    def __init__(self, text: str, tree: Tree) -> None:
        self._text = text
        self._lines = text.splitlines()
        self._tree = tree
        self._open: list[_Open] = []
        self._anchors: dict[str, _Node] = {}
        self._count = 0
        self._root: _Node | None = None
        self._documents = 0

    def build(self) -> _Node | None:
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            line, message = syntax_sentence(error, self._text)
            raise _stop(self._tree, line, message, self._path_near(line)) from None
        except yaml.YAMLError as error:
            raise _stop(self._tree, 1, f"this is not YAML: {error}") from None
        return self._root

    def _take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _stop(self._tree, line, "a second document begins here (---): one is allowed")
            case yaml.AliasEvent():
                node = self._anchors.get(event.anchor or "")
                if node is None:
                    # What stands behind the * may be a password: it is not shown, here and below.
                    said = "found a *, which YAML takes for an alias, and nothing defines it"
                    self._problem(line, f"{said}. Put a text that begins with * in quotes")
                    node = _Node(line)
                self._place(node, line, key="*")
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._open.pop()
                if done.anchor:
                    self._anchors[done.anchor] = done.node
                if not done.dropped:
                    self._place(done.node, done.node.line)
            case _:
                pass  # the stream's and the document's ends

    def _begin(self, event: Any, line: int) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        dropped = False
        if self._open and self._open[-1].awaits_key:
            self._problem(line, "a key must be a text; put a text that begins with { or [ in quotes")
            self._open[-1].awaits_key = False
            self._open[-1].step = ""
            dropped = True
        if event.tag not in (None, f"{_TAG}map", f"{_TAG}seq"):
            self._problem(line, _NO_TAGS)
        if len(self._open) >= DEEPEST:
            raise _stop(self._tree, line, f"this is nested deeper than {DEEPEST} levels", self._path()[:2])
        node = _Node(line, {} if is_mapping else [])
        flow = bool(event.flow_style)
        self._open.append(_Open(node, event.anchor, awaits_key=is_mapping, dropped=dropped, flow=flow))

    def _scalar(self, event: Any, line: int) -> None:
        node = _Node(line, event.value)
        plain = event.implicit[0] and len(event.value) <= _LONGEST_TYPED
        if event.tag not in (None, f"{_TAG}str"):
            self._problem(line, _NO_TAGS)
        elif plain and event.tag is None:
            node.value = _typed(event.value)
            if not isinstance(node.value, str):
                node.text = event.value
        if event.anchor:
            self._anchors[event.anchor] = node
            if event.value == "" and event.implicit[0]:
                self._problem(line, "found an & (a YAML anchor). Put a text that begins with & in quotes")
        elif event.value == "" and plain and _COMMENT.match(self._rest(event)):
            self._problem(line, "found nothing, for # begins a comment. Put a text that begins with # in quotes")
        self._place(node, line, key=event.value)

    def _rest(self, event: Any) -> str:
        """What stands behind an event on its line."""
        if not event.end_mark or event.end_mark.line >= len(self._lines):
            return ""
        return str(self._lines[event.end_mark.line][event.end_mark.column :])

    def _place(self, node: _Node, line: int, key: str = "") -> None:
        """A finished node goes where it belongs: it is the document, a list's item, a mapping's key or its value."""
        self._count += 1
        if self._count > 2 * MOST_VALUES:
            raise _stop(self._tree, line, f"there are more than {MOST_VALUES} values", self._path())
        if not self._open:
            self._root = node
            return
        top = self._open[-1]
        if isinstance(top.node.value, list):
            top.node.value.append(node)
            top.step = len(top.node.value)
        elif top.awaits_key:
            self._key(top, node, line, key)
        else:
            if isinstance(top.step, str) and top.step and top.step not in top.node.value:
                # The key's line is where people look, though the value may begin on the next one.
                top.node.value[top.step] = (top.lines[top.step], node)
            top.awaits_key = True

    def _key(self, top: _Open, node: _Node, line: int, key: str) -> None:
        top.awaits_key = False
        top.step = key
        if key == "<<" and node.value == "<<":
            self._problem(line, "merge keys (<<) are not used here: write the keys out")
            top.step = ""
        elif not isinstance(node.value, str):
            reads = "nothing" if node.value is None else f"the {_kind(node.value)} {_plain(node.value)}"
            self._problem(line, f"found the key {key or 'nothing'}, which YAML reads as {reads}: put it in quotes")
            top.lines.setdefault(key, line)
        elif key in top.lines:
            self._problem(line, f"this key is here twice, first on line {top.lines[key]}: remove one")
            top.step = ""
        else:
            top.lines[key] = line

    def _problem(self, line: int, message: str) -> None:
        if len(self._tree.problems) >= MOST_PROBLEMS:
            raise _stop(self._tree, line, f"more than {MOST_PROBLEMS} things are wrong; the rest was not looked at")
        self._tree.problems.append(Problem(self._path(), message, line))

    def _path_near(self, line: int) -> Path_:
        """The parser stops before it tells the key of the line where it stopped: that key is read from the line."""
        flow = next((i for i, one in enumerate(self._open) if one.flow), None)
        if flow is not None:
            return self._path(flow)
        key = _KEY.match(self._lines[line - 1]) if line <= len(self._lines) else None
        top = self._open[-1] if self._open else None
        known = top is not None and not top.awaits_key and top.lines.get(str(top.step)) == line
        return (*self._path(), key[2]) if key and not known else self._path()

    def _path(self, depth: int | None = None) -> Path_:
        inner = self._open[-1] if self._open else None
        steps = self._open[:depth]
        return tuple(one.step for one in steps if one.step != "" and not (one is inner and one.awaits_key))


def _typed(text: str) -> Any:
    """A plain scalar as YAML 1.1 reads it; dates stay text."""
    tag: str = _RESOLVER.resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag.removeprefix(_TAG) not in ("bool", "int", "float", "null"):
        return text
    try:
        return _CONSTRUCTOR.construct_object(ScalarNode(tag, text))
    except ValueError:
        return text  # 0o9, _, …: what looks like a number and is none


def _kind(value: Any) -> str:
    return "truth value" if isinstance(value, bool) else "number"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Flattener:
    """Nodes as plain values; an alias stands for a copy, so many of them grow fast: counted."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._count = 0

    def flatten(self, node: _Node, path: Path_, depth: int) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            raise _stop(self._tree, self._line(path), f"aliases make more than {MOST_VALUES} values of this", path[:2])
        if depth > DEEPEST:
            raise _stop(self._tree, self._line(path), f"this is nested deeper than {DEEPEST} levels", path[:2])
        if isinstance(node.value, dict):
            return {key: self._child(child, (*path, key), line, depth) for key, (line, child) in node.value.items()}
        if isinstance(node.value, list):
            return [self._child(child, (*path, i), child.line, depth) for i, child in enumerate(node.value)]
        if node.text is not None:
            self._tree.written[path] = node.text
        if isinstance(node.value, float) and not math.isfinite(node.value):
            message = f"found {node.text}; a finite number is allowed"
            self._tree.problems.append(Problem(path, message, self._line(path)))
        return node.value

    def _child(self, node: _Node, path: Path_, line: int, depth: int) -> Any:
        self._tree.lines[path] = line
        return self.flatten(node, path, depth + 1)

    def _line(self, path: Path_) -> int:
        return self._tree.lines.get(path, 1)


_SENTENCES = (
    ("cannot start any token", "a text that begins with {char} must be in quotes"),
    (
        "mapping values are not allowed",
        "a colon where none may be: put a text with ': ' in quotes, or mend the indentation",
    ),
    ("could not find expected ':'", "a colon is missing: write 'key: value', with a space behind the colon"),
    ("expected ':'", "a colon is missing: write 'key: value', with a space behind the colon"),
    ("unexpected end of stream", "a quote that is opened here is never closed"),
    ("unexpected document separator", "a quote that is opened here is never closed"),
    ("unknown escape character", "a backslash within double quotes has a meaning of its own: use single quotes"),
    ("hexadecimal", "a backslash within double quotes has a meaning of its own: use single quotes"),
    ("maximum nesting depth", f"this is nested deeper than {DEEPEST} levels"),
    ("undefined tag handle", _NO_TAGS),
    ("tag", _NO_TAGS),
    ("anchor", "put a text that begins with & in quotes"),
    ("alias", "put a text that begins with * in quotes"),
    ("block scalar", "a text that begins with | or > must be in quotes, or begin on the next line"),
    ("directive", "a text that begins with % must be in quotes"),
    ("flow", "a bracket is not closed as it should be; within brackets, ${{VAR}} and the like must be in quotes"),
    ("block", "this does not fit the lines above: look at the indentation, and for text behind a closing quote"),
    ("indentation", "the indentation does not fit the lines above"),
)


def syntax_sentence(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """The line, and what to do about it, for what the parser could not read."""
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    column = mark.column if mark else 0
    lines = text.splitlines() or [""]
    here = lines[line] if line < len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())]:
        return line + 1, "found a tab: YAML indents with spaces"
    said = f"{error.problem} {error.context or ''}"
    known = next((sentence for words, sentence in _SENTENCES if words in said), f"this is not YAML: {error.problem}")
    if "never closed" in known and error.context_mark:
        line = error.context_mark.line
    return line + 1, known.format(char=here[column : column + 1] or "this")


def mappings(data: Any) -> Iterator[tuple[str, Any]]:
    """The items of a mapping; nothing for anything else."""
    return iter(data.items()) if isinstance(data, dict) else iter(())
