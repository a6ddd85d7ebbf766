"""The address in the config: credentials of any kind, and no secret in what goes wrong."""

from __future__ import annotations

from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.redact import redact
from plugins.sources.http import HttpConfig
from plugins.sources.http.address import EXAMPLE, read_address

words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("url", "place", "whole", "password"),
    [
        ("http://10.0.0.2/a.jpg", "http://10.0.0.2", "http://10.0.0.2/a.jpg", ""),
        ("HTTPS://cam.lan:8443/a?x=1&y=2", "https://cam.lan:8443", "https://cam.lan:8443/a?x=1&y=2", ""),
        ("http://v:a@b/c#d?e:f@10.0.0.2:81/s", "http://10.0.0.2:81", "http://10.0.0.2:81/s", "a@b/c#d?e:f"),
        ("http://v:a%40b@10.0.0.2:80/s", "http://10.0.0.2", "http://10.0.0.2/s", "a@b"),
        ("http://v:100%@[fe80::1]:81/s", "http://[fe80::1]:81", "http://[fe80::1]:81/s", "100%"),
        ("http://10.0.0.2?snap=1", "http://10.0.0.2", "http://10.0.0.2?snap=1", ""),
        ("http://cam:5000/api/front%20door/latest.jpg?h=720", "http://cam:5000", None, ""),
    ],
)
def test_url_is_split_at_its_last_at_sign(url: str, place: str, whole: str | None, password: str) -> None:
    address = read_address(url)
    assert (address.place, str(address.url), address.password) == (place, whole or url, password)


@given(user=words, password=words)
def test_any_credentials_survive(user: str, password: str) -> None:
    address = read_address("http://old:older@10.0.0.2/s", user, password)
    assert (address.user, address.password) == (user, password)
    quoted = read_address(f"http://{quote(user, safe='')}:{quote(password, safe='')}@10.0.0.2/s")
    assert (quoted.user, quoted.password) == (user, password)
    assert "@" not in str(quoted.url)


@given(password=words.filter(lambda text: "%" not in text))
def test_any_raw_password_survives_in_the_url(password: str) -> None:
    assert read_address(f"http://viewer:{password}@10.0.0.2/s").password == password


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://viewer:s3cret@10.0.0.2/s",
        "viewer:s3cret@10.0.0.2",
        "http://viewer:s3cret@/s",
        "http://viewer:s3cret@10.0.0.2:port/s",
        "http://viewer:s3cret@10.0.0.2:99999/s",
        "http://viewer:s3cret@10.0.0.2:0/s",
        "http://viewer:s3cret@[fe80::1/s",
        "http://10.0.0.2/snap.cgi?user=a&pwd=p@s3cret",
        "http://10.0.0.2:88/snap.cgi?user=a&pwd=p@s3cret",
        "http://viewer:s3cret@10.0.0.2/a b",
        "http://viewer:s3cret@10.0.0.2/a\r\nb",
        "http://viewer:s3cret@xn--/a",
    ],
)
def test_unusable_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpConfig(url=url)
    assert "s3cret" not in str(caught.value)
    assert "address" in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "ümlaut", "line\nbreak"])
def test_unusable_token_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HttpConfig(url="http://10.0.0.2/s", token=token)
    assert not token or token not in str(caught.value)


def test_one_login_only() -> None:
    with pytest.raises(ValidationError, match="a token goes without user name and password"):
        HttpConfig(url="http://viewer:s3cret@10.0.0.2/s", token="t0ken")


def test_nothing_shows_a_secret() -> None:
    config = HttpConfig(url="http://viewer:s3cret@10.0.0.2/s?password=s3cret", password="s3cret")
    shown = f"{config!r} {config} {config.address!r} {config.address} {config.model_dump()} {config.model_dump_json()}"
    assert "s3cret" not in shown
    assert "s3cret" not in repr(HttpConfig(url="http://10.0.0.2/s", token="s3cret"))


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
        return text.replace("SCHEME", "http").replace("OTHER", "rtsp").replace("EXAMPLE", EXAMPLE)

    with pytest.raises(ValueError, match="address") as caught:
        read_address(filled(url))
    assert filled(told) in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert redact(str(caught.value)) == str(caught.value)  # an example with a login would be masked


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 5000, "²", "port", "-1", "+80"])
@pytest.mark.parametrize("host", ["10.0.0.2", "[fe80::1]", "viewer:s3cret@cam.lan"])
def test_a_port_that_is_none_is_named_as_such(host: str, port: str) -> None:
    with pytest.raises(ValueError, match=r"the port in the address must be a number from 1 to 65535$"):
        read_address(f"http://{host}:{port}/s")


@pytest.mark.parametrize("port", ["1", "0080", "65535", ""])
def test_any_other_port_is_taken(port: str) -> None:
    assert "10.0.0.2" in read_address(f"http://10.0.0.2:{port}/s").place


def test_a_password_that_yaml_cut_off_is_guessed_and_not_shown() -> None:
    written = yaml.safe_load("url: http://viewer:s3cret #rest@10.0.0.2/s")
    with pytest.raises(ValueError, match="In YAML a # behind a space begins a remark: put the address in q") as caught:
        read_address(written["url"])
    assert "s3cret" not in str(caught.value)
    assert "viewer" not in str(caught.value)
