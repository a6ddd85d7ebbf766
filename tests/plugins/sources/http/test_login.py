"""Every kind of login and of password gets in, and none of them gets out."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from agent import logs
from agent.plugin import CameraState, Failure, FrameUnavailable
from plugins.sources.http.login import challenges
from tests.fakes.http_camera import http_camera
from tests.fakes.passwords import PASSWORDS
from tests.plugins.sources.http.http_looking import looking


@pytest.mark.parametrize("auth", ["digest", "basic"])
async def test_any_password_gets_in_and_none_gets_out(caplog: pytest.LogCaptureFixture, auth: str) -> None:
    for name in logs.TELLTALES:  # as the agent has it at every level
        caplog.set_level(logging.WARNING, name)
    caplog.set_level(logging.DEBUG)
    paths = {f"/pw/{number}": password for number, password in enumerate(PASSWORDS)}
    seen: list[str] = []

    async def enters(url: str, **options: str) -> None:
        async with looking(url, **options) as looked:
            await looked.source.take(20)
            seen.append(f"{looked.source!r} {looked.source.config!r} {vars(looked.source)} {looked.told}")

    async def is_refused(url: str, **options: str) -> None:
        async with looking(url, **options) as looked:
            error = await looked.failure(20)
            assert error.kind is Failure.UNAUTHORIZED
            seen.append(f"{error!r} {error} {error.__cause__!r} {looked.told}")

    async with (
        http_camera(numbers=2, user="vie wer", passwords=paths, auth=auth) as camera,
        asyncio.TaskGroup() as group,
    ):
        for path, password in paths.items():
            place = f"{camera.host}:{camera.port}{path}?token=s3cret-query"
            group.create_task(enters(f"http://vie%20wer:{quote(password, safe='')}@{place}"))
            group.create_task(enters(f"http://{place}", username="vie wer", password=password))
            group.create_task(is_refused(f"http://{place}", username="vie wer", password=password + "x"))
            if "%41" not in password:
                group.create_task(enters(f"http://vie wer:{password}@{place}"))
    everything = "\n".join([*seen, caplog.text, *(str(record.__dict__) for record in caplog.records)])
    leaked = [password for password in PASSWORDS if password in everything or quote(password, safe="") in everything]
    assert leaked == []
    assert "s3cret-query" not in everything
    assert "unauthorized: The camera at http://127.0.0.1" in caplog.text


async def test_wrong_password_is_tried_once_and_then_left_alone_whoever_asks() -> None:
    async with (
        http_camera(user="viewer", password="right", numbers=2) as camera,
        looking(camera.url(), password="wr0ng") as looked,
    ):
        error = await looked.failure()
        assert error.kind is Failure.UNAUTHORIZED
        assert "refused the user name or password" in str(error)
        assert "check username and password in cameras.door.source" in str(error)
        assert "tries again in 60 s" in str(error)
        assert looked.states == [CameraState.UNAUTHORIZED]
        asked = len(camera.requests)
        began = time.monotonic()
        for _ in range(5):
            with pytest.raises(FrameUnavailable, match="refused the user name") as caught:
                await looked.source.take(5)
            assert caught.value.kind is Failure.UNAUTHORIZED
        assert time.monotonic() - began < 0.5
        assert len(camera.requests) == asked == 2
        assert len([event for event in camera.events if event.get("tried")]) == 1


async def test_a_login_costs_its_second_request_only_once() -> None:
    for auth in ("digest", "basic", "digest-sha256", "digest-old", "both"):
        async with http_camera(user="viewer", password="right", auth=auth) as camera, looking(camera.url()) as looked:
            for _ in range(4):
                await looked.fresh(camera)
            assert len(camera.requests) == 5, auth
            used = camera.requests[-1]["headers"]["authorization"]
            assert used.startswith("Basic" if auth == "basic" else "Digest")


async def test_a_nonce_that_has_aged_costs_no_look() -> None:
    async with http_camera(user="viewer", password="right", nonce_uses=2) as camera, looking(camera.url()) as looked:
        for _ in range(6):
            await looked.fresh(camera)
        assert CameraState.UNAUTHORIZED not in looked.states


async def test_basic_without_being_asked() -> None:
    async with http_camera(user="viewer", password="right", auth="silent") as camera:
        async with looking(camera.url()) as looked:
            assert "set auth: basic" in str(await looked.failure())
        async with looking(camera.url(), auth="basic") as looked:
            await looked.fresh(camera)


async def test_password_is_not_sent_in_the_clear_where_that_is_forbidden() -> None:
    async with (
        http_camera(user="viewer", password="right", auth="basic") as camera,
        looking(camera.url(), auth="digest") as looked,
    ):
        assert "in the clear" in str(await looked.failure())
        assert all("authorization" not in request["headers"] for request in camera.requests)


async def test_no_password_and_odd_logins_are_told() -> None:
    async with http_camera(user="viewer", password="right", auth="odd") as camera:
        async with looking(camera.url().replace("viewer:right@", "")) as looked:
            assert "wants a user name and password; add username" in str(await looked.failure())
        async with looking(camera.url()) as looked:
            assert "a kind of login that camscribe does not speak" in str(await looked.failure())


async def test_token() -> None:
    async with http_camera(password="tok.en-1", auth="bearer") as camera:
        async with looking(camera.url(), token="tok.en-1") as looked:
            await looked.fresh(camera)
            assert len(camera.requests) == 1
        async with looking(camera.url(), token="wr0ng") as looked:
            error = await looked.failure()
            assert "refused the token; check token in cameras.door.source" in str(error)


async def test_nothing_is_kept_or_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stolen password stolen\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with http_camera() as camera, looking(camera.url(said="stuck")) as looked:
        for _ in range(2):
            await looked.fresh(camera)
        for request in camera.requests:
            assert not {"cookie", "authorization", "if-none-match", "if-modified-since"} & request["headers"].keys()
            assert request["headers"]["accept-encoding"] == "identity"


async def test_redirect_within_the_camera_is_followed_with_the_password() -> None:
    passwords = {"/snapshot.jpg": "right", "/old": None}
    async with (
        http_camera(user="viewer", password="right", passwords=passwords) as camera,
        looking(camera.url("/old", fault="redirect", to="/snapshot.jpg")) as looked,
    ):
        await looked.fresh(camera)


async def test_password_goes_to_no_other_place() -> None:
    async with (
        http_camera(user="viewer", password="right", auth="basic") as other,
        http_camera(user="viewer", password="right", passwords={"/old": None}, auth="basic") as camera,
    ):
        target = f"http://viewer:right@127.0.0.1:{other.port}/snapshot.jpg"
        url = camera.url("/old", fault="redirect", to=target)
        for options in ({"auth": "basic"}, {"auth": "auto"}):
            async with looking(url, **options) as looked:
                error = await looked.failure()
                assert "redirects to another place, which wants a login" in str(error)
                assert "right" not in str(error).replace("is right", "")
        assert other.requests
        assert all("authorization" not in request["headers"] for request in other.requests)


async def test_redirect_elsewhere_without_a_login_is_followed() -> None:
    async with http_camera() as other, http_camera(passwords={"/old": None}) as camera:
        async with looking(camera.url("/old", fault="redirect", to=other.url()), token="t0ken") as looked:
            await looked.fresh(other)
        assert "authorization" in camera.requests[0]["headers"]
        assert "authorization" not in other.requests[0]["headers"]


def test_challenges_as_cameras_write_them() -> None:
    assert challenges(['Basic realm="a, b", Digest Realm="c",nonce="n=1", qop="auth,auth-int"', "NTLM"]) == [
        ("basic", {"realm": "a, b"}),
        ("digest", {"realm": "c", "nonce": "n=1", "qop": "auth,auth-int"}),
        ("ntlm", {}),
    ]
    assert challenges(["", "=", ",,,", "Digest opaque="]) == [("digest", {"opaque": ""})]
