"""kill -9 of the engine costs the one look it was busy with, and of camscribe leaves no engine behind."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from tests.fakes.service import Service, camscribe, command, lives, write_config
from tests.fakes.waiting import eventually

CONFIG = {
    "model": {"preset": "tiny"},
    "cameras": {"doorstep": {"source": "demo", "every": "1s"}},
    "outputs": {"log": {"format": "json"}},
}


def engine(service: Service) -> psutil.Process | None:
    """The process that serves the model: the leaf below camscribe."""
    leaves = [child for child in service.children() if not child.children()]
    return leaves[0] if leaves else None


def good(service: Service) -> int:
    return sum(observation["caption"] is not None for observation in service.observations)


@pytest.mark.slow
async def test_a_look_whose_engine_is_killed_is_an_error_and_the_next_ones_succeed(tmp_path):
    async with camscribe("run", "--config", str(write_config(tmp_path, CONFIG))) as service:
        await service.until(lambda: good(service) >= 2)
        victim = engine(service)
        victim.suspend()  # so that the next caption is certainly in its middle
        asking = await asyncio.create_subprocess_exec(*_look(tmp_path), stdout=asyncio.subprocess.PIPE)
        assert asking.stdout is not None
        answer = asyncio.create_task(asking.stdout.read())
        await eventually(lambda: service.quiet_for() > 3, 20)  # with a look each second, one is stuck in its caption
        victim.kill()
        await service.until(lambda: any(o["error"] for o in service.observations))
        errors = [o for o in service.observations if o["error"]]
        assert errors[0]["error"]["kind"] == "engine"
        assert errors[0]["caption"] is None
        before = good(service)
        await service.until(lambda: good(service) >= before + 2)
        assert engine(service).pid != victim.pid
        assert await asyncio.wait_for(answer, 30)  # whoever asked got an answer too
        await asking.wait()
        assert await service.stop() == 0
    assert not any("Traceback" in line for line in service.err)


def _look(folder: Path) -> list[str]:
    return command("look", "doorstep", "--json", "--config", str(folder / "config.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_engine_outlives_camscribe(tmp_path, number):
    async with camscribe("run", "--config", str(write_config(tmp_path, CONFIG))) as service:
        await service.until(lambda: good(service) >= 1)
        children = service.children()
        assert children
        service.process.send_signal(number)
        status = await asyncio.wait_for(service.process.wait(), 10)
        assert status == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    await eventually(lambda: not any(lives(child) for child in children), 10)


@pytest.mark.slow
async def test_a_second_camscribe_on_the_same_data_is_refused(tmp_path):
    path = write_config(tmp_path, CONFIG)
    async with camscribe("run", "--config", str(path)) as first:
        await first.until(lambda: good(first) >= 1)
        async with camscribe("run", "--config", str(path)) as second:
            assert await asyncio.wait_for(second.process.wait(), 40) == 1  # systemd may try again
        assert any(str(first.process.pid) in line for line in second.err), second.err
        assert not any("Traceback" in line for line in second.err)
        before = good(first)
        await first.until(lambda: good(first) > before)  # the first one does not notice
