from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from agent.config import Config, ConfigFaults, load, parse
from tests.agent.config.household import discover

ODD = [
    "p@ss/w#rd?",
    "%41bc",
    "it's",
    'say "hi"',
    "Müller-Straße",
    "two words",
    "back\\slash",
    "[brackets]",
    "$dollar${HOME}",
    "co:lon:s",
    "a&b=c+d",
    "<tag>",
    "semi;colon,comma",
    "tab\there",
    "日本語",
    "{{ jinja }}",
    "#%@*!|>",
]


def _parse(text: object, environ: dict[str, str], key: str = "password") -> Config:
    data = {"cameras": {"door": {"source": "demo"}}, "outputs": {"mqtt": {"host": "broker", key: text}}}
    return parse(data, environ=environ, discover=discover)


def _password(text: str, environ: dict[str, str]) -> str:
    return _parse(text, environ).outputs["mqtt"].plugin.options.password.get_secret_value()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${PW}", "secret"),
        ("x${PW}y${PW}", "xsecretysecret"),
        ("${PW:-default}", "secret"),
        ("${NOBODY:-default}", "default"),
        ("${NOBODY:-}", ""),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("$${PW}", "${PW}"),
        ("$PW $$ $", "$PW $$ $"),
        ("${PW:-a:-b}", "secret"),
        ("${NOBODY:-a:-b}", "a:-b"),
    ],
)
def test_variables_are_filled_in(text: str, value: str) -> None:
    assert _password(text, {"PW": "secret", "EMPTY": ""}) == value


@pytest.mark.parametrize("password", ODD)
def test_a_password_may_have_any_character(password: str) -> None:
    assert _password("${PW}", {"PW": password}) == password


@pytest.mark.parametrize("password", ODD)
def test_in_a_url_it_is_quoted_so_that_the_url_stays_whole(password: str) -> None:
    data = {"cameras": {"door": {"source": "rtsp://viewer:${PW}@10.0.0.2:554/stream?x=1"}}}
    config = parse(data, environ={"PW": password}, discover=discover)
    url = urlsplit(config.cameras["door"].source.options.url.get_secret_value())
    assert (url.hostname, url.port, url.path, url.query) == ("10.0.0.2", 554, "/stream", "x=1")
    assert unquote(url.password or "") == password
    assert password in config.secrets


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("rtsp://${V}:literal@host/", "rtsp://a%2Fb%40c:literal@host/"),
        ("rtsp://user:p@ss${V}@host/", "rtsp://user:p@ssa%2Fb%40c@host/"),
        ("rtsp://user:p@ss/w#rd@host/", "rtsp://user:p@ss/w#rd@host/"),
        ("rtsp://host/${V}", "rtsp://host/a/b@c"),
        ("rtsp://${V}/user@x", "rtsp://a/b@c/user@x"),
        ("${V}", "a/b@c"),
        ("rtsp://host/?key=${V}@x", "rtsp://host/?key=a/b@c@x"),
        ("rtsp://${W:-u@h}:x@host/", "rtsp://u%40h:x@host/"),
    ],
)
def test_only_what_is_filled_in_and_only_in_the_user_part_is_quoted(template: str, value: str) -> None:
    data = {"cameras": {"door": {"source": {"use": "rtsp", "url": template}}}}
    config = parse(data, environ={"V": "a/b@c"}, discover=discover)
    assert config.cameras["door"].source.options.url.get_secret_value() == value


def test_a_secret_file_loses_only_its_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b" from a\nfile \r\n")
    (tmp_path / "config.yaml").write_text(
        "cameras: {door: {source: demo}}\noutputs: {mqtt: {host: b, username: '${file:secret}', password: x}}\n"
    )
    config = load(tmp_path / "config.yaml", {}, discover)
    assert config.outputs["mqtt"].plugin.options.username == " from a\nfile "
    assert " from a\nfile " in config.secrets, "what is kept in a file is a secret wherever it is used"


def test_a_secret_file_that_can_not_be_used_is_a_fault(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_text("x" * 70_000)
    for name, reason in (
        ("pipe", "is not a plain file"),
        ("binary", "is not UTF-8 text"),
        ("large", "is larger than 64 KiB"),
        ("none", "does not exist"),
        ("nul\x00byte", "does not exist"),
        ("~nobody_at_all/x", "is in a home folder that does not exist"),
    ):
        with pytest.raises(ConfigFaults) as raised:
            _parse(f"${{file:{tmp_path if '~' not in name else ''}{'/' if '~' not in name else ''}{name}}}", {})
        (fault,) = raised.value.faults
        assert fault.key == "outputs.mqtt.password"
        assert reason in fault.message


def test_what_becomes_a_secret() -> None:
    environ = {"PW": "password-1", "HOST": "broker.local", "USER": "somebody", "KEY": "key-2", "HEAD": "head-3"}
    data = {
        "cameras": {
            "a": {"source": "rtsp://${USER}:${PW}@${HOST}/s", "prompt": "${HOST}"},
            "b": {"source": "rtsp://literal:typed%2Fin@${HOST}/s?password=qpw-4&channel=1"},
            "c": {"source": "rtsp://raw:p@ss/w#rd@${HOST}/s"},
        },
        "outputs": {
            "mqtt": {"host": "${HOST}", "username": "${USER}", "password": "own-5"},
            "webhook": {"url": "https://example.org/path-6/${KEY}", "headers": {"X": "Bearer ${HEAD}"}},
        },
    }
    secrets = parse(data, environ=environ, discover=discover).secrets
    assert {"password-1", "typed%2Fin", "typed/in", "qpw-4", "p@ss/w#rd", "own-5", "key-2", "head-3"} <= secrets
    assert {"path-6/key-2", "Bearer head-3", "p%40ss%2Fw%23rd"} <= secrets
    assert not secrets & {"broker.local", "somebody", "literal", "1", ""}
