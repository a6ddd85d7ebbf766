"""The test run's own safety nets."""

import asyncio

import pytest
from blockbuster import BlockingError

from agent.runtime import runtime_folder
from agent.schedule import Schedule


async def test_a_blocking_call_in_the_event_loop_fails(tmp_path):
    with pytest.raises(BlockingError):
        runtime_folder(tmp_path, {"RUNTIME_DIRECTORY": str(tmp_path)})
    assert await asyncio.to_thread(runtime_folder, tmp_path, {"RUNTIME_DIRECTORY": str(tmp_path)})


async def test_the_schedule_may_read_the_time_zone_as_it_starts():
    schedule = Schedule({}, lambda _camera: None)
    schedule.start()
    schedule.stop()
