"""What many threads cost."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, threading
together = threading.Barrier(8)
def work():
    kept = [ctypes.create_string_buffer(5000) for _ in range(100)]
    together.wait()
def have_threads():
    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    ctypes.CDLL(None).malloc_stats()
"""
APART = f"{SCRIPT}\nhave_threads()"
SHARED = f"{SCRIPT}\nfrom agent.memory import share_one_heap\nshare_one_heap()\nhave_threads()"
SERVICE = f"""{SCRIPT}
from types import SimpleNamespace
from agent.service import serve
async def service(stop, stopping):
    have_threads()
raise SystemExit(serve(SimpleNamespace(secrets=()), service, level="INFO"))
"""


glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives threads heaps of their own")


def heaps(script: str) -> int:
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return done.stderr.count("Arena ")


@glibc_only
def test_threads_share_one_heap() -> None:
    assert heaps(SHARED) == 1
    assert heaps(APART) > 1


@glibc_only
def test_threads_of_the_service_share_one_heap() -> None:
    assert heaps(SERVICE) == 1
