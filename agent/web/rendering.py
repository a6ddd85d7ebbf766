"""Templates into answers. Everything is read once, at the start: no request waits for the disk."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.requests import HTTPConnection

from agent.schedule import local_zone
from agent.web import words
from agent.web.access.caller import Caller
from agent.web.assets import Asset, read_assets

TEMPLATES = Path(__file__).parent / "templates"
FOREVER = "public, max-age=31536000, immutable"
WORTH_ZIPPING = 1000
_ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Templates and static files, in memory."""

    templates: Mapping[str, Template]
    assets: Mapping[str, Asset]
    version: str
    zone: tzinfo
    """The machine's time zone: days begin by it."""

    @classmethod
    def read(cls) -> Self:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            auto_reload=False,  # or each answer asks the disk whether a template has changed
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates = {name: environment.get_template(name) for name in environment.list_templates()}
        return cls(templates, read_assets(), version("camscribe"), local_zone())


@cache
def shelf() -> Shelf:
    """Read once. Blocks the first time, so ``make_pages`` is called where that harms nobody."""
    return Shelf.read()


def root_of(request: HTTPConnection) -> str:
    """The path that everything here stands under, behind a proxy."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def user_of(request: HTTPConnection) -> str | None:
    """Who has logged in, and so can log out."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller.name if caller is not None and caller.session is not None else None


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """A page. Every template has ``root``, ``page``, ``version``, ``static("name")`` and ``module("name.js")``."""
    root, held = root_of(request), shelf()

    def static(name: str) -> str:
        return f"{root}/static/{name}?v={held.assets[name].version}"

    def module(name: str) -> Markup:
        """The script and, before it, all that it imports: else the browser would find that out one after the other."""
        needed = [
            Markup('<link rel="modulepreload" href="{}">').format(static(one)) for one in held.assets[name].imports
        ]
        return Markup("\n").join([*needed, Markup('<script type="module" src="{}"></script>').format(static(name))])

    html = held.templates[template].render(
        {
            "root": root,
            "page": template.removesuffix(".html.j2"),
            "version": held.version,
            "static": static,
            "module": module,
            "now": datetime.now(UTC),
            "words": words,
            "user": user_of(request),
            "zone": getattr(held.zone, "key", None) or "",
            **context,
        }
    )
    # Nobody who comes to this browser later finds in its cache what happened at home.
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    content = html.encode()
    if accepts_gzip(request) and len(content) > WORTH_ZIPPING:
        headers["Content-Encoding"] = "gzip"
        content = gzip.compress(content, 5, mtime=0)
    return Response(content, status, headers, "text/html; charset=utf-8")


def accepts_gzip(request: Request) -> bool:
    return bool(_ACCEPTS_GZIP.search(request.headers.get("accept-encoding", "")))


def serve(request: Request, asset: Asset) -> Response:
    """A static file: kept for good where it was asked for by its version."""
    known = request.query_params.get("v") == asset.version
    headers = {
        "Cache-Control": FOREVER if known else "no-cache",
        "ETag": asset.etag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    asked = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if asset.etag in asked or "*" in asked:
        return Response(status_code=304, headers=headers)
    if asset.zipped is not None and accepts_gzip(request):
        headers["Content-Encoding"] = "gzip"
        return Response(asset.zipped, headers=headers, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
