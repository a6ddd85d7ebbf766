"""The engine's owner is cancelled at each of its waits, once or again and again: nothing is left, and it is stopped."""

from __future__ import annotations

import asyncio
import itertools
import types
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from plugins.captioners.llama_server import LlamaServer, binary
from tests.fakes.engine.stand_in import Behaviour, calls, stand_in
from tests.fakes.engine.waiting import until
from tests.fakes.leftovers import nothing_left

READY = 30
"""Waits from the beginning until it is ready and watched, roughly; from then on all are alike."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, so that it is asked for its options only once."""
    return stand_in(tmp_path_factory.mktemp("bin"), Behaviour())


@types.coroutine
def cancelled_at(work: Coroutine[Any, Any, None], waits: range) -> Generator[Any, None, None]:
    """``work``, whose task is cancelled while it waits for the n-th time, for each n of ``waits``."""
    go_on: Callable[[Any], Any] = work.send
    given: Any = None
    for count in itertools.count():
        try:
            waits_for = go_on(given)
        except StopIteration:
            return
        if count in waits:
            task = asyncio.current_task()
            assert task
            task.cancel()
        try:
            yield waits_for
        except BaseException as error:  # noqa: BLE001  it is the work's to deal with
            go_on, given = work.throw, error
        else:
            go_on, given = work.send, None


async def wrapped(work: Coroutine[Any, Any, None], waits: range) -> None:
    await cancelled_at(work, waits)


@pytest.mark.parametrize(
    ("at", "again"),
    [*((at, False) for at in range(READY)), *((at, True) for at in range(1, READY, 3))],
)
async def test_cancelled_at_any_wait(
    captioner: Callable[..., LlamaServer], short: Path, server: Path, at: int, again: bool
):
    engine = await asyncio.to_thread(captioner, binary=server)
    await binary.find(server, engine.log)
    async with nothing_left(short):
        waits = range(at, 10_000) if again else range(at, at + 1)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.create_task(wrapped(engine.run(), waits)), 30)
        assert engine.state == "stopped"
        assert engine.processes == ()


async def test_cancelled_between_two_starts(captioner: Callable[..., LlamaServer], short: Path):
    server = stand_in(short, Behaviour(dies=1))
    engine = await asyncio.to_thread(captioner, binary=server)
    async with nothing_left(short):
        task = asyncio.create_task(engine.run())
        await until(lambda: len(calls(server)) >= 2 and engine.state.startswith("failed"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.state == "stopped"
