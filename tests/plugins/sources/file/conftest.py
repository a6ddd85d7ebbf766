"""A file camera whose ``run()`` goes on beside the test."""

import asyncio
import logging
from pathlib import Path

import pytest

from agent.plugin import Context
from plugins.sources.file import FileConfig, FileSource


@pytest.fixture
async def camera():
    running = []

    def make(path: Path, *, long_edge: int = 1280, max_age: float = 60, **options) -> FileSource:
        states = []
        context = Context(
            "cam",
            logging.getLogger("test.file"),
            Path(),
            Path(),
            report=lambda *state: states.append(state),
            long_edge=long_edge,
            max_age=max_age,
        )
        source = FileSource(FileConfig(path=path, **options), context)
        source.states = states
        running.append(asyncio.create_task(source.run()))
        return source

    yield make
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
