"""When the pages may be served at all, what is noticed while they are, and what is said of what was refused."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from agent.config.grammar import WebSettings
from agent.status import Counters
from agent.web.access.access import Access
from agent.web.access.attempts import BY_NAME, FORGOTTEN_AFTER, IN_ALL, MOST_KNOWN, Attempts, network_of
from agent.web.access.credentials import Credentials, new_token
from agent.web.access.refusals import SAID_EVERY
from agent.web.access.rule import examine, fault
from agent.web.access.store import Store
from tests.fakes.clock import START, FakeClock
from tests.fakes.gate import Gate, gate

SOMEBODY = Credentials.new().with_token("ha", new_token(), START)


@pytest.fixture
async def closed(tmp_path: Path):
    async with gate(tmp_path) as found:
        yield found


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_loopback_alone_no_password_is_needed(host: str):
    for credentials in (None, Credentials.new(), SOMEBODY):
        assert fault(WebSettings(host=host), credentials) is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"host": "0.0.0.0"}, "web.host is 0.0.0.0"),
        ({"host": "192.168.1.5"}, "web.host is 192.168.1.5"),
        ({"host": "::"}, "web.host is ::"),
        ({"host": "nas"}, "web.host is nas"),
        ({"names": ["cam.example.org"]}, "web.names is set"),
        ({"proxies": ["127.0.0.1"]}, "web.proxies is set"),
        ({"proxies": ["172.30.32.2"], "ingress": True}, "web.proxies is set"),
    ],
)
def test_whatever_lets_others_come_needs_one(settings: dict, why: str):
    for credentials in (None, Credentials.new()):
        told = fault(WebSettings(**settings), credentials)
        assert told is not None
        assert told.startswith(why)
        assert told.endswith("Set one with 'camscribe web password'.")
    assert fault(WebSettings(**settings), SOMEBODY) is None


def test_the_rule_is_told_for_what_is_on_the_disk(tmp_path: Path):
    settings = WebSettings(host="0.0.0.0")
    assert "camscribe web password" in (examine(settings, tmp_path) or "")
    Store(tmp_path).change(lambda none: none.with_token("ha", new_token(), START))
    assert examine(settings, tmp_path) is None
    (tmp_path / "web.json").write_text("{")
    assert "makes no sense" in (examine(WebSettings(), tmp_path) or "")


async def test_credentials_that_cant_be_read_are_a_fault_and_nobody_is_let_in(tmp_path: Path):
    (tmp_path / "web.json").write_text("{")
    access = Access(WebSettings(), tmp_path, FakeClock(), Counters())
    assert access.fault
    await access.open()
    assert "makes no sense" in (access.fault or "")


async def test_a_file_that_breaks_under_way_changes_nothing_and_is_said_once(
    closed: Gate, caplog: pytest.LogCaptureFixture
):
    text = closed.store.path.read_text()
    with caplog.at_level(logging.INFO):
        await asyncio.to_thread(closed.store.path.write_text, "{")
        for _ in range(5):
            await look_again(closed)
        assert caplog.text.count("makes no sense") == 1
        assert (await closed.ask(token=True)).status == 200
        assert (await closed.ask()).status == 401
        await asyncio.to_thread(closed.store.path.write_text, text)
        for _ in range(3):
            await look_again(closed)
        assert caplog.text.count("works again") == 1
    assert (await closed.ask(token=True)).status == 200


async def test_a_file_that_is_gone_leaves_the_door_shut_where_others_could_come(tmp_path: Path):
    async with gate(tmp_path, names=["cam.example.org"]) as closed:
        await asyncio.to_thread(closed.store.path.unlink)
        for _ in range(3):
            await look_again(closed)
        assert closed.access.credentials is None
        assert (await closed.ask(token=True)).status == 401
        assert (await closed.ask()).status == 401


async def look_again(closed: Gate) -> None:
    await closed.clock.advance(2)
    await asyncio.sleep(0.02)  # the look itself is a thread's


async def test_nothing_is_read_while_nothing_changes(closed: Gate):
    before = closed.access.credentials
    for _ in range(3):
        await look_again(closed)
    assert closed.access.credentials is before


# ------------------------------------------------------------------------------------------------------------ the log


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("camscribe")]


async def test_what_was_refused_is_counted_and_said_seldom(closed: Gate, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    for _ in range(30):
        await closed.ask(host="evil.example")
        await closed.ask(headers={"Origin": "https://evil.example"}, method="POST")
        await closed.ask()
        await closed.ask("//x")
    assert closed.counters.value("web_refused_total", reason="host") == 30
    assert closed.counters.value("web_refused_total", reason="origin") == 30
    assert closed.counters.value("web_refused_total", reason="login") == 30
    assert closed.counters.value("web_refused_total", reason="path") == 30
    said = ours(caplog)
    assert len(said) == 2
    assert "add it to web.names" in said[0]
    assert "'https://evil.example'" in said[1]
    caplog.clear()
    await closed.clock.advance(SAID_EVERY)
    await closed.ask(host="evil.example")
    (again,) = ours(caplog)
    assert again.endswith("(29 more like it since the last was said)")


FORGED = "x%0d%0a2026-11-22 18:04:05 ERROR camscribe: all is lost%1b[2J%e2%80%a8"


async def test_no_line_of_the_log_can_be_forged(closed: Gate, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    await closed.ask(f"/{FORGED}".replace(" ", "%20"))
    await closed.ask(headers={"Origin": "http://a\x85\x1b[31mERROR\xa0"}, method="POST")
    await closed.ask(host="a\x85b")
    await closed.log_in("x", "anna\r\n2026-11-22 ERROR all is lost\x1b[2J")
    await closed.ask("/" + "a" * 5000 + "//")
    lines = ours(caplog)
    assert len(lines) >= 4
    for line in lines:
        assert line.isprintable()
        assert line.isascii()
        assert len(line) < 400


async def test_no_secret_is_ever_said(closed: Gate, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    cookie = (await closed.log_in()).cookie
    marker = "marker-of-a-secret"
    await closed.ask(headers={"Authorization": f"Bearer {marker}", "Cookie": f"camscribe={marker}"})
    await closed.ask(f"/api/v1/home?token={marker}")
    await closed.ask(f"/login?next=/{marker}", method="POST")
    await closed.log_in(marker, marker)
    await closed.ask(headers={"Cookie": cookie}, method="DELETE", host="evil.example")
    said = ours(caplog)
    for secret in (
        marker,
        closed.token,
        cookie.partition("=")[2],
        str(closed.access.credentials and closed.access.credentials.secret),
    ):
        assert not [line for line in said if secret in line]


async def test_no_header_can_be_planted(closed: Gate):
    for target in ("/login?next=/%0d%0aSet-Cookie:%20a=b", "/timeline%0d%0aSet-Cookie:%20a=b", "/timeline?%0d%0aa:b"):
        for method in ("GET", "POST"):
            answer = await closed.ask(target, {"Accept": "text/html", "Sec-Fetch-Site": "none"}, method=method)
            assert "set-cookie" not in answer.headers
            assert "a" not in answer.headers


# ----------------------------------------------------------------------------------------------------------- attempts


async def test_what_is_remembered_of_attempts_is_bounded_and_forgotten():
    clock = FakeClock()
    attempts = Attempts(clock)
    for number in range(3 * MOST_KNOWN):
        attempts.begin(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", f"{number}" * 100)
        await clock.advance(IN_ALL.longest)
    assert len(attempts._addresses) == len(attempts._names) == MOST_KNOWN
    assert attempts.begin("192.0.2.1", "x") == 0
    for _ in range(BY_NAME.free):
        attempts.begin("192.0.2.1", "x")
    assert attempts.begin("192.0.2.1", "x") > 0
    await clock.advance(FORGOTTEN_AFTER)
    assert attempts.begin("192.0.2.1", "x") == 0


async def test_who_lives_here_is_not_kept_out_by_guesses_from_everywhere():
    attempts = Attempts(FakeClock())
    attempts.succeeded("192.168.1.7", "anna")
    for number in range(IN_ALL.free + BY_NAME.free):
        attempts.begin(f"10.0.{number // 250}.{number % 250}", "anna")
    assert attempts.begin("10.9.9.9", "anna") > 0
    assert [attempts.begin("192.168.1.7", "anna") for _ in range(3)] == [0.0] * 3
    waits = [attempts.begin("192.168.1.7", "anna") for _ in range(5)]
    assert waits[-1] > 0, "but its own wrong tries count"


async def test_all_addresses_together_are_slowed_down_a_little():
    attempts = Attempts(FakeClock())
    waits = [attempts.begin(f"192.0.{number // 250}.{number % 250}", f"n{number}") for number in range(IN_ALL.free + 1)]
    assert waits[:-1] == [0.0] * IN_ALL.free
    assert 0 < waits[-1] <= IN_ALL.longest


def test_a_household_of_ipv6_is_one():
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("") == network_of("testclient") == "unknown"
