"""What a camera sends can't fill this machine's memory: measured in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from agent.plugin import Failure
from tests.fakes.http_camera import ROOT, http_camera

MB = 1 << 20
TIMEOUT = 3


@pytest.mark.parametrize(
    ("query", "kind", "most"),
    [
        ({"fault": "endless"}, Failure.SOURCE, 50),
        ({"fault": "gzip"}, Failure.SOURCE, 5),
        ({"fault": "pixels"}, Failure.DAMAGED, 5),
        ({"announced": 10**11}, Failure.SOURCE, 5),
        ({"fault": "loop"}, Failure.SOURCE, 5),
        ({"fault": "redirect", "count": 10_000}, Failure.SOURCE, 5),
        ({"fault": "html"}, Failure.NO_VIDEO, 5),
        ({"fault": "loris"}, Failure.TIMEOUT, 5),
        ({"fault": "loris", "at": "body", "pause": 0.2}, Failure.TIMEOUT, 5),
        ({"path": "/stream.mjpeg", "fault": "torn"}, Failure.DAMAGED, 15),
        ({"path": "/stream.mjpeg", "fault": "torn", "lengths": "no"}, Failure.DAMAGED, 15),
        ({"path": "/stream.mjpeg", "fault": "hugehead"}, Failure.NO_VIDEO, 5),
        ({"path": "/stream.mjpeg", "fault": "hugepart", "lengths": "no"}, Failure.NO_VIDEO, 30),
        ({"path": "/stream.mjpeg", "lengths": "huge"}, Failure.NO_VIDEO, 5),
    ],
    ids=str,
)
async def test_memory_is_bounded(query: dict[str, Any], kind: Failure, most: int) -> None:
    async with http_camera(numbers=4) as camera:
        child = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "tests.plugins.sources.http.looker",
                camera.url(**{"path": "/snapshot.jpg", **query}),
                "on_demand",
            ),
            f"--first={camera.url()}",
            f"--timeout={TIMEOUT}",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        said, _ = await asyncio.wait_for(child.communicate(b"look\n" * 5), 60)
        before, *bombs = [json.loads(line) for line in said.splitlines()]
        assert [bomb.get("kind") for bomb in bombs] == [kind] * 5
        assert max(bomb["seconds"] for bomb in bombs) < TIMEOUT + 0.5
        assert bombs[-1]["peak"] - before["peak"] < most * MB
        # Three looks later not even what one may take is left. Fewer is no proof: the allocator keeps some, by chance.
        assert bombs[-1]["rss"] - bombs[1]["rss"] < most * MB
