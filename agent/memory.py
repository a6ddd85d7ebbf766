"""How the C library keeps memory: what many threads would otherwise cost."""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_PICTURE = 256 * 1024
"""Bytes; what is larger is a picture."""


def share_one_heap() -> None:
    """Let all threads allocate from one heap. For a process as a whole, before it starts its threads.

    glibc gives threads up to eight heaps a processor, none of which ever gives back what one long-lived crumb in it
    holds: with a thread a camera, and new ones at each reconnect and look, memory grows by a quarter within hours.
    Pictures get memory of their own, which goes back to the system with each of them; by itself glibc soon begins to
    take them from the heap too, where whatever comes to lie behind one keeps its place from being given back.
    Elsewhere (macOS, musl) there is nothing to set.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _PICTURE)
