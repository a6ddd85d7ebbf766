"""The webhook output against a real HTTP server: what is sent, and what each answer means."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version

import pytest
from standardwebhooks import Webhook

from agent.plugin import ObservationRefused, OutputUnavailable
from plugins.outputs.webhook import WebhookConfig, WebhookOutput
from tests.fakes.deliveries import PICTURE, Hand, context, delivery, observation
from tests.fakes.receiver import Answer, Receiver

KEY = "/hooks/marker-s3cret-path"


@pytest.fixture
async def receiver():
    async with Receiver.running() as running:
        yield running


async def send(receiver, tmp_path, *deliveries, **options) -> Hand:
    config = WebhookConfig.model_validate({"url": receiver.url + KEY, **options})
    hand = Hand(deliveries or [delivery(1)])
    try:
        await asyncio.wait_for(WebhookOutput(config, context(tmp_path, "alerts")).deliver(hand.__aiter__()), 20)
    finally:
        receiver.confirmed = hand.confirmed
    return hand


async def test_the_observations_json_is_posted(receiver, tmp_path):
    hand = await send(receiver, tmp_path, delivery(1), delivery(2, None))
    assert hand.confirmed == [1, 2]
    first, second = receiver.requests
    assert (first.method, first.path) == ("POST", KEY)
    assert first.json == observation(1).model_dump(mode="json")
    assert second.json["error"]["kind"] == "timeout"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["user-agent"] == f"camscribe/{version('camscribe')}"
    assert first.headers["webhook-id"] == observation(1).id
    assert "webhook-signature" not in first.headers
    assert receiver.connections == 1


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(b"a key of 24 bytes ......").decode(), "any text"])
async def test_receivers_verify_the_signature_with_the_library(receiver, tmp_path, secret):
    await send(receiver, tmp_path, delivery(1, "Ein Hund „bellt“ 🐕"), secret=secret, picture="base64")
    (request,) = receiver.requests
    key = secret if secret.startswith("whsec_") else secret.encode()
    verified = Webhook(key).verify(request.body, request.headers)
    assert verified["caption"] == "Ein Hund „bellt“ 🐕"
    assert base64.b64decode(verified["picture_base64"]) == PICTURE


async def test_a_picture_in_a_form(receiver, tmp_path):
    await send(receiver, tmp_path, delivery(1), delivery(2, None), picture="multipart")
    first, second = (request.form for request in receiver.requests)
    head, content = first["picture"]
    assert content == PICTURE
    assert f'filename="front_door-{observation(1).id}.jpg"' in head
    assert "Content-Type: image/jpeg" in head
    assert "Content-Type: application/json" in first["observation"][0]
    assert b'"camera": "front_door"' in first["observation"][1]
    assert second.keys() == {"observation"}


async def test_base64_without_a_picture_is_null(receiver, tmp_path):
    await send(receiver, tmp_path, delivery(1, None), picture="base64")
    assert receiver.requests[0].json["picture_base64"] is None


async def test_a_body_of_ones_own(receiver, tmp_path):
    body = '{"text": {{ (camera ~ ": " ~ observation.caption) | tojson }}, "ms": {{ latency_ms.total }}}'
    await send(receiver, tmp_path, delivery(1, 'It says "Hi"\nä </b>'), body=body)
    assert receiver.requests[0].json == {"text": 'front_door: It says "Hi"\nä </b>', "ms": 770}


async def test_plain_text_headers_and_method(receiver, tmp_path):
    await send(
        receiver,
        tmp_path,
        method="PUT",
        body="{{ caption }}",
        content_type="text/plain; charset=utf-8",
        headers={"X-Priority": "5", "authorization": "Bearer abc"},
    )
    (request,) = receiver.requests
    assert (request.method, request.body) == ("PUT", b"A person stands at the door.")
    assert request.headers["content-type"] == "text/plain; charset=utf-8"
    assert (request.headers["x-priority"], request.headers["authorization"]) == ("5", "Bearer abc")


async def test_a_login_in_the_url(receiver, tmp_path):
    await send(receiver, tmp_path, url=f"http://me:p%40ss@127.0.0.1:{receiver.port}/x?key=1")
    (request,) = receiver.requests
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert request.path == "/x?key=1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{{ answers.person.value }}", "can't be filled: UndefinedError"),
        ("{{ 1 // 0 }}", "can't be filled: ZeroDivisionError"),
        ("{{ caption.__class__.__mro__ }}", "can't be filled: SecurityError"),
        ('{"text": "{{ caption }}"}', r"gives no JSON .*: write {{ caption \| tojson }} without quotes"),
    ],
)
async def test_a_template_that_fails_gives_up_this_one(receiver, tmp_path, body, why):
    with pytest.raises(ObservationRefused, match=why):
        await send(receiver, tmp_path, delivery(1, 'A "dog"'), body=body)
    assert receiver.requests == []


# What an answer means


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_confirms(receiver, tmp_path, status):
    receiver.answer(Answer(status))
    assert (await send(receiver, tmp_path)).confirmed == [1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
async def test_other_4xx_refuse_this_one_and_say_what_the_server_said(receiver, tmp_path, status):
    receiver.answer(Answer(status, body=b'{"detail":\n "no field\x1b[31m text"}' + b"x" * 1000))
    with pytest.raises(ObservationRefused) as caught:
        await send(receiver, tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{receiver.url} answered {status} ")
    assert '{"detail": "no field[31m text"}xxx' in text
    assert len(text) < 300
    assert text.isprintable()
    assert receiver.confirmed == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599, 304])
async def test_others_are_tried_again(receiver, tmp_path, status):
    receiver.answer(Answer(status))
    with pytest.raises(OutputUnavailable, match=f"answered {status}") as caught:
        await send(receiver, tmp_path)
    assert caught.value.retry_after is None
    assert receiver.confirmed == []


@pytest.mark.parametrize(("value", "seconds"), [("120", 120), ("0", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0)])
async def test_retry_after_is_honoured(receiver, tmp_path, value, seconds):
    receiver.answer(Answer(503, {"retry-after": value}))
    with pytest.raises(OutputUnavailable) as caught:
        await send(receiver, tmp_path)
    assert caught.value.retry_after == seconds


async def test_retry_after_may_be_a_date(receiver, tmp_path):
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    receiver.answer(Answer(429, {"retry-after": at}))
    with pytest.raises(OutputUnavailable) as caught:
        await send(receiver, tmp_path)
    assert caught.value.retry_after == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("value", ["soon", "-5", "", "٣", "1e9"])
async def test_a_retry_after_that_makes_no_sense_is_none(receiver, tmp_path, value):
    receiver.answer(Answer(503, {"retry-after": value.encode()}))
    with pytest.raises(OutputUnavailable) as caught:
        await send(receiver, tmp_path)
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_on_the_same_host_is_followed_with_all_that_was_sent(receiver, tmp_path, status):
    receiver.answer(Answer(status, {"location": "/elsewhere"}))
    await send(receiver, tmp_path, picture="multipart", headers={"X-Key": "abcd"})
    first, second = receiver.requests
    assert (second.method, second.path) == ("POST", "/elsewhere")
    assert second.headers["x-key"] == "abcd"
    assert second.form["picture"] == first.form["picture"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_another_host_is_not_followed(receiver, tmp_path, status):
    async with Receiver.running() as other:
        receiver.answer(Answer(status, {"location": f"{other.url}/collect?x=token"}))
        with pytest.raises(OutputUnavailable) as caught:
            await send(receiver, tmp_path, headers={"Authorization": "Bearer marker-s3cret"})
        assert other.connections == 0
    assert f"redirects to {other.url}, which is another place and is not followed" in str(caught.value)
    assert "token" not in str(caught.value)
    assert caught.value.retry_after == 60


@pytest.mark.parametrize("location", ["", "http://", "//", "http://[::1", "ftp://127.0.0.1/x"])
async def test_a_redirect_to_nowhere(receiver, tmp_path, location):
    headers = {"location": location} if location else {}
    receiver.answer(*[Answer(307, headers)] * 4)
    with pytest.raises(OutputUnavailable, match="redirects"):
        await send(receiver, tmp_path)


async def test_a_303_is_no_confirmation(receiver, tmp_path):
    receiver.answer(Answer(303, {"location": "/login"}))
    with pytest.raises(OutputUnavailable, match="answered 303"):
        await send(receiver, tmp_path)
    assert len(receiver.requests) == 1


async def test_redirects_in_a_circle_end(receiver, tmp_path):
    receiver.answer(*[Answer(308, {"location": KEY})] * 10)
    with pytest.raises(OutputUnavailable, match="redirects more than 3 times"):
        await send(receiver, tmp_path)
    assert len(receiver.requests) == 4


# Servers that behave badly


async def test_an_endless_answer_is_read_to_a_bound(receiver, tmp_path):
    receiver.answers.extend(
        [Answer(200, body=bytes(10_000), endless=True), Answer(400, body=b"no " * 5000, endless=True)]
    )
    with pytest.raises(ObservationRefused, match="answered 400"):
        await send(receiver, tmp_path, delivery(1), delivery(2))
    assert receiver.confirmed == [1]
    assert receiver.sent < 20_000_000  # what fits into the sockets' buffers on the way
    assert receiver.connections == 2


async def test_a_server_that_hangs_is_left_at_the_deadline(receiver, tmp_path):
    receiver.answer(Answer(hang=True))
    running = asyncio.create_task(send(receiver, tmp_path))
    await receiver.until(len)
    running.cancel()
    assert await asyncio.wait({running}, timeout=5) == ({running}, set())
    assert receiver.confirmed == []


async def test_a_connection_that_breaks(receiver, tmp_path):
    receiver.answer(Answer(hang_up=True))
    with pytest.raises(OutputUnavailable, match=rf"^{receiver.url} can't be reached: Server disconnected"):
        await send(receiver, tmp_path)


async def test_nobody_there(receiver, tmp_path):
    await receiver.stop()
    with pytest.raises(OutputUnavailable, match=rf"^{receiver.url} refuses connections: is it switched on, and"):
        await send(receiver, tmp_path)
    await receiver.start()
    assert (await send(receiver, tmp_path)).confirmed == [1]


async def test_the_environments_proxy_sees_nothing(receiver, tmp_path, monkeypatch):
    async with Receiver.running() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await send(receiver, tmp_path)
        assert proxy.connections == 0


async def test_cookies_are_not_kept(receiver, tmp_path):
    receiver.answer(Answer(200, {"set-cookie": "id=1"}))
    await send(receiver, tmp_path, delivery(1), delivery(2))
    assert "cookie" not in receiver.requests[1].headers


# Secrets


async def test_no_secret_in_any_sentence_or_log(receiver, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):  # the agent keeps them at WARNING; here they show what they would say
        caplog.set_level(logging.INFO, name)
    url = f"http://user:marker-s3cret-login@127.0.0.1:{receiver.port}{KEY}?token=marker-s3cret-query"
    secrets = {
        "headers": {"Authorization": "Bearer marker-s3cret-header", "X-Api": "marker-s3cret-api"},
        "secret": "marker-s3cret-sign",
    }
    for status, kind in ((400, ObservationRefused), (500, OutputUnavailable)):
        echo = (
            f'{{"path": "{KEY.replace("/", chr(92) + "/")}", "url": "{url}", "auth": "Bearer marker-s3cret-header",'
            f'"api": "marker-s3cret-api", "hook": "marker-s3cret-path", "key": "marker-s3cret-sign"}}'
        )
        receiver.answer(Answer(status, body=echo.encode()))
        with pytest.raises(kind) as caught:
            await send(receiver, tmp_path, url=url, **secrets)
        assert "marker-s3cret" not in str(caught.value)
        assert '"path": "***"' in str(caught.value)
    receiver.answer(Answer(hang_up=True))
    with pytest.raises(OutputUnavailable) as caught:
        await send(receiver, tmp_path, url=url, **secrets)
    assert "marker-s3cret" not in str(caught.value) + caplog.text


# TLS


async def test_an_authority_of_ones_own(authority, tmp_path):
    pair = authority.pair("hook", "IP:127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    async with Receiver.running(tls) as receiver:
        await send(receiver, tmp_path, tls={"ca": authority.ca})
        await send(receiver, tmp_path, tls={"insecure": True})
        with pytest.raises(OutputUnavailable, match=r"its certificate is not trusted .*: check tls\.ca") as caught:
            await send(receiver, tmp_path)
        assert caught.value.retry_after == 60
        assert len(receiver.requests) == 2
    named = authority.pair("hook.home", "DNS:hook.home")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(named.certificate, named.key)
    async with Receiver.running(tls) as receiver:
        client = {"certificate": pair.certificate, "key": pair.key}
        await send(receiver, tmp_path, tls={"ca": authority.ca, "server_name": "hook.home", **client})
        assert len(receiver.requests) == 1
