"""The one way from a thread to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")


def hand_to(loop: asyncio.AbstractEventLoop, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
    """Call ``callback`` on the loop's thread. An abandoned thread may outlive its loop: then nobody is left to tell."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise
