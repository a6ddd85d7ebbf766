"""A part that won't end keeps neither SIGTERM nor a service that has given up from its end."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fakes.service import camscribe, write_config

STUBBORN = """
import asyncio
from agent.plugin import CameraState, Failure, FrameUnavailable, PluginConfig, Source

class Config(PluginConfig):
    parked: bool = False
    \"\"\"Say that the driver hangs.\"\"\"

class Stubborn(Source[Config]):
    async def run(self):
        if self.config.parked:
            self.context.report(CameraState.PARKED, "Its driver hangs.")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def take(self, timeout):
        raise FrameUnavailable(Failure.SOURCE, "It never looks.")
"""


def _config(folder, *, parked: bool):
    (folder / "plugins").mkdir(mode=0o755)
    (folder / "plugins" / "stubborn.py").write_text(STUBBORN)
    cameras = {"door": {"source": {"use": "stubborn", "parked": parked}, "every": "1s"}}
    return write_config(folder, {"model": {"preset": "tiny"}, "cameras": cameras, "plugins_dir": "plugins"})


@pytest.mark.slow
async def test_sigterm_ends_it_within_ten_seconds_all_the_same(tmp_path):
    async with camscribe("run", "--config", str(_config(tmp_path, parked=False))) as service:
        await service.until(lambda: any("engine ready" in line for line in service.err))
        began = time.monotonic()
        assert await service.stop(within=12) == 0
        assert time.monotonic() - began < 10.5
    assert any("CRITICAL" in line and "did not end" in line for line in service.err)


@pytest.mark.slow
async def test_when_most_cameras_hang_it_ends_by_itself_with_status_1(tmp_path):
    async with camscribe("run", "--config", str(_config(tmp_path, parked=True))) as service:
        assert await asyncio.wait_for(service.process.wait(), 30) == 1
