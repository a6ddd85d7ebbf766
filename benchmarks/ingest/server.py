"""The cameras that are measured: one process, one encoded clip, a port for each camera, and a watch on itself.

Each camera is somewhere else in the loop, as real ones don't show their key frames all at once. Every second the server
prints how late its pictures went out: a late server is no measure of anybody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.ingest import streams
from benchmarks.ingest.streams import Stream
from tests.fakes import clips
from tests.fakes.rtsp_camera import Server, Session, Settings

ROOT = Path(__file__).resolve().parents[2]
SPREAD = 0.6180339887
"""The golden ratio: however many cameras there are, their key frames are spread evenly."""


class Camera(Server):
    """One port."""

    def __init__(self, settings: Settings, clip: clips.Clip, watch: Watch) -> None:
        super().__init__(settings, clip)
        self.watch = watch

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = TimedSession(self, reader, writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):  # the client went away
            await session.run()
        session.end()

    def event(self, **what: Any) -> None:
        """Who plays what is nobody's question here."""


class TimedSession(Session):
    due = 0.0

    async def _until(self, frame: int, began: float) -> None:
        self.due = self.server.settings.epoch + frame / self.server.clip.fps
        await super()._until(frame, began)

    def _send(self, parts: list[bytes]) -> None:
        super()._send(parts)
        assert isinstance(self.server, Camera)
        self.server.watch.sent(time.monotonic() - self.due)


class Watch:
    """How late pictures were handed to the network, in whole milliseconds."""

    def __init__(self) -> None:
        self._late: Counter[int] = Counter()

    def sent(self, late: float) -> None:
        self._late[round(late * 1000)] += 1

    async def tell(self) -> None:
        while True:
            await asyncio.sleep(1)
            late, self._late = self._late, Counter()
            print(json.dumps({"at": time.monotonic(), "late": late}), flush=True)


async def _serve(clip: clips.Clip, cameras: int, gop: int) -> None:
    epoch, watch = time.monotonic(), Watch()
    settings = Settings(
        pictures=None, numbers=len(clip.units), size=(0, 0), seconds_each=0, fps=clip.fps, gop=gop, codec=clip.codec,
        bit_rate=None, epoch=epoch, user=None, passwords={"/live": None}, auth="digest",
    )  # fmt: skip
    places = []
    for number in range(cameras):
        begun = epoch - number * SPREAD % 1 * gop / clip.fps
        camera = Camera(replace(settings, epoch=begun), clip, watch)
        server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
        places.append({"port": server.sockets[0].getsockname()[1], "epoch": begun})
    print(json.dumps(places), flush=True)
    telling = asyncio.create_task(watch.tell())
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it is gone
    telling.cancel()


@dataclass(frozen=True, slots=True)
class Place:
    """A camera as its viewer sees it."""

    port: int
    epoch: float
    """CLOCK_MONOTONIC at which picture 0 was on."""

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"


@dataclass(slots=True)
class Lateness:
    """How the server kept time over a while."""

    sent: int
    """Pictures."""
    p99_ms: float
    max_ms: float


@dataclass(slots=True)
class Cameras:
    """A running server."""

    stream: Stream
    places: list[Place]
    pid: int
    told: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def lateness(self, begin: float, end: float) -> Lateness:
        """Between two moments, whole seconds of the server's reports."""
        late: Counter[int] = Counter()
        for at, counts in self.told:
            if begin < at - 0.5 <= end:
                late.update({int(ms): count for ms, count in counts.items()})
        total = late.total()
        ranked, seen = 0, 0
        for ranked in sorted(late):
            seen += late[ranked]
            if seen >= 0.99 * total:
                break
        return Lateness(total, ranked, max(late, default=0))


@asynccontextmanager
async def cameras(stream: Stream, count: int, clip: Path) -> AsyncIterator[Cameras]:
    """``count`` cameras with that stream, in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.ingest.server", f"--clip={clip}", f"--cameras={count}"]
    process = await asyncio.create_subprocess_exec(
        *command, f"--gop={stream.gop}", cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for the one that ends us in order
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    listening: asyncio.Task[None] | None = None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        if not line:
            raise RuntimeError(f"the stream server ended with status {await process.wait()}")
        running = Cameras(stream, [Place(**place) for place in json.loads(line)], process.pid)
        listening = asyncio.create_task(_listen(process.stdout, running))
        yield running
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
        if listening:
            await listening


async def _listen(stdout: asyncio.StreamReader, running: Cameras) -> None:
    while line := await stdout.readline():
        report = json.loads(line)
        running.told.append((report["at"], report["late"]))


def main() -> None:
    parser = argparse.ArgumentParser(description="The stream server of the ingest benchmark.")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--cameras", type=int, required=True)
    parser.add_argument("--gop", type=int, required=True)
    args = parser.parse_args()
    asyncio.run(_serve(streams.load(args.clip), args.cameras, args.gop))


if __name__ == "__main__":
    main()
