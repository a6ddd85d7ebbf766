"""What ``web:`` says is kept in the form in which the Guard compares it."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config import parse
from agent.config.grammar import WebSettings
from tests.agent.config.household import discover


def web(**given: Any) -> WebSettings:
    config = parse({"cameras": {"door": {"source": "demo"}}, "web": given}, discover=discover)
    assert config.web is not None
    return config.web


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Cam.Example.Org", "cam.example.org"),
        ("cam.example.org.", "cam.example.org"),
        ("kü.example", "xn--k-eha.example"),
        ("nas", "nas"),
        ("[FE80::1]", "fe80::1"),
    ],
)
def test_names_are_kept_as_browsers_send_them(written: str, kept: str):
    assert web(names=written).names == (kept,)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("http://localhost:5173", "http://localhost:5173"),
        ("HTTP://Example.Org:80", "http://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(written: str, kept: str):
    assert web(compat={"origins": [written]}).compat.origins == (kept,)


@pytest.mark.parametrize(("written", "kept"), [("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.1/32", "10.0.0.1")])
def test_proxies_are_addresses_and_networks(written: str, kept: str):
    assert web(proxies=[written]).proxies == (kept,)


def test_ingress_through_home_assistant_alone():
    settings = web(ingress=True, proxies=["172.30.32.2"])
    assert (settings.ingress, settings.proxies) == (True, ("172.30.32.2",))


def test_any_free_port_may_be_had_twice():
    settings = web(port=0, compat={"port": 0})
    assert settings.compat is not None
    assert (settings.port, settings.compat.port, settings.compat.origins) == (0, 0, ("http://localhost:5173",))


def test_paths_count_from_the_configs_folder(tmp_path):
    data = {"cameras": {"door": {"source": "demo"}}, "web": {"certificate": "cert.pem", "key": "/etc/key.pem"}}
    settings = parse(data, folder=tmp_path, discover=discover).web
    assert settings is not None
    assert (settings.certificate, str(settings.key)) == (tmp_path / "cert.pem", "/etc/key.pem")


def test_false_is_none():
    assert parse({"cameras": {"door": {"source": "demo"}}, "web": False}, discover=discover).web is None
    environ = {"CAMSCRIBE_WEB": "false"}
    assert parse({"cameras": {"door": {"source": "demo"}}}, environ=environ, discover=discover).web is None
