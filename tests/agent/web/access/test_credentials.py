"""The file of the credentials, and what a password is."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import Misconfigured
from agent.web.access.credentials import TOKEN_PREFIX, Credentials, new_token, user_name
from agent.web.access.passwords import hashed, password_fault, verify
from agent.web.access.sessions import begun, read, written
from agent.web.access.store import Store

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


def test_the_file_is_its_owners_alone_and_holds_no_password_and_no_token(tmp_path: Path):
    store, token = Store(tmp_path / "data"), new_token()
    store.change(lambda none: none.with_user("anna", hashed("four words are enough")).with_token("ha", token, NOW))
    assert store.path.stat().st_mode & 0o777 == 0o600
    text = store.path.read_text()
    assert "four words" not in text
    assert token not in text
    assert token.removeprefix(TOKEN_PREFIX) not in text
    assert json.loads(text)["users"]["anna"]["password"].startswith("$argon2id$")
    assert [path.name for path in store.path.parent.iterdir()] == ["web.json"]
    kept = store.read()
    assert kept is not None
    assert kept.token(token) == "ha"
    assert kept.token(token[:-1]) is None
    assert verify(kept.users["anna"].password, "four words are enough")


def test_nothing_of_it_is_shown_by_accident():
    credentials = (
        Credentials.new().with_user("anna", hashed("four words are enough")).with_token("ha", new_token(), NOW)
    )
    for secret in (credentials.secret, credentials.users["anna"].password, credentials.tokens["ha"].sha256):
        assert secret not in repr(credentials)


def test_without_a_file_there_is_nobody(tmp_path: Path):
    store = Store(tmp_path / "nowhere")
    assert store.read() is None
    assert store.stamp() is None
    assert not Credentials.new().any


def test_the_signing_secret_stays_and_each_change_is_seen(tmp_path: Path):
    store = Store(tmp_path)
    secret = store.change(lambda none: none.with_token("one", new_token(), NOW)).secret
    before = store.stamp()
    assert store.change(lambda kept: kept.with_token("two", new_token(), NOW)).secret == secret
    assert store.stamp() != before
    assert len(secret) >= 40


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_file_that_others_may_read_is_mended_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int):
    store = Store(tmp_path)
    store.change(lambda none: none.with_token("one", new_token(), NOW))
    store.path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert store.read() is not None
    assert f"(mode {mode:o})" in caplog.text
    assert store.path.stat().st_mode & 0o777 == 0o600
    caplog.clear()
    store.read()
    assert not caplog.records


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '{"secret": "short"}', '{"version": 2}', "\x00" * 100, "not json"]
)
def test_a_file_that_makes_no_sense_is_not_nobody(tmp_path: Path, text: str):
    store = Store(tmp_path)
    store.path.write_text(text)
    store.path.chmod(0o600)
    with pytest.raises(Misconfigured, match=r"web\.json holds the passwords.*can't be used: .+delete it"):
        store.read()
    with pytest.raises(Misconfigured):
        store.change(lambda kept: kept)
    assert store.path.read_text() == text


def test_a_folder_in_its_place_is_told(tmp_path: Path):
    (tmp_path / "web.json").mkdir()
    with pytest.raises(Misconfigured, match="can't be used: Is a directory"):
        Store(tmp_path).read()


def test_what_cant_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="can't be written: Not a directory"):
        Store(tmp_path / "file" / "data").change(lambda kept: kept.without_token("one"))


def test_what_a_killed_run_left_behind_harms_nothing(tmp_path: Path):
    store = Store(tmp_path)
    (tmp_path / "web.new").write_text("{half")
    store.change(lambda none: none.with_token("one", new_token(), NOW))
    kept = store.read()
    assert kept is not None
    assert kept.any


def test_many_changes_at_once_are_all_kept(tmp_path: Path):
    def add(number: int) -> None:
        Store(tmp_path).change(lambda kept: kept.with_token(f"t{number}", new_token(), NOW))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = Store(tmp_path).read()
    assert kept is not None
    assert len(kept.tokens) == 8


def test_sessions_that_have_run_out_are_not_remembered_as_ended():
    credentials = Credentials.new().with_ended("old", NOW).with_ended("new", NOW + timedelta(days=29))
    later = credentials.with_ended("third", NOW + timedelta(days=31))
    assert sorted(later.ended) == ["new", "third"]


def test_a_clock_that_was_wrong_ends_no_session_at_once():
    credentials = Credentials.new().with_user("anna", hashed("four words are enough"))
    value = written(begun("anna", credentials, NOW), credentials)
    assert read(value, credentials, NOW - timedelta(hours=20))
    assert read(value, credentials, NOW - timedelta(days=2)) is None
    assert read(value, credentials, NOW + timedelta(days=30, seconds=1)) is None


# ---------------------------------------------------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    "password",
    [
        *(
            "",
            "seven77",
            "aaaaaaaaaaaa",
            "12345678",
            "87654321",
            "abababab",
            "qwertyui",
            "asdfghjk",
            "Password",
            "passw0rd1",
        ),
        *("P@ssw0rd!", "camscribe", "camscribe1", "annakarin", "AnnaKarin1!", "xannakarinx", "letmein123", "1q2w3e4r"),
        *("webcam2026", "        ", "x" * 1001, "abcdefgh", "hgfedcba", "passwort1", "iloveyou!"),
    ],
)
def test_what_is_no_password(password: str):
    fault = password_fault(password, "annakarin")
    assert fault is not None
    assert fault.endswith((".",))


@pytest.mark.parametrize(
    "password",
    [
        "four words are enough",
        "Tr0ub4dor&3",
        "correcthorse",
        "пароль-дома",
        "5a8c1f02",
        "my password is a long one",
        "é" * 3 + "xyzab",
    ],
)
def test_what_is_one(password: str):
    assert password_fault(password, "annakarin") is None


def test_a_password_is_the_same_however_its_accents_are_composed():
    assert verify(hashed("caf\u00e9 au lait"), "cafe\u0301 au lait")
    assert not verify(hashed("caf\u00e9 au lait"), "cafe au lait")


@pytest.mark.parametrize(
    "damaged", ["", "x", "$argon2id$", "$argon2id$v=19$m=1,t=1,p=1$AA$AA", "$2b$12$abcdefghijklmnopqrstuv"]
)
def test_a_hash_that_is_damaged_lets_nobody_in(damaged: str):
    assert not verify(damaged, "")


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "a/b", "a\nb", "é", "a" * 65, "a:b", "<a>"])
def test_what_is_no_name(name: str):
    assert user_name(name) is None
