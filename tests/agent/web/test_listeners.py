from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import httpx

from tests.fakes.website import Website

CLIENT = Path(__file__).parents[2] / "fakes/listeners.py"
MANY = 200
A_SECOND = 10
SECONDS = 6


async def test_two_hundred_live_listeners_cost_less_than_a_core_and_hear_everything(site: Website) -> None:
    """Ten looks a second: fifty cameras that look every five seconds. What recording costs is counted as well."""
    url = httpx.URL(site.url)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT), url.host, str(url.port), str(MANY), str(SECONDS + 3)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdout
    assert await asyncio.wait_for(client.stdout.readline(), 40) == b"there\n"
    assert site.stream.listeners == MANY
    began, cost = time.monotonic(), time.process_time()
    for number in range(A_SECOND * SECONDS):
        await site.see("door" if number % 2 else "yard", caption=f"Number {number}: somebody comes up the path.")
        await asyncio.sleep(max(0.0, began + (number + 1) / A_SECOND - time.monotonic()))
    share = (time.process_time() - cost) / (time.monotonic() - began)
    heard = json.loads(await asyncio.wait_for(client.stdout.readline(), 20))
    await client.wait()
    print(f"{MANY} listeners, {A_SECOND} looks a second: {share:.0%} of a core")
    assert heard == [A_SECOND * SECONDS] * MANY
    assert share < 1.0
