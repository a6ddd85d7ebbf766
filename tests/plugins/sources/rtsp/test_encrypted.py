"""rtsps: the same behind TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.plugin import Failure
from plugins.sources.rtsp import RtspConfig
from tests.fakes.certificates import Authority
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.plugins.sources.rtsp.watching import BRISK, look_fresh, watching


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # either side may hang up
    finally:
        writer.close()


@asynccontextmanager
async def encrypted(camera: RtspCamera, folder: Path) -> AsyncIterator[str]:
    """``camera`` once more, behind TLS with a certificate that nobody trusts; its address."""
    pair = Authority(folder).pair("camera", "IP:192.0.2.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inward = await asyncio.open_connection(camera.host, camera.port)
        await asyncio.gather(_pass_on(reader, inward[1]), _pass_on(inward[0], writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield (
            camera.url()
            .replace("rtsp://", "rtsps://")
            .replace(f":{camera.port}/", f":{server.sockets[0].getsockname()[1]}/")
        )


@pytest.mark.parametrize("connect", ["always", "on_demand"])
async def test_cameras_own_certificate_is_accepted(tmp_path: Path, connect: str) -> None:
    async with (
        rtsp_camera(fps=25, gop=10, size=(320, 240), user="viewer", password="p@ss") as camera,
        encrypted(camera, tmp_path) as url,
    ):
        async with watching(url, connect=connect) as watched:
            for _ in range(2):
                await look_fresh(camera, watched)
        async with watching(url, connect=connect, password="other") as watched:
            assert (await watched.failure(5)).kind is Failure.UNAUTHORIZED


async def test_camera_that_does_not_encrypt_is_a_failure_with_advice() -> None:
    async with (
        rtsp_camera(size=(320, 240), numbers=20) as camera,
        watching(camera.url().replace("rtsp://", "rtsps://"), pace=replace(BRISK, open_timeout=1.0)) as watched,
    ):
        assert "write rtsp://" in str(await watched.failure(15))


def test_udp_cannot_be_encrypted() -> None:
    with pytest.raises(ValidationError, match="over tcp only"):
        RtspConfig(url="rtsps://10.0.0.2/s", transport="udp")
