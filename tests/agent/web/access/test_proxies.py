"""Behind a reverse proxy, behind Home Assistant's ingress, under TLS: whom the Guard believes what."""

from __future__ import annotations

import asyncio
import json
import ssl
from itertools import product
from pathlib import Path

import httpx
import pytest

from tests.fakes.certificates import Authority
from tests.fakes.gate import BROWSER, PASSWORD, TYPED, USER, Gate, gate

NAME = "cam.example.org"
INGRESS = {"X-Ingress-Path": "/api/hassio_ingress/Zm9v-bar_1", "X-Forwarded-Host": "homeassistant.local:8123"}


@pytest.fixture
async def proxied(tmp_path: Path):
    """Our own client is the trusted proxy."""
    async with gate(tmp_path, proxies=["127.0.0.1", "10.0.0.0/8", "fd00::/8"], names=[NAME]) as found:
        yield found


@pytest.fixture
async def ingress(tmp_path: Path):
    async with gate(tmp_path, proxies=["127.0.0.1"], ingress=True) as found:
        yield found


async def client_of(proxied: Gate, *forwarded: str) -> str:
    lines = [f"X-Forwarded-For: {value}\r\n" for value in forwarded]
    head = f"GET /api/v1/home HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n{''.join(lines)}"
    answer = await proxied.send(f"{head}Authorization: Bearer {proxied.token}\r\n\r\n".encode())
    return str(json.loads(answer.text)["client"])


async def test_the_client_is_the_last_whom_no_proxy_of_ours_is(proxied: Gate):
    assert await client_of(proxied) == "127.0.0.1"
    assert await client_of(proxied, "203.0.113.9") == "203.0.113.9"
    assert await client_of(proxied, "1.2.3.4, 203.0.113.9, 10.1.2.3") == "203.0.113.9"
    assert await client_of(proxied, "1.2.3.4", "203.0.113.9, fd00::1") == "203.0.113.9"
    assert await client_of(proxied, "10.1.1.1, 10.1.2.3") == "10.1.1.1"
    assert await client_of(proxied, "203.0.113.9:5123") == "203.0.113.9"
    assert await client_of(proxied, "[2001:db8::1]:443") == "2001:db8::1"
    assert await client_of(proxied, "::ffff:203.0.113.9") == "203.0.113.9"
    assert await client_of(proxied, "203.0.113.9, unknown") == "127.0.0.1"
    assert await client_of(proxied, "203.0.113.9, , <script>") == "127.0.0.1"


async def test_whom_nobody_trusts_is_believed_nothing(tmp_path: Path):
    async with gate(tmp_path, proxies=["10.0.0.0/8"], names=[NAME]) as closed:
        claims = {
            "X-Forwarded-For": "10.0.0.1",
            "X-Forwarded-Host": NAME,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Prefix": "/cam",
            "X-Ingress-Path": "/cam",
            "Forwarded": "for=10.0.0.1;proto=https",
            "X-Real-IP": "10.0.0.1",
        }
        assert json.loads((await closed.ask(headers=claims, token=True)).text)["client"] == "127.0.0.1"
        assert (await closed.ask(headers=claims, token=True, host="evil.example")).status == 421
        assert (await closed.ask("/", {**claims, **TYPED})).headers["location"] == "/login"
        (cookie,) = (await closed.log_in(headers=claims)).cookies
        assert "Secure" not in cookie
        assert "Path=/;" in cookie


async def test_a_proxys_host_is_the_one_that_counts(proxied: Gate):
    sent = {"X-Forwarded-Host": NAME, "Origin": f"https://{NAME}", "Sec-Fetch-Site": "same-origin"}
    assert (await proxied.ask(headers=sent, token=True, host="upstream", method="POST")).status == 200
    sent["Origin"] = f"http://{NAME}"
    assert (await proxied.ask(method="POST", headers={**sent, "X-Forwarded-Proto": "https"})).status == 403
    sent["Origin"] = "https://evil.example"
    assert (await proxied.ask(headers=sent, token=True, method="POST")).status == 403
    for host in ("evil.example", f"{NAME}, evil.example", "a b"):
        refused = await proxied.ask(headers={"X-Forwarded-Host": host}, token=True, host=NAME)
        assert refused.status in (400, 421)
        assert "secret" not in refused.text
    assert (await proxied.ask(headers={"X-Forwarded-Host": f"evil.example, {NAME}"}, token=True)).status == 200


async def test_behind_a_proxy_with_tls_the_cookie_is_bound_to_it(proxied: Gate):
    for scheme in ("https", "HTTPS", "http, https"):
        await bound(proxied, scheme)


async def bound(proxied: Gate, scheme: str) -> None:
    sent = {"X-Forwarded-Proto": scheme, "X-Forwarded-Host": NAME, "Origin": f"https://{NAME}"}
    answer = await proxied.log_in(headers=sent)
    (cookie,) = answer.cookies
    assert cookie.startswith("__Host-camscribe-")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert (await proxied.ask(headers={**sent, "Cookie": answer.cookie})).status == 200
    assert (await proxied.ask(headers={"X-Forwarded-Host": NAME, "Cookie": answer.cookie})).status == 401


async def test_tls_is_not_demanded_for_other_ports_of_the_host(proxied: Gate):
    sent = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": f"{NAME}:8443"}
    assert "strict-transport-security" not in (await proxied.ask("/healthz", sent)).headers


async def test_under_a_prefix_everything_stands_below_it(proxied: Gate):
    prefix = {"X-Forwarded-Prefix": "/cam/scribe/", "X-Forwarded-Host": NAME, "X-Forwarded-Proto": "https"}
    assert (await proxied.ask("/timeline", {**prefix, **TYPED})).headers[
        "location"
    ] == "/cam/scribe/login?next=/timeline"
    page = await proxied.ask("/login", {**prefix, **TYPED})
    assert 'action="/cam/scribe/login"' in page.text
    answer = await proxied.log_in(headers={**prefix, "Origin": f"https://{NAME}"}, next="/timeline")
    assert answer.headers["location"] == "/cam/scribe/timeline"
    (cookie,) = answer.cookies
    assert cookie.startswith("__Secure-camscribe-")
    assert "; Path=/cam/scribe; " in cookie
    known = {**prefix, "Cookie": answer.cookie}
    for path in ("/", "/cam/scribe", "/cam/scribe/", "/timeline", "/cam/scribe/timeline"):
        found = await proxied.ask(path, known)
        assert (found.status, found.text) == (200, "<p>secret page at '/cam/scribe'</p>"), path


async def test_a_prefix_opens_nothing(proxied: Gate):
    """The open list goes by the same path as the routes do, whether or not the proxy took the prefix off."""
    for prefix in ("/static", "/healthz", "/login", "/static/a", "/api", "/x"):
        sent = {"X-Forwarded-Prefix": prefix, "X-Forwarded-Host": NAME}
        paths = ("/api/v1/home", f"{prefix}/api/v1/home", f"{prefix}/timeline", f"{prefix}{prefix}/api/v1/home", prefix)
        for path in paths:
            answer = await proxied.ask(path, sent)
            assert "secret" not in answer.text, (prefix, path)
            assert answer.status == 401 or answer.text == "open", (prefix, path)
    assert (await proxied.ask("/x/healthz", {"X-Forwarded-Prefix": "/x", "X-Forwarded-Host": NAME})).text == "open"


NO_PREFIXES = [
    *("//evil.example", "/\\evil.example", "https://evil.example", "evil.example", "/a/../b", "/..", "/.", "/a//b"),
    *("/a b", "/a\tb", "/a?b", "/a#b", "/%2e%2e", '/"><script>', "/" + "a" * 300, "/é", "/a;b", "/a:b", "/@evil"),
]


async def test_a_prefix_that_is_no_plain_path_is_refused(proxied: Gate):
    names, paths = ("X-Forwarded-Prefix", "X-Ingress-Path"), ("/", "/healthz", "/login")
    for prefix, name, path in product(NO_PREFIXES, names, paths):
        answer = await proxied.ask(path, {name: prefix, **TYPED}, host=NAME)
        assert answer.status == 400, (prefix, name, path)
        assert "location" not in answer.headers


# ------------------------------------------------------------------------------------------------------------ ingress


async def test_whom_home_assistant_sends_needs_no_password(ingress: Gate):
    told = await ingress.ask(headers=INGRESS)
    assert json.loads(told.text)["kind"] == "home_assistant"
    page = await ingress.ask("/", {**INGRESS, **TYPED})
    assert page.text == "<p>secret page at '/api/hassio_ingress/Zm9v-bar_1'</p>"
    assert (await ingress.ask("/login", {**INGRESS, **TYPED})).headers["location"] == "/api/hassio_ingress/Zm9v-bar_1/"
    left = await ingress.ask("/logout", {**INGRESS, **TYPED}, method="POST")
    assert left.status == 303


async def test_home_assistants_page_may_act_and_no_other(ingress: Gate):
    ours = {"Origin": "http://homeassistant.local:8123", "Sec-Fetch-Site": "same-origin"}
    assert (await ingress.ask(headers={**INGRESS, **ours}, method="POST")).status == 200
    for wrong in ({"Origin": "http://homeassistant.local:9999"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await ingress.ask(headers={**INGRESS, **ours, **wrong}, method="POST")).status == 403


async def test_who_comes_from_home_assistants_address_without_its_header_is_not_let_in(ingress: Gate):
    assert (await ingress.ask()).status == 401
    assert (await ingress.ask(headers={"X-Forwarded-Host": "homeassistant.local:8123"})).status == 421


async def test_the_header_is_worth_nothing_from_anybody_else_or_without_the_option(tmp_path: Path):
    for settings in ({"proxies": ["172.30.32.2"], "ingress": True}, {"proxies": ["127.0.0.1"]}):
        async with gate(tmp_path, **settings) as closed:
            assert (await closed.ask(headers={"X-Ingress-Path": "/api/hassio_ingress/x"})).status == 401
            forged = {"X-Ingress-Path": "/x", "X-Forwarded-For": "172.30.32.2", "X-Hass-Source": "core.ingress"}
            assert (await closed.ask(headers=forged)).status == 401


# ---------------------------------------------------------------------------------------------------------------- TLS


async def test_our_own_tls(tmp_path: Path):
    authority = await asyncio.to_thread(Authority, tmp_path / "authority")
    pair = await asyncio.to_thread(authority.pair, "server", "IP:127.0.0.1,DNS:localhost")
    trusting = await asyncio.to_thread(ssl.create_default_context, cafile=authority.ca)
    async with (
        gate(tmp_path, tls=pair) as closed,
        httpx.AsyncClient(verify=trusting, trust_env=False, base_url=f"https://{closed.host}") as client,
    ):
        answer = await client.post("/login", data={"user": USER, "password": PASSWORD}, headers=BROWSER)
        assert answer.status_code == 303
        assert answer.headers["set-cookie"].startswith("__Host-camscribe-")
        assert answer.headers["set-cookie"].endswith("; Secure")
        assert (await client.get("/api/v1/home")).status_code == 200
