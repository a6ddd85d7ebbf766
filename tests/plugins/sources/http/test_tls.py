"""Cameras with certificates of their own."""

from __future__ import annotations

from pathlib import Path

from agent.plugin import CameraState, Failure
from tests.fakes.certificates import Authority
from tests.fakes.http_camera import http_camera
from tests.plugins.sources.http.http_looking import looking


async def test_own_authority_is_trusted_and_no_other(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with http_camera(tls=authority.pair("camera", "IP:127.0.0.1")) as camera:
        async with looking(camera.url(), tls={"ca": authority.ca}) as looked:
            await looked.fresh(camera)
        async with looking(camera.url(), tls={"insecure": True}) as looked:
            await looked.fresh(camera)
        async with looking(camera.url()) as looked:
            error = await looked.failure(10)
            assert (error.kind, looked.states[-1]) == (Failure.UNREACHABLE, CameraState.GONE)
            assert "its certificate is not trusted" in str(error)
            assert "name it in tls.ca or set tls.insecure in cameras.door.source" in str(error)
        async with looking(camera.url(), tls={"ca": tmp_path / "missing.pem"}) as looked:
            assert "tls.ca: there is no file" in str(await looked.failure(10))


async def test_plain_and_tls_mixed_up_end_quickly(tmp_path: Path) -> None:
    pair = Authority(tmp_path).pair("camera", "IP:127.0.0.1")
    async with http_camera(tls=pair, numbers=2) as locked, http_camera(numbers=2) as plain:
        async with looking(locked.url().replace("https:", "http:")) as looked:
            assert (await looked.failure(5)).kind in (Failure.UNREACHABLE, Failure.SOURCE)
        async with looking(plain.url().replace("http:", "https:")) as looked:
            assert "check that the port speaks TLS" in str(await looked.failure(5))


async def test_password_is_not_led_out_of_the_encryption(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("camera", "IP:127.0.0.1")
    async with (
        http_camera(user="v", password="right", auth="basic") as plain,
        http_camera(user="v", password="right", passwords={"/old": None}, tls=pair) as locked,
        looking(
            locked.url("/old", fault="redirect", to=f"http://127.0.0.1:{plain.port}/snapshot.jpg"),
            auth="basic",
            tls={"ca": authority.ca},
        ) as looked,
    ):
        assert "redirects to another place" in str(await looked.failure())
        assert all("authorization" not in request["headers"] for request in plain.requests)


async def test_redirect_to_the_encrypted_side_takes_the_password_along(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("camera", "IP:127.0.0.1")
    async with (
        http_camera(user="v", password="right", tls=pair) as locked,
        http_camera(user="v", password="right", passwords={"/old": None}) as plain,
        looking(
            plain.url("/old", fault="redirect", to=f"https://127.0.0.1:{locked.port}/snapshot.jpg"),
            tls={"ca": authority.ca},
        ) as looked,
    ):
        await looked.fresh(locked)
