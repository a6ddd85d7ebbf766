"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], within: float = 30.0) -> Any:
    """What ``condition`` gives once that is true."""
    try:
        async with asyncio.timeout(within):
            while not (found := condition()):  # noqa: ASYNC110  anything may be waited for
                await asyncio.sleep(0.005)
            return found
    except TimeoutError:
        raise AssertionError(f"not true within {within:g} s") from None
