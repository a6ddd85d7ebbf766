from __future__ import annotations

import io
import json
import logging
import re
import time
from urllib.parse import quote, quote_plus

import pytest

from agent.redact import Redactor, redact

ODD = [
    "p@ss/w#rd?",
    "%41bc",
    "it's",
    'say "hi"',
    "Müller-Straße",
    "two words",
    "back\\slash",
    "[brackets](and)",
    "$dollar${HOME}",
    "co:lon:s",
    "a&b=c+d",
    "<tag>",
    "semi;colon,comma",
    "tab\there",
    "日本語のパス",
    "{{ jinja }}",
    "*.?^$|+#%@!",
    "line\nbreak",
    "😀smile",
]


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(Redactor([*ODD, "abc"]))
    logger = logging.Logger("test")  # noqa: LOG001 (one of its own: pytest listens to the others)
    logger.addHandler(handler)
    return logger, stream


@pytest.mark.parametrize("secret", ODD)
@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        ascii,
        json.dumps,
        lambda text: json.dumps(json.dumps({"a": json.dumps(text)})),
        lambda text: repr(json.dumps({text: [repr(text)]})),
        lambda text: json.dumps(text, ensure_ascii=False),
        quote,
        quote_plus,
        lambda text: quote(text, safe=""),
        lambda text: re.sub("%..", lambda code: code[0].lower(), quote(text, safe="")),
        lambda text: quote(text, safe="!$&'()*+,;=:@"),
    ],
)
def test_a_secret_is_found_however_it_is_written(secret: str, write) -> None:
    written = write(secret)
    text = redact(f"before {written} behind", [secret])
    assert "***" in text
    bare = "".join(character for character in secret if character.isalnum())
    assert bare[:3] not in text or bare[:3] in "before behind"
    assert text.startswith("before")
    assert text.endswith("behind")


@pytest.mark.parametrize("secret", ODD)
def test_it_is_taken_out_of_records_and_tracebacks(secret: str, log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("message %s and %r", secret, {"password": secret})
    logger.warning("extra", extra={"url": f"rtsp://x:{quote(secret, safe='')}@host/"})
    try:
        try:
            {}[secret]
        except KeyError as error:
            raise ValueError(f"rtsp://viewer:{quote(secret, safe='')}@host/ and {secret}") from error
    except ValueError:
        logger.exception("failed")
    logger.warning("with a stack", stack_info=True)
    told = stream.getvalue()
    assert "Traceback (most recent call last)" in told
    assert "KeyError: " in told
    for form in (secret, quote(secret), quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert form not in told


def test_extra_fields_are_redacted_too() -> None:
    record = logging.makeLogRecord({"msg": "x", "camera": "door", "url": "the abcdef", "count": 3})
    assert Redactor(["abcdef"]).filter(record)
    assert (record.url, record.camera, record.count) == ("the ***", "door", 3)


def test_a_formatter_that_prints_exceptions_anew_has_none_to_print() -> None:
    error = ValueError("abcdef")
    record = logging.makeLogRecord({"msg": "x", "exc_info": (type(error), error, error.__traceback__)})
    assert Redactor(["abcdef"]).filter(record)
    assert record.exc_info is None
    assert "ValueError: ***" in str(record.exc_text)


def test_the_longest_secret_goes_first() -> None:
    assert redact("abc abcdef", ["abc", "abcdef"]) == "*** ***"
    assert redact("abcdef", {"def", "abc", "abcd"}) == "***ef"


@pytest.mark.parametrize("short", ["", "a", "ab", " "])
def test_a_very_short_secret_does_not_blank_half_of_every_line(short: str) -> None:
    assert redact("a cab and a cabbage", [short]) == "a cab and a cabbage"
    assert redact(f"rtsp://viewer:{short}@host/", [short]) == (
        "rtsp://***@host/" if short != " " else "rtsp://viewer: @host/"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://viewer:secret@10.0.0.2/s", "rtsp://***@10.0.0.2/s"),
        ("mqtts://token@host:8883", "mqtts://***@host:8883"),
        ("'http://a:b@h/x' and (rtsp://c:d@i)", "'http://***@h/x' and (rtsp://***@i)"),
        ("https://user:p@ss@host/", "https://***@host/"),
        ("http://host/path?mail=a@b.org", "http://host/path?mail=a@b.org"),
        ("mail a@b.org", "mail a@b.org"),
        ("rtsp://host/stream@2", "rtsp://host/stream@2"),
    ],
)
def test_the_user_part_of_any_url_is_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_text_without_secrets_is_left_alone() -> None:
    text = "front_door: 100 % of “everything” \\ [is] {fine}\n\tand stays"
    assert redact(text, ["nothing-of-it"]) == text


def test_a_long_log_line_is_no_work() -> None:
    redactor = Redactor([*ODD, *(f"secret-number-{n}" for n in range(50)), "x" * 2000])
    began = time.process_time()
    redactor.redact("a:" * 20_000 + "x" * 20_000 + "http://" * 3000)
    assert time.process_time() - began < 2
