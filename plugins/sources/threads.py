"""Work off the event loop, and the one way back to it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar, TypeVarTuple, Unpack, cast

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_NO_SLOT: AbstractContextManager[object] = nullcontext()
_slots = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))


def hand_to(loop: asyncio.AbstractEventLoop, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
    """Call ``callback`` on the loop's thread. An abandoned thread may outlive its loop: then nobody is left to tell."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


def in_thread(name: str, work: Callable[[], T], *, waits: bool = False) -> asyncio.Future[T]:
    """Run ``work`` in a thread for it alone, at most as many at once as there are processors.

    One that only ``waits`` doesn't count. Not asyncio's executor: its few threads are everybody's, and closing it
    waits for them.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        with _NO_SLOT if waits else _slots:
            if done.cancelled():
                return  # nobody waits for it any more, and others do for their turn
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it goes to whoever waits
                hand_to(loop, settle, None, error)
            else:
                hand_to(loop, settle, result, None)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done
