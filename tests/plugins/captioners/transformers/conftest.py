from __future__ import annotations

import asyncio
import io
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agent.plugin import CaptionRequest, Context, Question
from plugins.captioners.engine.owner import Pace
from plugins.captioners.transformers import Transformers, TransformersConfig
from tests.fakes.tiny_checkpoint import checkpoint
from tests.fakes.torch_python import INSTEAD, torch_python

Running = Callable[..., AbstractAsyncContextManager[Transformers]]
Ask = Callable[..., CaptionRequest]

QUICK = Pace(start_timeout=90, first_pause=0.05, longest_pause=0.2, check_every=0.5, grace=1, jitter=lambda: 0)


@pytest.fixture(scope="session")
def torch() -> Path:
    """The Python that has PyTorch."""
    found = torch_python()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(INSTEAD)
        pytest.skip(INSTEAD)
    return found


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder."""
    return checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path short enough for sockets, which pytest's are not always."""
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def context(short: Path, tmp_path: Path) -> Context:
    return Context("default", logging.getLogger("camscribe.captioner.default"), tmp_path / "data", short / "run")


@pytest.fixture
def captioner(context: Context) -> Callable[..., Transformers]:
    def make(pace: Pace = QUICK, **config: Any) -> Transformers:
        return Transformers(TransformersConfig(**config), context, pace)

    return make


@pytest.fixture
def running(captioner: Callable[..., Transformers]) -> Running:
    @asynccontextmanager
    async def run(captioner_: Transformers | None = None, **config: Any) -> AsyncIterator[Transformers]:
        started = captioner_ or await asyncio.to_thread(captioner, **config)
        task = asyncio.create_task(started.run())
        try:
            yield started
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return run


@pytest.fixture
def request_() -> Ask:
    def make(
        picture: bytes,
        prompt: str = "Describe the image.",
        timeout: float = 30,
        questions: Mapping[str, Question] | None = None,
    ) -> CaptionRequest:
        return CaptionRequest("front_door", picture, prompt, 60, timeout, questions or {})

    return make


def jpeg(picture: Image.Image, edge: int = 96) -> bytes:
    file = io.BytesIO()
    picture.resize((edge, edge), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()
