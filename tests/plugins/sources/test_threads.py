"""Work off the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack

import pytest

from plugins.sources import threads
from plugins.sources.threads import in_thread
from tests.fakes.waiting import eventually


async def test_work_that_nobody_waits_for_any_more_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = threading.BoundedSemaphore(1)
    monkeypatch.setattr(threads, "_slots", slots)
    done: list[str] = []
    with ExitStack() as held:
        held.enter_context(slots)
        given_up = in_thread("given up", lambda: done.append("given up"))
        thread = next(one for one in threading.enumerate() if one.name == "given up")
        given_up.cancel()
    await asyncio.wait_for(in_thread("wanted", lambda: done.append("wanted")), 10)
    await eventually(lambda: not thread.is_alive())
    assert done == ["wanted"]
