from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent.plugin import CaptionRequest, Context
from plugins.captioners.engine.owner import Pace
from plugins.captioners.llama_server import LlamaServer, LlamaServerConfig
from tests.fakes.engine.both import ENGINES, RealEngine, real_engine
from tests.fakes.engine.waiting import until
from tests.fakes.scenes import as_sent, known_scenes

Describes = Callable[..., Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[LlamaServer]]

QUICK = Pace(start_timeout=30, first_pause=0.05, longest_pause=0.2, check_every=0.2, grace=1, jitter=lambda: 0)


@pytest.fixture(autouse=True)
def no_engine_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A llama-server that happens to be installed must not change what these tests test."""
    monkeypatch.setattr("plugins.captioners.llama_server.binary.USUAL_FOLDERS", ())
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


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
def captioner(context: Context) -> Callable[..., LlamaServer]:
    def make(pace: Pace = QUICK, **config: Any) -> LlamaServer:
        return LlamaServer(LlamaServerConfig(**({"preset": "tiny"} | config)), context, pace)

    return make


@pytest.fixture
def running(captioner: Callable[..., LlamaServer]) -> Running:
    @asynccontextmanager
    async def run(captioner_: LlamaServer | None = None, **config: Any) -> AsyncIterator[LlamaServer]:
        engine = captioner_ or await asyncio.to_thread(captioner, **config)
        task = asyncio.create_task(engine.run())
        try:
            yield engine
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return run


@pytest.fixture
def request_() -> Callable[..., CaptionRequest]:
    def make(
        picture: bytes = b"\xff\xd8\xff", timeout: float = 10, prompt: str = "Describe the image."
    ) -> CaptionRequest:
        return CaptionRequest("front_door", picture, prompt, 60, timeout)

    return make


@pytest.fixture(params=ENGINES)
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RealEngine:
    """Each of the two real engines."""
    return real_engine(request.param, monkeypatch)


@pytest.fixture
def describes(request_: Callable[..., CaptionRequest]) -> Describes:
    """Waits until the engine is ready, then holds its captions of known scenes against the truth."""

    async def check(engine: LlamaServer, scenes: int = 1, within: float = 30) -> None:
        await until(lambda: engine.state == "ready", within)  # ready() would not wait for one that failed often
        await engine.ready(within)
        for truth, jpeg in _known(scenes, engine.view().size):
            assert (await engine.caption(request_(jpeg, timeout=30))).text == truth

    return check


@functools.cache
def _known(scenes: int, size: int) -> list[tuple[str, bytes]]:
    """Drawn once, as drawing takes memory that a test may watch."""
    return [(truth, as_sent(picture, size)) for truth, picture in known_scenes(scenes)]
