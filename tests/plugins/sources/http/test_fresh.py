"""What is handed out is what is there now."""

from __future__ import annotations

import pytest

from agent.plugin import CameraState
from tests.fakes.http_camera import http_camera
from tests.plugins.sources.http.http_looking import looking


@pytest.mark.parametrize("framing", ["length", "close", "chunked"])
@pytest.mark.parametrize("kind", ["image/jpeg", "image/jpg", "text/plain", ""])
async def test_snapshot_is_fresh_however_it_is_sent(framing: str, kind: str) -> None:
    async with http_camera() as camera, looking(camera.url(framing=framing, type=kind)) as looked:
        for _ in range(2):
            frame = await looked.fresh(camera)
        assert frame.how == "snapshot"
        assert looked.told == [(CameraState.LIVE, "")]


async def test_stream_is_fresh() -> None:
    async with http_camera() as camera, looking(camera.stream(kept=3)) as looked:
        for _ in range(3):
            frame = await looked.fresh(camera)
        assert frame.how == "stream"
