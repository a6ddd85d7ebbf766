"""The pages' own files: read once at the start, so that no request waits for the disk."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r"""(?<=["'])\./([\w.-]+\.js)(?=["'])""")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
_TEXT = frozenset({*_TYPES, ".webmanifest"})


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    content: bytes = field(repr=False)
    zipped: bytes | None = field(repr=False)
    """The same in gzip, where that is worth it."""
    media_type: str
    version: str
    """Changes with the content, and with that of every script it imports."""
    imports: tuple[str, ...] = ()
    """Every script that it needs, near ones first."""

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


def read_assets(folder: Path = STATIC) -> Mapping[str, Asset]:
    """Blocks. A script's ``import … from "./other.js"`` is given the other's version: each may be cached for good."""
    found: dict[str, Asset] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            _read(path, found, ())
    return found


def _read(path: Path, found: dict[str, Asset], within: tuple[str, ...]) -> Asset:
    if path.name in within:
        raise ValueError(f"{' imports '.join((*within, path.name))}: scripts must not import each other in a circle")
    if path.name in found:
        return found[path.name]
    content = path.read_bytes()
    imports: dict[str, None] = {}
    if path.suffix == ".js":

        def versioned(match: re.Match[str]) -> str:
            other = _read(path.with_name(match[1]), found, (*within, path.name))
            imports.update(dict.fromkeys((match[1], *other.imports)))
            return f"./{match[1]}?v={other.version}"

        content = _IMPORT.sub(versioned, content.decode()).encode()
    text = path.suffix in _TEXT
    zipped = gzip.compress(content, 9, mtime=0) if text and len(content) > 500 else None
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    version = hashlib.sha256(content).hexdigest()[:12]
    found[path.name] = Asset(content, zipped, f"{kind}; charset=utf-8" if text else kind, version, tuple(imports))
    return found[path.name]
