"""Logging in and out, and who guesses."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.web.access import passwords
from agent.web.access.attempts import BY_ADDRESS, BY_NAME, FORGOTTEN_AFTER
from agent.web.access.login import next_path
from agent.web.access.passwords import MOST_WAITING, hashed, verify
from tests.fakes.gate import PASSWORD, TYPED, USER, Gate, gate

DAY = 86400.0


@pytest.fixture
async def closed(tmp_path: Path):
    async with gate(tmp_path) as found:
        yield found


async def test_the_page_works_without_scripts(closed: Gate):
    page = await closed.ask("/login?next=/timeline", TYPED)
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    assert '<form method="post" action="/login">' in page.text
    assert '<input type="hidden" name="next" value="/timeline">' in page.text
    assert 'type="password"' in page.text
    assert "<script" not in page.text
    assert (await closed.ask("/login", TYPED, method="HEAD")).status == 200


async def test_the_right_password_lets_in_and_leads_on(closed: Gate):
    answer = await closed.log_in(next="/timeline?q=a")
    assert (answer.status, answer.headers["location"]) == (303, "/timeline?q=a")
    (cookie,) = answer.cookies
    assert cookie.endswith("; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict")
    assert cookie.startswith("camscribe-")
    assert "Domain" not in cookie
    assert (await closed.ask("/", {"Cookie": answer.cookie})).status == 200
    assert '"kind":"session","name":"anna"' in (await closed.ask(headers={"Cookie": answer.cookie})).text
    assert closed.counters.value("web_logins_total", outcome="right") == 1


async def test_a_name_may_be_written_as_a_telephone_writes_it(closed: Gate):
    for user in ("anna", "Anna ", "ANNA", "\uff41nna"):
        assert (await closed.log_in(user=user)).status == 303


WRONG = [
    *(("wr0ng", USER), ("", USER), (PASSWORD, "bob"), (PASSWORD, ""), (PASSWORD, "anna\x00"), (PASSWORD + " ", USER)),
    *((PASSWORD.upper(), USER), ("x" * 5000, USER), ("\x00", USER), ("' OR 1=1 --", "' OR 1=1 --")),
]


async def test_anything_else_does_not(closed: Gate):
    for password, user in WRONG:
        await closed.clock.advance(FORGOTTEN_AFTER)
        answer = await closed.log_in(password, user)
        assert answer.status == 401
        assert not answer.cookies
        assert "This user name or this password is wrong." in answer.text
        assert not password or password not in answer.text


async def test_a_name_comes_back_as_text(closed: Gate):
    page = await closed.log_in("x" * 9, "a.b@c-d_e")
    assert 'value="a.b@c-d_e"' in page.text
    assert "Log out" not in page.text
    page = await closed.log_in("x" * 9, '"><script>alert(1)</script>')
    assert "<script>" not in page.text


async def test_only_a_form_is_taken(closed: Gate):
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain", ""):
        answer = await closed.log_in(headers={"Content-Type": kind})
        assert answer.status == 415
        assert not answer.cookies


async def test_a_form_that_makes_no_sense_is_refused(closed: Gate):
    sent = {"Content-Type": "application/x-www-form-urlencoded", **TYPED}
    for body, status in ((b"user=%ff", 400), (b"\xff", 400), (b"&".join([b"a=b"] * 20), 400), (b"x" * 20000, 413)):
        assert (await closed.ask("/login", sent, method="POST", body=body)).status == status
    assert (await closed.ask("/login", sent, method="POST", body=b"")).status == 401


# ------------------------------------------------------------------------------------------------------ open redirect

ELSEWHERE = [
    *(
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:x",
    ),
    *(
        "///evil.example",
        "/%0d%0aSet-Cookie:x=y\r\nSet-Cookie: a=b",
        "/\r\nLocation: //evil.example",
        "evil.example",
        "",
    ),
    *("/login?next=/login", "/logout", "/é", "/a b", " //evil.example", "/\x00", "http:evil.example", "@evil.example"),
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nobody_is_sent_elsewhere(path: str):
    assert next_path(path) == "/"


@pytest.mark.parametrize("path", ["/", "/timeline", "/observations/019a?x=%2F%5C", "/a//b", "/?q=//evil.example&c[]=1"])
def test_a_page_of_ours_is_kept(path: str):
    assert next_path(path) == path


async def test_neither_the_login_nor_its_page_leads_elsewhere(closed: Gate):
    cookie = (await closed.log_in()).cookie
    for path in ELSEWHERE:
        answer = await closed.log_in(next=path)
        assert (answer.status, answer.headers["location"]) == (303, "/"), path
        assert len(answer.cookies) == 1
        answer = await closed.ask(f"/login?next={quote(path)}", {**TYPED, "Cookie": cookie})
        assert (answer.status, answer.headers["location"]) == (303, "/"), path
        assert not answer.cookies


# ----------------------------------------------------------------------------------------------------------- sessions


async def test_a_login_makes_a_new_session_whatever_cookie_comes_with_it(closed: Gate):
    """Else somebody could give a browser a session that they know, and wait until it is logged in."""
    first = await closed.log_in()
    name = first.cookie.partition("=")[0]
    for planted in (first.cookie, f"{name}=planted", f"{name}="):
        again = await closed.log_in(headers={"Cookie": planted})
        assert again.cookie not in ("", planted, first.cookie)


async def test_a_cookie_that_was_changed_is_none(closed: Gate):
    cookie = (await closed.log_in()).cookie
    name, _, value = cookie.partition("=")
    for wrong in ("", "x", value[:-1], value + "x", value.swapcase(), value.split(".")[0], f'"{value}"', f"{value} x"):
        assert (await closed.ask(headers={"Cookie": f"{name}={wrong}"})).status == 401, wrong
    assert (await closed.ask(headers={"Cookie": f"other={value}"})).status == 401
    assert (await closed.ask(headers={"Cookie": f"a=b; {name}=planted; {cookie}; c"})).status == 200


async def test_the_secret_of_another_camscribe_signs_nothing(tmp_path: Path, closed: Gate):
    async with gate(tmp_path / "other") as other:
        theirs = (await other.log_in()).cookie.partition("=")[2]
    mine = (await closed.log_in()).cookie.partition("=")[0]
    assert (await closed.ask(headers={"Cookie": f"{mine}={theirs}"})).status == 401


async def test_logging_out_ends_the_session_for_a_copy_of_its_cookie_too(closed: Gate, tmp_path: Path):
    mine, other = (await closed.log_in()).cookie, (await closed.log_in()).cookie
    answer = await closed.ask("/logout", {"Cookie": mine, **TYPED}, method="POST")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    (gone,) = answer.cookies
    assert gone.startswith(f"{mine.partition('=')[0]}=; Max-Age=0; Path=/")
    assert (await closed.ask(headers={"Cookie": mine})).status == 401
    assert (await closed.ask(headers={"Cookie": other})).status == 200
    async with gate(tmp_path, password=False) as restarted:
        assert (await restarted.ask(headers={"Cookie": mine})).status == 401
        assert (await restarted.ask(headers={"Cookie": other})).status == 200


async def test_a_link_logs_nobody_out(closed: Gate):
    cookie = (await closed.log_in()).cookie
    assert (await closed.ask("/logout", {"Cookie": cookie, **TYPED})).status == 405
    crossed = {"Cookie": cookie, "Origin": "https://evil.example"}
    assert (await closed.ask("/logout", crossed, method="POST")).status == 403
    assert (await closed.ask(headers={"Cookie": cookie})).status == 200


async def test_a_session_lasts_thirty_days_and_is_renewed_by_use(closed: Gate):
    cookie = (await closed.log_in()).cookie
    assert not (await closed.ask(headers={"Cookie": cookie})).cookies, "it is fresh"
    await closed.clock.advance(20 * DAY)
    renewed = await closed.ask(headers={"Cookie": cookie})
    assert renewed.status == 200
    assert renewed.cookies[0].endswith("; Max-Age=2592000; Path=/; HttpOnly; SameSite=Strict")
    await closed.clock.advance(11 * DAY)
    assert (await closed.ask(headers={"Cookie": cookie})).status == 401
    assert (await closed.ask(headers={"Cookie": renewed.cookie})).status == 200


async def test_a_renewed_session_ends_with_the_logout_of_its_older_cookie(closed: Gate):
    cookie = (await closed.log_in()).cookie
    await closed.clock.advance(2 * DAY)
    renewed = (await closed.ask(headers={"Cookie": cookie})).cookie
    await closed.ask("/logout", {"Cookie": cookie}, method="POST")
    assert (await closed.ask(headers={"Cookie": renewed})).status == 401


async def test_logging_out_sets_no_renewed_cookie(closed: Gate):
    cookie = (await closed.log_in()).cookie
    await closed.clock.advance(2 * DAY)
    (only,) = (await closed.ask("/logout", {"Cookie": cookie}, method="POST")).cookies
    assert "Max-Age=0" in only


@pytest.mark.parametrize("change", ["password", "same password", "removed", "removed and added"])
async def test_a_changed_password_ends_its_sessions_and_no_others(closed: Gate, change: str):
    own, same = await asyncio.to_thread(hashed, "another one of four"), await asyncio.to_thread(hashed, PASSWORD)
    await closed.change(lambda kept: kept.with_user("bob", own))
    mine, bobs = (await closed.log_in()).cookie, (await closed.log_in("another one of four", "bob")).cookie
    changes: dict[str, Callable] = {
        "password": lambda kept: kept.with_user(USER, own),
        "same password": lambda kept: kept.with_user(USER, same),
        "removed": lambda kept: kept.without_user(USER),
        "removed and added": lambda kept: kept.without_user(USER).with_user(USER, same),
    }
    await closed.change(changes[change])
    assert (await closed.ask(headers={"Cookie": mine})).status == 401
    assert (await closed.ask(headers={"Cookie": bobs})).status == 200


# -------------------------------------------------------------------------------------------------------- brute force


async def test_who_guesses_has_to_wait_longer_and_longer(closed: Gate):
    waits = []
    for number in range(BY_ADDRESS.free + 6):
        answer = await closed.log_in(f"guess {number}")
        if answer.status == 429:
            waits.append(int(answer.headers["retry-after"]))
            assert (await closed.log_in()).status == 429, "not with the right one either"
            assert "Wait" in answer.text
            assert "try again" in answer.text
            await closed.clock.advance(waits[-1])
            assert (await closed.log_in(f"guess {number}")).status == 401
    assert waits == [1, 2, 4, 8, 16, 32]
    await closed.clock.advance(64)
    assert (await closed.log_in()).status == 303
    assert (await closed.log_in("wrong")).status == 401, "a success forgets"


async def test_waiting_in_vain_makes_the_pause_no_longer(closed: Gate):
    for _ in range(BY_ADDRESS.free + 20):
        await closed.log_in("wrong")
    await closed.clock.advance(1)
    assert (await closed.log_in()).status == 303


async def test_guesses_from_many_addresses_for_one_name_have_to_wait(tmp_path: Path):
    async with gate(tmp_path, proxies=["127.0.0.1"], names=["cam.example.org"]) as closed:
        statuses = [
            (await closed.log_in("wrong", headers={"X-Forwarded-For": f"203.0.113.{number}"})).status
            for number in range(BY_NAME.free + 1)
        ]
        assert statuses == [401] * BY_NAME.free + [429]
        assert (await closed.log_in("wrong", "bob", headers={"X-Forwarded-For": "203.0.113.99"})).status == 401


async def test_guesses_from_one_address_harm_nobody_at_another(tmp_path: Path):
    async with gate(tmp_path, proxies=["127.0.0.1"], names=["cam.example.org"]) as closed:
        for number in range(BY_ADDRESS.free + 1):
            guessed = await closed.log_in("wrong", f"user{number}", headers={"X-Forwarded-For": "203.0.113.1"})
        assert guessed.status == 429
        assert (await closed.log_in(headers={"X-Forwarded-For": "203.0.113.2"})).status == 303


async def test_an_address_that_nobody_vouches_for_does_not_start_the_count_anew(closed: Gate):
    for number in range(BY_ADDRESS.free + 1):
        answer = await closed.log_in("wrong", f"user{number}", headers={"X-Forwarded-For": f"203.0.113.{number}"})
    assert answer.status == 429


async def test_many_guesses_at_once_are_as_many(closed: Gate):
    answers = await asyncio.gather(*(closed.log_in(f"guess {number}") for number in range(20)))
    assert [answer.status for answer in answers].count(429) >= 20 - BY_ADDRESS.free


async def test_only_so_many_passwords_wait_to_be_tried(closed: Gate, monkeypatch: pytest.MonkeyPatch):
    tried = 0

    def slow(expected: str, password: str) -> bool:
        nonlocal tried
        tried += 1
        return verify(expected, password)

    monkeypatch.setattr(passwords, "verify", slow)
    door = closed.access._passwords
    results = await asyncio.gather(*(door.right("x", None) for _ in range(MOST_WAITING + 5)), return_exceptions=True)
    assert tried == MOST_WAITING
    assert [type(result) for result in results[MOST_WAITING:]] == [passwords.Busy] * 5


async def test_a_user_who_is_not_there_takes_as_long_as_one_who_is(closed: Gate, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    monkeypatch.setattr(passwords, "verify", lambda expected, given: seen.append(expected) or verify(expected, given))
    texts = [(await closed.log_in("wrong password", user)).text.replace(user, "?") for user in ("anna", "nobody")]
    assert len(seen) == 2, "one hash each"
    assert seen[0].split("$")[:4] == seen[1].split("$")[:4], "of the same cost"
    assert len({re.sub(r'name="now" content="[^"]*"', "", text) for text in texts}) == 1


async def test_guessing_is_said_once_and_its_end_once(closed: Gate, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    for _ in range(BY_ADDRESS.free + 30):
        await closed.log_in("wrong")
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "somebody guesses passwords" in said.getMessage()
    assert "'anna' from '127.0.0.1'" in said.getMessage()
    caplog.clear()
    await closed.clock.advance(FORGOTTEN_AFTER)
    while not caplog.records:  # the watcher looks at the disk in between
        await closed.clock.advance(2)
        await asyncio.sleep(0.01)
    (ended,) = [record.getMessage() for record in caplog.records]
    assert ended.startswith("Logging in to the web pages: works again after 1 h")


async def test_a_password_that_is_typed_as_the_name_reaches_no_log(closed: Gate, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for _ in range(BY_ADDRESS.free + 2):
        await closed.log_in("hunter2hunter2", PASSWORD)
        await closed.log_in(PASSWORD + "x", "Correct-Horse")
    assert "guesses" in caplog.text
    for secret in (PASSWORD, "hunter2", "correct-horse", "Correct-Horse"):
        assert secret not in caplog.text


async def test_without_any_user_the_page_says_what_to_do(tmp_path: Path):
    async with gate(tmp_path) as closed:
        await closed.change(lambda kept: kept.without_user(USER))
        for page in (await closed.ask("/login", TYPED), await closed.log_in()):
            assert "camscribe web password" in page.text
            assert "<form" not in page.text
        assert (await closed.ask(token=True)).status == 200
