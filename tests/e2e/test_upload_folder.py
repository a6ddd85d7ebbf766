"""A folder that a camera uploads to, without a schedule: each upload gets one caption, once it is whole."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from agent import control
from agent.runtime import control_socket
from tests.fakes.scenes import known_scenes
from tests.fakes.service import camscribe, write_config


def jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


async def watched(data: Path) -> None:
    """Until the folder has been looked at once: what comes from now on is new."""
    async with asyncio.timeout(30):
        while True:
            with suppress(control.NotRunning):
                answer = await control.ask(control_socket(data), {"do": "status"}, 5)
                if answer["cameras"]["drive"]["state"] == "live":
                    return
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_each_upload_is_captioned_once_when_it_is_whole(tmp_path):
    (_, old), (first, slow), (_, overtaken), (second, newest), (third, last) = known_scenes(5)
    day = tmp_path / "uploads/2026/11/21"
    day.mkdir(parents=True)
    (day / "old.jpg").write_bytes(jpeg(old))
    source = {"use": "file", "path": "uploads", "subfolders": True}
    config = write_config(
        tmp_path,
        {"model": {"preset": "tiny"}, "cameras": {"drive": {"source": source}}, "outputs": {"log": {"format": "json"}}},
    )
    async with camscribe("run", "--config", str(config)) as service:
        await watched(tmp_path / "data")

        data = jpeg(slow)
        with (day / "slow.jpg").open("wb") as upload:
            upload.write(data[:5000])
            upload.flush()
            await asyncio.sleep(2.5)  # longer than it takes to notice a file: it must be left alone
            assert not service.observations
            upload.write(data[5000:])
        await service.until(lambda: len(service.observations) == 1)

        next_day = tmp_path / "uploads/2026/11/22"
        next_day.mkdir()
        (next_day / "1.jpg").write_bytes(jpeg(overtaken))
        await asyncio.sleep(0.05)  # the clock that files are stamped with has steps of up to 10 ms
        (next_day / "2.jpg").write_bytes(jpeg(newest))
        await service.until(lambda: len(service.observations) == 2)

        (next_day / "3.jpg").write_bytes(jpeg(last))
        await service.until(lambda: len(service.observations) == 3)
        assert await service.stop() == 0
    assert [made["caption"] for made in service.observations] == [first, second, third]
    assert {made["reason"] for made in service.observations} == {"change"}
