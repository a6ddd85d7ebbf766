"""A process that looks at an HTTP camera whenever it reads a line, and says what it saw and what that cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time

import psutil

from agent.plugin import FrameUnavailable
from tests.fakes.clips import read_number
from tests.plugins.sources.http.http_looking import Looked, looking


async def look(looked: Looked, timeout: float) -> dict[str, object]:
    me = psutil.Process()
    began, cpu = time.monotonic(), time.process_time()
    try:
        frame = await looked.source.take(timeout)
        said: dict[str, object] = {"number": int(number) if (number := read_number(frame.pixels)) is not None else None}
    except FrameUnavailable as error:
        said = {"kind": error.kind, "message": str(error)}
    return {
        **said,
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "rss": me.memory_info().rss,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "total_cpu": time.process_time(),
    }


async def main(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    if arguments.first:
        async with looking(arguments.first) as looked:  # whatever is needed for any look is loaded
            print(json.dumps(await look(looked, arguments.timeout)), flush=True)
    async with looking(arguments.url, connect=arguments.connect) as looked:
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await look(looked, arguments.timeout)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("connect")
    parser.add_argument("--first", help="look at this one before")
    parser.add_argument("--timeout", type=float, default=10)
    asyncio.run(main(parser.parse_args()))
