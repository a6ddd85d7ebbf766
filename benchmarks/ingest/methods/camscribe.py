"""camscribe's own RTSP source, on an event loop, as the service runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from agent.memory import share_one_heap
from agent.plugin import Context, FrameUnavailable
from benchmarks.ingest.methods.looking import Camera, Job, NoPicture
from plugins.sources.rtsp import RtspConfig, RtspSource


class SourceCamera:
    def __init__(self, source: RtspSource) -> None:
        self.source = source

    async def look(self, timeout: float) -> np.ndarray:
        try:
            return (await self.source.take(timeout)).pixels
        except FrameUnavailable as error:
            raise NoPicture(str(error)) from error


@asynccontextmanager
async def cameras(job: Job) -> AsyncIterator[list[Camera]]:
    share_one_heap()  # as the service does
    sources = []
    for number, url in enumerate(job.urls):
        name = f"camera_{number}"
        nowhere = Path("/nonexistent")
        context = Context(name, logging.getLogger(f"camscribe.camera.{name}"), nowhere, nowhere)
        config = RtspConfig.model_validate({"url": url, "transport": job.transport, **job.options})
        sources.append(RtspSource(config, context))
    running = [asyncio.create_task(source.run()) for source in sources]
    try:
        yield [SourceCamera(source) for source in sources]
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
