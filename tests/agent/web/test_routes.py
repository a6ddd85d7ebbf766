"""Whatever the site serves needs a login, a token, or a line in OPEN below."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from agent.web.access.credentials import new_token
from agent.web.access.passwords import hashed
from agent.web.access.store import Store
from tests.fakes.website import Website, website

OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /static/{name}",
    "GET /login",
    "HEAD /login",
    "POST /login",
}
"""What anybody may ask. A new route does not belong here because a test fails, but because it tells nothing of the home
and changes nothing."""

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}


@pytest.fixture
async def token(tmp_path: Path) -> str:
    token, hash_, now = new_token(), await asyncio.to_thread(hashed, "a password of some length"), datetime.now(UTC)
    store = Store(tmp_path / "data")
    await asyncio.to_thread(store.change, lambda old: old.with_user("anna", hash_).with_token("tests", token, now))
    return token


@pytest.fixture
async def guarded(tmp_path: Path, token: str) -> AsyncIterator[Website]:
    async with website(tmp_path) as site:
        yield site


def _routes(site: Website) -> list[tuple[str, str, str]]:
    """Method, path and an address of it, of all there are."""
    app = site._server._app
    while not isinstance(app, FastAPI):
        app = app._app
    routes = list(iter_route_contexts(app.routes))
    assert all(route.methods for route in routes), "something is mounted that tells no methods: ask for it here, too"
    found = {(method, route.path) for route in routes for method in route.methods}
    return [(method, path, _filled(path)) for method, path in sorted(found)]


def _filled(path: str) -> str:
    """With something in each place."""
    uuid = "01938b5c-7d0e-7c3a-9f43-5b1a4c2d3e4f"
    known = {
        "{camera}": "door",
        "{observation}": uuid,
        "{id_}": uuid,
        "{name}": "camscribe.css",
        "{path:page}": "no/page",
    }
    for place, value in known.items():
        path = path.replace(place, value)
    assert "{" not in path, f"{path}: say what may stand there"
    return path


async def test_every_route_is_refused_to_whom_nobody_knows(guarded: Website):
    routes = _routes(guarded)
    let_in = set()
    for method, path, address in routes:
        answer = await guarded.client.request(method, address)
        if answer.status_code == 401:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            if method != "HEAD":
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.json().keys() == {"type", "title", "status", "detail"}
        else:
            let_in.add(f"{method} {path}")
    assert let_in == OPEN
    assert len(routes) > 25


async def test_a_browser_is_sent_to_the_login_page(guarded: Website):
    for method, path, address in _routes(guarded):
        if method != "GET" or f"{method} {path}" in OPEN:
            continue
        answer = await guarded.client.get(address, headers=BROWSER)
        if address.startswith("/api/"):
            assert answer.status_code == 401, address
        else:
            assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (303, "/login"), address


async def test_what_does_not_exist_is_no_different(guarded: Website):
    for address in ("/api/v1/nothing", "/nothing", "/static", "/healthz/", "/login/..", "/static/../api/v1/home"):
        assert (await guarded.client.get(address)).status_code in (400, 401), address


async def test_whom_the_token_shows_is_let_in(guarded: Website, token: str):
    guarded.client.headers["Authorization"] = f"Bearer {token}"
    for method, path, address in _routes(guarded):
        if path.endswith("/stream"):
            continue
        answer = await guarded.client.request(method, address)
        assert answer.status_code not in (401, 403, 500), address
