"""Waiting for a condition with a deadline, and what it means that a process is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psutil


async def until(condition: Callable[[], Any], within: float = 20) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  what another process does sets no event here
            await asyncio.sleep(0.02)


def gone(process: psutil.Process) -> bool:
    """It has ended; a zombie only waits for this machine's init to notice."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
