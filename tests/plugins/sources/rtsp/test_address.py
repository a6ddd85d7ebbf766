"""The address in the config: credentials of any kind, and no secret in what goes wrong."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.redact import redact
from plugins.sources.rtsp import RtspConfig
from plugins.sources.rtsp.address import EXAMPLE, read_address

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


def short_enough(user: str, password: str) -> bool:
    return len(f"{quote(user, safe='')}:{quote(password, safe='')}") <= 127


def login(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return unquote(split.username or ""), unquote(split.password or "")


@pytest.mark.parametrize(
    ("url", "place", "whole"),
    [
        ("rtsp://10.0.0.2/a", "10.0.0.2:554", "rtsp://10.0.0.2:554/a"),
        ("rtsps://cam.lan/a?x=1&y=2", "cam.lan:322", "rtsps://cam.lan:322/a?x=1&y=2"),
        ("RTSP://viewer@10.0.0.2:8554", "10.0.0.2:8554", "rtsp://viewer@10.0.0.2:8554"),
        ("rtsp://u:p@[fe80::1]:554/a", "[fe80::1]:554", "rtsp://u:p@[fe80::1]:554/a"),
        ("rtsp://u:a@b/c#d?e:f@10.0.0.2/s", "10.0.0.2:554", "rtsp://u:a%40b%2Fc%23d%3Fe%3Af@10.0.0.2:554/s"),
        ("rtsp://u:a%40b%2Fc@10.0.0.2/s", "10.0.0.2:554", "rtsp://u:a%40b%2Fc@10.0.0.2:554/s"),
        ("rtsp://u:100%@10.0.0.2/s", "10.0.0.2:554", "rtsp://u:100%25@10.0.0.2:554/s"),
        ("rtsp://10.0.0.2?stream=1", "10.0.0.2:554", "rtsp://10.0.0.2:554?stream=1"),
    ],
)
def test_url_is_split_at_its_last_at_sign(url: str, place: str, whole: str) -> None:
    address = read_address(url)
    assert (address.place, address.url) == (place, whole)


def test_separate_settings_are_literal_and_win() -> None:
    address = read_address("rtsp://old:older@10.0.0.2/s", "new", "%41/@")
    assert address.url == "rtsp://new:%2541%2F%40@10.0.0.2:554/s"


@given(user=words, password=words)
def test_any_credentials_survive_as_settings(user: str, password: str) -> None:
    assume(short_enough(user, password))
    assert login(read_address("rtsp://10.0.0.2/s", user, password).url) == (user, password)


@given(user=words, password=words)
def test_any_quoted_credentials_survive_in_the_url(user: str, password: str) -> None:
    assume(short_enough(user, password))
    url = f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@10.0.0.2/s"
    assert login(read_address(url).url) == (user, password)


@given(password=words.filter(lambda text: "%" not in text))
def test_any_raw_password_survives_in_the_url(password: str) -> None:
    assume(short_enough("viewer", password))
    assert login(read_address(f"rtsp://viewer:{password}@10.0.0.2/s").url) == ("viewer", password)


@pytest.mark.parametrize(
    "url",
    [
        "http://viewer:s3cret@10.0.0.2/s",
        "viewer:s3cret@10.0.0.2",
        "rtsp://viewer:s3cret@/s",
        "rtsp://viewer:s3cret@10.0.0.2:port/s",
        "rtsp://viewer:s3cret@10.0.0.2:99999/s",
        "rtsp://viewer:s3cret@[fe80::1/s",
        "rtsp://viewer:s3cret@10.0.0.2/a b",
        "rtsp://10.0.0.2/user=a&password=p@s3cret&stream=1.sdp",
        "rtsp://10.0.0.2:554/user=a&password=p@s3cret",
        "rtsp://[fe80::1]:554/user=a&password=p@s3cret",
        "rtsp://viewer:p@10.0.0.2/a?password=p@s3cret&stream=1.sdp",
        "rtsp://viewer:s3cret@10.0.0.2/a\r\nb",
    ],
)
def test_unusable_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RtspConfig(url=url)
    assert "s3cret" not in str(caught.value)
    assert "address" in str(caught.value)


@pytest.mark.parametrize("password", ["p" * 120, "/" * 40])
def test_login_that_ffmpeg_takes_whole_is_taken(password: str) -> None:
    assert login(read_address("rtsp://10.0.0.2/s", "viewer", password).url) == ("viewer", password)


@pytest.mark.parametrize("password", ["p" * 121, "/" * 41])
def test_login_that_ffmpeg_would_cut_is_refused(password: str) -> None:
    with pytest.raises(ValidationError, match=r"too long: 1[23]\d characters, and 126 can") as caught:
        RtspConfig(url="rtsp://viewer@10.0.0.2/s", password=password)
    assert password[:20] not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["rtsp://vie.wer:12@34/ab@10.0.0.2/s", "rtsp://viewer:12/ab@10.0.0.2/s", "rtsp://cam_2.lan/s"]
)
def test_odd_logins_and_hosts_are_not_taken_for_an_at_sign_in_the_path(url: str) -> None:
    assert read_address(url).host in {"10.0.0.2", "cam_2.lan"}


def test_nothing_shows_the_password() -> None:
    config = RtspConfig(url="rtsp://viewer:s3cret@10.0.0.2/s", password="s3cret")
    shown = f"{config!r} {config} {config.address!r} {config.address} {config.model_dump()} {config.model_dump_json()}"
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("192.168.1.20/live", "the address has no SCHEME:// in front; it looks like EXAMPLE"),
        ("viewer:s3cret@10.0.0.2", "the address has no SCHEME:// in front; it looks like EXAMPLE"),
        ("viewer:s3cret://x@10.0.0.2", "the address has no SCHEME:// in front; it looks like EXAMPLE"),
        ("s3cret://10.0.0.2/s", "the address begins with something other than SCHEME://; it looks like EXAMPLE"),
        ("OTHER://viewer:s3cret@10.0.0.2/s", "which another source reads: write 'use: OTHER'"),
        ("rtmp://viewer:s3cret@10.0.0.2/s", "doesn't speak RTMP; most cameras have an rtsp:// address too"),
        ("SCHEME:///s3cret", "the address has no host that can be read; it looks like EXAMPLE"),
    ],
)
def test_what_is_wrong_is_named(url: str, told: str) -> None:
    def filled(text: str) -> str:
        return text.replace("SCHEME", "rtsp").replace("OTHER", "http").replace("EXAMPLE", EXAMPLE)

    with pytest.raises(ValueError, match="address") as caught:
        read_address(filled(url))
    assert filled(told) in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert redact(str(caught.value)) == str(caught.value)  # an example with a login would be masked


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 5000, "²", "port", "-1", "+80"])
@pytest.mark.parametrize("host", ["10.0.0.2", "[fe80::1]", "viewer:s3cret@cam.lan"])
def test_a_port_that_is_none_is_named_as_such(host: str, port: str) -> None:
    with pytest.raises(ValueError, match=r"the port in the address must be a number from 1 to 65535$"):
        read_address(f"rtsp://{host}:{port}/s")


@pytest.mark.parametrize("port", ["1", "0080", "65535", ""])
def test_any_other_port_is_taken(port: str) -> None:
    assert "10.0.0.2" in read_address(f"rtsp://10.0.0.2:{port}/s").place


def test_a_password_that_yaml_cut_off_is_guessed_and_not_shown() -> None:
    written = yaml.safe_load("url: rtsp://viewer:s3cret #rest@10.0.0.2/s")
    with pytest.raises(ValueError, match="In YAML a # behind a space begins a remark: put the address in q") as caught:
        read_address(written["url"])
    assert "s3cret" not in str(caught.value)
    assert "viewer" not in str(caught.value)
