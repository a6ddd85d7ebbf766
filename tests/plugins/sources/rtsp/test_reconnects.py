"""A thousand reconnects, without a pause between them, cost nothing that stays."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from statistics import median

import pytest

from tests.fakes.rtsp_camera import rtsp_camera
from tests.fakes.service import ROOT

COUNT = 1000
MOST_GROWTH = 2_000_000
GOOD = 3
"""Streams that open, give a picture and close, at once."""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_thousand_reconnects_leave_no_memory_descriptor_or_thread() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = f"rtsp://127.0.0.1:{taken.getsockname()[1]}/live"  # bound and not listening: connections are refused
        async with rtsp_camera(fps=25, gop=5, size=(320, 240), numbers=50) as camera:
            turns = "401,close,404,close,503,close"
            steady = [camera.url(turns=turns, after=0.35, of=place) for place in range(GOOD)]
            task = {"steady": steady, "refused": refused, "count": COUNT}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.fakes.reconnector", json.dumps(task)),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate()
            assert process.returncode == 0
            answered = [event.get("status", "good") for event in camera.events]
    lines = [json.loads(line) for line in out.splitlines()]
    before, *during, end = lines
    print(*lines[::5], lines[-1], sep="\n")
    assert end["sessions"] >= COUNT
    assert end["good"] >= 300
    assert {401, 404, 503, "good"} <= set(answered)

    def typical(key: str, begin: int, until: int) -> float:
        return median(line[key] for line in during if begin <= line["sessions"] <= until)

    early, late = (200, 300), (COUNT - 100, COUNT + 50)
    assert typical("uss", *late) - typical("uss", *early) <= MOST_GROWTH
    assert abs(typical("threads", *late) - typical("threads", *early)) <= 1
    assert abs(typical("descriptors", *late) - typical("descriptors", *early)) <= 2
    assert end["threads"] <= before["threads"] + 1
    assert end["descriptors"] <= before["descriptors"] + 1
