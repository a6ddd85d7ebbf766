"""Cameras whose driver hangs in native code: parked one by one, and most of them end the process for its supervisor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.service import camscribe, write_config

HANGING = """
from dataclasses import replace
from plugins.sources.rtsp import RtspSource
from plugins.sources.rtsp.config import RtspConfig
from plugins.sources.rtsp.pace import Pace

class Config(RtspConfig):
    pass

class Hanging(RtspSource):
    Config = Config
    schemes = ()
    pace = replace(Pace(), open_timeout=120.0, stuck=1.0, glance=0.2)  # waits in FFmpeg for far longer than it may
"""


def _config(folder: Path, sources: dict[str, Any]) -> Path:
    (folder / "plugins").mkdir(mode=0o755)
    (folder / "plugins" / "hanging.py").write_text(HANGING)
    cameras = {id_: {"source": source, "every": "1s", "timeout": "2s"} for id_, source in sources.items()}
    outputs = {"log": {"format": "json"}}
    return write_config(
        folder, {"model": {"preset": "tiny"}, "cameras": cameras, "outputs": outputs, "plugins_dir": "plugins"}
    )


@pytest.mark.slow
async def test_one_hanging_camera_is_parked_and_the_others_go_on(tmp_path: Path):
    async with rtsp_camera(fps=10, gop=5, size=(320, 240)) as camera:
        hangs = {"use": "hanging", "url": camera.url(fault="mute", at="DESCRIBE")}
        config = _config(tmp_path, {"door": hangs, "yard": camera.url(), "desk": camera.url()})
        async with camscribe("run", "--config", str(config)) as service:
            parked = lambda: [o for o in service.observations if o["error"] and "hang" in o["error"]["message"]]  # noqa: E731
            await service.until(parked, 60)
            good = len([o for o in service.observations if o["caption"]])
            await service.until(lambda: len([o for o in service.observations if o["caption"]]) > good + 2, 30)
            assert sum("hangs; abandoned it" in line for line in service.err) == 3
            assert await service.stop() == 0


@pytest.mark.slow
async def test_when_most_hang_the_process_ends_with_status_1_whatever_its_threads_do(tmp_path: Path):
    async with rtsp_camera(fps=10, gop=5, size=(320, 240)) as camera:
        hangs = {"use": "hanging", "url": camera.url(fault="mute", at="DESCRIBE")}
        config = _config(tmp_path, {"door": hangs, "gate": hangs, "yard": camera.url()})
        async with camscribe("run", "--config", str(config)) as service:
            assert await asyncio.wait_for(service.process.wait(), 60) == 1
    assert any("2 of 3 cameras hang in their driver" in line for line in service.err)
    assert not any("Traceback" in line for line in service.err)
