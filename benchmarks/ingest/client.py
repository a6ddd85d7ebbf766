"""One method in a process of its own: it looks at its cameras in turn and prints what it saw, until its stdin ends.

The order on stdin is a line of JSON, the Job. "ready" is printed before it is read: what is loaded by then is no
camera's cost.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import sys
import time
from typing import Any, cast

from benchmarks.ingest.methods.looking import Camera, Job, Method, NoPicture
from tests.fakes.clips import read_number

TIMEOUT = 20.0
"""For one look: cameras' default in config.yaml."""


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def watch(number: int, camera: Camera, first: float, every: float) -> None:
    due = first
    while True:
        await asyncio.sleep(due - time.monotonic())
        began = time.monotonic()
        try:
            picture = await camera.look(TIMEOUT)
        except NoPicture as error:
            tell(camera=number, began=began, at=time.monotonic(), missed=str(error))
        else:
            at = time.monotonic()
            seen = read_number(picture)
            tell(camera=number, began=began, at=at, number=None if seen is None else int(seen))
        due += every * max(1, -(-(time.monotonic() - due) // every))


async def run(method: Method) -> None:
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    gc.collect()
    tell(ready=True)
    job = Job(**json.loads(await stdin.readline()))
    async with method.cameras(job) as cameras:
        begin = time.monotonic()
        looking = [
            asyncio.create_task(watch(number, camera, begin + number * job.every / len(cameras), job.every))
            for number, camera in enumerate(cameras)
        ]
        over = asyncio.create_task(_to_the_end(stdin))
        done, _ = await asyncio.wait([over, *looking], return_when=asyncio.FIRST_COMPLETED)
        for task in looking:
            task.cancel()
        await asyncio.wait(looking)
        for task in done:
            task.result()  # a look that ended has a bug


async def _to_the_end(stdin: asyncio.StreamReader) -> None:
    await stdin.read()


def main() -> None:
    parser = argparse.ArgumentParser(description="One client of the ingest benchmark.")
    parser.add_argument("method", choices=["camscribe", "opencv", "ffmpeg"])
    method = importlib.import_module(f"benchmarks.ingest.methods.{parser.parse_args().method}")
    asyncio.run(run(cast("Method", method)))


if __name__ == "__main__":
    main()
