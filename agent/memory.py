"""How the C library keeps memory: what many threads would otherwise cost."""

from __future__ import annotations

import ctypes
import platform

_M_ARENA_MAX = -8  # malloc.h


def share_one_heap() -> None:
    """Let all threads allocate from one heap. For a process as a whole, before it starts its threads.

    glibc gives threads up to eight heaps a processor, none of which ever gives back what one long-lived crumb in it
    holds: with a thread a camera, and new ones at each reconnect and look, memory grows by a quarter within hours.
    Elsewhere (macOS, musl) there is nothing to set.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
