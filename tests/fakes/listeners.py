"""Many listeners of the live stream, in a process of their own: ``python listeners.py HOST PORT HOW_MANY SECONDS``.

Prints a line when all are connected, and at the end how many observations each has heard, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys


async def listen(host: str, port: int, heard: list[int], number: int, there: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    rest = b""
    while chunk := await reader.read(65536):
        there.set()
        *lines, rest = (rest + chunk).split(b"\n")
        heard[number] += lines.count(b"event: observation")


async def main(host: str, port: str, many: str, seconds: str) -> None:
    heard = [0] * int(many)
    there = [asyncio.Event() for _ in heard]
    tasks = [asyncio.create_task(listen(host, int(port), heard, n, event)) for n, event in enumerate(there)]
    async with asyncio.timeout(30):
        for event in there:
            await event.wait()
    print("there", flush=True)
    await asyncio.wait(tasks, timeout=float(seconds))
    print(json.dumps(heard), flush=True)
    for task in tasks:
        task.cancel()


asyncio.run(main(*sys.argv[1:]))
