"""Nothing but the open list is served to whom is not let in, and the rules hold for every method and every path."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

from agent.web.access.body import LARGEST
from agent.web.access.passwords import hashed
from tests.fakes.gate import BROWSER, PASSWORD, TYPED, Gate, gate
from tests.fakes.waiting import eventually

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"]
CLOSED = [
    "/",
    "/timeline",
    "/api/v1/home",
    "/api/v1/stream",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/no/such",
    "/logout",
]
TRICKS = [
    *("//healthz/../api/v1/home", "/healthz/../api/v1/home", "/healthz/%2e%2e/api/v1/home", "/static/../api/v1/home"),
    *(
        "/static/%2e%2e/api/v1/home",
        "/static/..%2fapi/v1/home",
        "/static%2f..%2fapi/v1/home",
        "/static/./../api/v1/home",
    ),
    *("/%2fapi/v1/home", "//api/v1/home", "///api/v1/home", "/static//api/v1/home", "/static\\..\\api\\v1\\home"),
    *("/login/../api/v1/home", "/login/", "/login/api", "/LOGIN/../timeline", "/API/v1/home", "/HEALTHZ", "/Healthz"),
    *(
        "/healthz;/api/v1/home",
        "/healthz/",
        "/healthz%00",
        "/healthz%0a",
        "/healthz%20",
        "/healthzz",
        "/static",
        "/STATIC/a",
    ),
    *(
        "/api/v1/home?/healthz",
        "/api/v1/home#/static/",
        "/api/v1/home%3f/static/",
        "/%61pi/v1/home",
        "/api%2fv1%2fhome",
    ),
    *("/api/v1/home/", "/static/%252e%252e/api/v1/home/..", "/.%2e/api/v1/home", "/api/v1/home%23", "*", "healthz"),
    *("http://127.0.0.1/api/v1/home", "http://localhost/healthz/../api/v1/home", "/?next=/healthz"),
]


@pytest.fixture
async def closed(tmp_path: Path):
    async with gate(tmp_path) as found:
        yield found


@pytest.fixture
async def unlocked(tmp_path: Path):
    async with gate(tmp_path, password=False) as found:
        yield found


async def test_without_a_session_or_a_token_nothing_is_served(closed: Gate):
    for path, method in product(CLOSED, METHODS):
        answer = await closed.ask(path, method=method)
        assert answer.status == 401, (method, path)
        assert "secret" not in answer.text


async def test_an_api_call_is_told_how_to_come_in(closed: Gate):
    answer = await closed.ask()
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="camscribe"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "camscribe web token add" in json.loads(answer.text)["detail"]


async def test_the_open_list_is_open(closed: Gate):
    for path in ("/healthz", "/readyz", "/login", "/static/camscribe.css", "/static/x/y"):
        assert (await closed.ask(path)).status == 200, path


async def test_no_trick_with_the_path_leads_past_the_guard(closed: Gate):
    for target, method in product(TRICKS, ("GET", "HEAD", "OPTIONS", "POST")):
        answer = await closed.ask(target, method=method)
        assert "secret" not in answer.text
        assert answer.status in (400, 401), (target, method)


async def test_what_is_no_path_is_refused_as_such(closed: Gate):
    for target in ("*", "healthz", f"http://{closed.host}/healthz", "//healthz", "/healthz/.."):
        assert (await closed.ask(target, token=True)).status == 400, target


async def test_a_token_lets_in(closed: Gate):
    told = json.loads((await closed.ask(token=True)).text)
    assert (told["kind"], told["name"]) == ("token", "grafana")


async def test_a_wrong_token_is_refused_whatever_else_comes_with_it(closed: Gate):
    cookie = (await closed.log_in()).cookie
    for header in ("Bearer", "Bearer ", "Bearer x", "Bearer camscribe_", "bearer {}x", "Bearer {}\t{}", "Bearer é"):
        sent = {"Authorization": header.replace("{}", closed.token), "Cookie": cookie}
        answer = await closed.ask(headers=sent)
        assert answer.status == 401
        assert "invalid_token" in answer.headers["www-authenticate"]
        assert closed.token not in answer.text


async def test_a_token_in_the_url_is_none(closed: Gate):
    for where in ("?token={}", "?access_token={}", "?authorization=Bearer+{}", "?Authorization={}"):
        assert (await closed.ask(f"/api/v1/home{where.format(closed.token)}")).status == 401


async def test_another_kind_of_login_is_not_ours(closed: Gate):
    cookie = (await closed.log_in()).cookie
    basic = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert (await closed.ask(headers=basic)).status == 401
    assert (await closed.ask(headers={**basic, "Cookie": cookie})).status == 200


async def test_without_any_password_this_machine_is_let_in(unlocked: Gate):
    assert json.loads((await unlocked.ask()).text)["kind"] == "anybody"
    assert (await unlocked.ask("/login", TYPED)).headers["location"] == "/"


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"names": ["cam.example.org"]}, {"proxies": ["10.0.0.1"]}])
async def test_without_any_password_nobody_is_let_in_where_others_could_come(tmp_path: Path, settings: dict):
    async with gate(tmp_path, password=False, **settings) as closed:
        assert closed.access.fault
        assert (await closed.ask()).status == 401
        assert "camscribe web password" in (await closed.ask("/login", TYPED)).text


# ------------------------------------------------------------------------------------------------- a browser, sent on


async def test_a_browser_is_sent_to_the_login_and_back(closed: Gate):
    answer = await closed.ask("/timeline?day=2026-11-22&q=a%20b", TYPED)
    assert answer.status == 303
    assert answer.headers["location"] == "/login?next=/timeline%3Fday%3D2026-11-22%26q%3Da%2520b"
    assert (await closed.ask("/", TYPED)).headers["location"] == "/login"


async def test_a_link_from_elsewhere_asks_once_more_with_the_cookie(closed: Gate):
    """A browser keeps a strict cookie back on such a link, so the login page must be asked for by a page of ours."""
    for site in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {}):
        answer = await closed.ask('/timeline?q="><script>', {**BROWSER, **site})
        assert answer.status == 401
        assert (
            '<meta http-equiv="refresh" content="0;url=/login?next=/timeline%3Fq%3D%22%3E%3Cscript%3E">' in answer.text
        )
    cookie = (await closed.log_in()).cookie
    known = await closed.ask("/login?next=/timeline", {**BROWSER, "Sec-Fetch-Site": "same-origin", "Cookie": cookie})
    assert (known.status, known.headers["location"]) == (303, "/timeline")


async def test_a_script_of_a_page_is_not_sent_to_the_login(closed: Gate):
    script = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    assert (await closed.ask("/timeline", script)).status == 401
    assert (await closed.ask("/api/v1/home", TYPED)).status == 401


async def test_a_form_that_is_sent_without_a_session_goes_to_the_login_alone(closed: Gate):
    answer = await closed.ask("/logout", {**TYPED, "Sec-Fetch-Site": "same-origin"}, method="POST")
    assert (answer.status, answer.headers["location"]) == (303, "/login")


# ------------------------------------------------------------------------------------------------------ DNS rebinding


STRANGERS = [
    *("evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io"),
    *(
        "cam.example.org.evil.example",
        "evilcam.example.org",
        "2130706433",
        "0x7f.1",
        "127.1",
        "local",
        "localhost.x",
        "evillocalhost",
    ),
]


async def test_a_name_that_is_not_ours_is_refused(unlocked: Gate):
    for host, path in product(STRANGERS, ("/api/v1/home", "/", "/healthz", "/login", "/static/a")):
        answer = await unlocked.ask(path, host=host)
        assert answer.status == 421, (host, path)
        assert "secret" not in answer.text
        assert "web.names" in json.loads(answer.text)["detail"]


async def test_a_host_that_is_none_is_refused(unlocked: Gate):
    for host in ("", "a b", "evil@localhost", "localhost/", "localhost:x", "localhost:80:80", "[::1", "é", "..", ":80"):
        assert (await unlocked.ask(host=host)).status in (400, 421), host


async def test_two_hosts_or_none_are_refused(unlocked: Gate):
    for lines in ("", f"Host: {unlocked.host}\r\nHost: evil.example\r\n"):
        request = f"GET /api/v1/home HTTP/1.1\r\nConnection: close\r\n{lines}\r\n"
        assert (await unlocked.send(request.encode())).status == 400
    assert (await unlocked.send(b"GET /api/v1/home HTTP/1.0\r\n\r\n")).status == 400


async def test_our_own_names_and_any_address_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Nas.lan")
    async with gate(tmp_path, names=["cam.example.org"]) as closed:
        for host in (
            *("localhost", "LOCALHOST:8765", "localhost.", "127.0.0.1", "[::1]:8765", "192.168.1.5", "[fe80::1]"),
            *("nas.lan", "nas", "NAS.local:8765", "cam.example.org", "Cam.Example.Org:443", "cam.example.org."),
        ):
            assert (await closed.ask(token=True, host=host)).status == 200, host
        assert (await closed.ask(token=True, host="other.lan")).status == 421


# ---------------------------------------------------------------------------------------------- other pages' requests


def origins(closed: Gate) -> list[dict[str, str]]:
    port = closed.port
    return [
        *({"Origin": origin} for origin in ("https://evil.example", "null", "", "http://127.0.0.1", "file://")),
        {"Origin": f"http://127.0.0.1:{port + 1}"},
        {"Origin": f"http://localhost:{port}"},
        {"Origin": f"http://127.0.0.1:{port}.evil.example"},
        {"Origin": f"http://evil.example/127.0.0.1:{port}"},
        {"Origin": f"chrome-extension://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "anything"},
        {"Sec-Fetch-Site": "cross-site", "Origin": f"http://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ]


async def test_another_page_changes_nothing(unlocked: Gate):
    opened = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for method, headers in product(("POST", "PATCH", "DELETE", "PUT", "OPTIONS"), origins(unlocked)):
        for more in ({}, opened):
            answer = await unlocked.ask(headers={**headers, **more}, method=method)
            assert answer.status == 403, (method, headers, more)
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_another_page_may_not_use_anything_of_ours(unlocked: Gate):
    kinds = ("image", "script", "iframe", "empty", "video", "object", "embed", "frame", "")
    for site, mode, kind in product(("cross-site", "same-site"), ("no-cors", "cors", "navigate", "websocket"), kinds):
        sent = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": kind}
        assert (await unlocked.ask(headers=sent)).status == 403
        assert (await unlocked.ask("/static/a.js", sent)).status == 403


async def test_another_page_may_link_here(unlocked: Gate):
    for site in ("cross-site", "same-site"):
        assert (await unlocked.ask("/timeline", {**BROWSER, "Sec-Fetch-Site": site})).status == 200


async def test_our_own_pages_may(unlocked: Gate):
    ours = {"Origin": f"http://{unlocked.host}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert (await unlocked.ask(headers=ours, method="POST")).status == 200
    assert (await unlocked.ask(headers=ours, method="DELETE")).status == 200
    assert (await unlocked.ask(method="POST")).status == 200, "a program, which no page can make send anything"


async def test_a_page_that_logs_its_visitor_in_as_somebody_else_is_refused(closed: Gate):
    answer = await closed.log_in(headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"})
    assert answer.status == 403
    assert not answer.cookies


async def test_other_origins_read_nothing_even_where_a_route_would_let_them(unlocked: Gate):
    answer = await unlocked.ask("/api/v1/cors")
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")


# ------------------------------------------------------------------------------------------------------------ headers


async def test_every_answer_has_the_headers_that_keep_a_browser_in_bounds(closed: Gate):
    answers = [
        await closed.ask(token=True),
        await closed.ask(),
        await closed.ask("/", TYPED),
        await closed.ask("/", BROWSER),
        await closed.ask("/login"),
        await closed.ask("/static/a"),
        await closed.ask(host="evil.example"),
        await closed.ask("//"),
        await closed.ask(method="POST", headers={"Origin": "null"}),
        await closed.ask("/no/such", token=True),
        await closed.ask(method="HEAD", token=True),
        await closed.ask(method="PUT", token=True),
        await closed.log_in("wrong"),
    ]
    assert {answer.status for answer in answers} == {200, 303, 400, 401, 403, 404, 405, 421}
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.status == 421 or answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=(self)" in answer.headers["permissions-policy"]
        assert "microphone=()" in answer.headers["permissions-policy"]
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers


# ------------------------------------------------------------------------------------------------------------- bodies


async def test_a_body_may_be_so_large(unlocked: Gate):
    answer = await unlocked.ask(method="POST", body=b"x" * LARGEST)
    assert json.loads(answer.text) == {"bytes": LARGEST}


async def test_a_body_that_says_it_is_larger_is_refused_before_it_comes(unlocked: Gate):
    for length in (str(LARGEST + 1), "9" * 19):
        request = f"POST /api/v1/home HTTP/1.1\r\nHost: {unlocked.host}\r\nContent-Length: {length}\r\n\r\n"
        answer = await unlocked.send(request.encode())
        assert answer.status == 413
        assert answer.headers["connection"] == "close"


async def test_a_body_that_turns_out_larger_is_refused_when_it_does(unlocked: Gate):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = f"POST /api/v1/home HTTP/1.1\r\nHost: {unlocked.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await unlocked.send(head.encode() + chunk * (LARGEST // 65536) + b"1\r\nx\r\n0\r\n\r\n")
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "64 KiB" in answer.text
    assert unlocked.counters.value("web_refused_total", reason="body") == 1


async def test_a_request_that_says_two_things_of_its_body_is_refused(unlocked: Gate):
    both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    two = "Content-Length: 5\r\nContent-Length: 50\r\n"
    for lines in (both, two):
        request = f"POST /api/v1/home HTTP/1.1\r\nHost: {unlocked.host}\r\nConnection: close\r\n{lines}\r\n0\r\n\r\n"
        answer = await unlocked.send(request.encode())
        assert answer.status == 400 or lines == both  # then the chunks count, and the connection ends with the answer
        assert "close" in answer.headers["connection"]


# ------------------------------------------------------------------------------------------------------------ streams


async def test_a_stream_is_passed_on_as_it_comes_and_ends_with_its_token(closed: Gate):
    async with closed.stream({"Authorization": f"Bearer {closed.token}"}) as reader:
        await closed.change(lambda kept: kept.without_token("grafana"))
        async with asyncio.timeout(10):
            assert await reader.readuntil(b"\r\n0\r\n\r\n") == b"\r\n0\r\n\r\n", "whole, so that the client asks anew"
    assert closed.streams == ["ended"]
    assert (await closed.ask(token=True)).status == 401


async def test_a_stream_ends_with_the_logout_of_its_session_and_no_other(closed: Gate):
    mine, other = (await closed.log_in()).cookie, (await closed.log_in()).cookie
    async with closed.stream({"Cookie": mine}) as reader, closed.stream({"Cookie": other}):
        left = await closed.ask("/logout", {"Cookie": mine, "Origin": f"http://{closed.host}"}, method="POST")
        assert left.status == 303
        async with asyncio.timeout(10):
            await reader.readuntil(b"0\r\n\r\n")
        assert closed.streams == ["ended"]


async def test_open_streams_end_when_the_first_password_is_set(unlocked: Gate):
    kept = await asyncio.to_thread(hashed, PASSWORD)
    async with unlocked.stream({}) as reader:
        await unlocked.change(lambda none: none.with_user("anna", kept))
        async with asyncio.timeout(10):
            await reader.readuntil(b"0\r\n\r\n")
    assert (await unlocked.ask()).status == 401


async def test_a_listener_who_goes_away_is_forgotten(closed: Gate):
    async with closed.stream({"Authorization": f"Bearer {closed.token}"}):
        pass
    await eventually(lambda: closed.streams == ["ended"])
    assert not closed.access._under_way._callers


async def test_there_are_no_websockets(closed: Gate):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert (await closed.ask(headers=upgrade)).status in (400, 401)


# ------------------------------------------------------------------------------- what no server of ours lets through


def scope_of(closed: Gate, *more: tuple[bytes, bytes], kind: str = "http", path: str = "/") -> dict:
    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {closed.token}".encode()), *more]
    return {
        "type": kind,
        "method": "GET",
        "path": path,
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }


async def never() -> dict:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_websocket_is_refused_where_a_server_would_offer_them(closed: Gate):
    sent = []

    async def app(scope, receive, send):
        raise AssertionError

    async def send(message):
        sent.append(message)

    await closed.access.guard(app)(scope_of(closed, kind="websocket"), never, send)
    assert sent == [{"type": "websocket.close"}]


async def test_two_hosts_are_refused_by_the_guard_too(closed: Gate):
    sent = []

    async def app(scope, receive, send):
        raise AssertionError

    async def send(message):
        sent.append(message)

    await closed.access.guard(app)(scope_of(closed, (b"host", b"127.0.0.1")), never, send)
    assert sent[0]["status"] == 400


async def test_an_app_that_does_not_listen_for_the_end_is_ended_all_the_same(closed: Gate):
    sent, more = [], asyncio.Event()

    async def deaf(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await more.wait()
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b"secret", "more_body": True})

    async def send(message):
        sent.append(message.get("body"))

    task = asyncio.create_task(closed.access.guard(deaf)(scope_of(closed), never, send))
    await eventually(lambda: b"first" in sent)
    await closed.change(lambda kept: kept.without_token("grafana"))
    more.set()
    await task
    assert sent[1:] == [b"first", b""]
