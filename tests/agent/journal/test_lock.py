from __future__ import annotations

import asyncio
import sys

import pytest

from agent.clock import SystemClock
from agent.errors import DataDirBusy
from agent.journal import Journal
from agent.status import Counters

HOLDER = """
import asyncio, sys
from pathlib import Path
from agent.clock import SystemClock
from agent.journal import Journal
from agent.status import Counters

async def main():
    journal = await Journal.open(Path(sys.argv[1]), clock=SystemClock(), counters=Counters())
    print("holding", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def opened(data_dir):
    return await Journal.open(data_dir, clock=SystemClock(), counters=Counters())


async def test_a_second_camscribe_is_refused_until_the_first_is_gone(data_dir):
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            assert await holder.stdout.readline() == b"holding\n"
        with pytest.raises(DataDirBusy) as refused:
            await opened(data_dir)
        assert str(data_dir) in str(refused.value)
        assert f"process {holder.pid}" in str(refused.value)
    finally:
        holder.kill()
        await holder.wait()
    await (await opened(data_dir)).close()


async def test_closing_lets_go(data_dir):
    journal = await opened(data_dir)
    with pytest.raises(DataDirBusy, match="Another camscribe"):
        await opened(data_dir)
    await journal.close()
    await (await opened(data_dir)).close()
