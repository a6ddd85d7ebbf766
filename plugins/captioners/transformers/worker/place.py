"""Where the model computes, and in which number type."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FAST_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
"""What the kernel calls it, on x86 and on ARM."""


class Unfit(Exception):
    """The model can't work as configured; the sentence says what to change."""


def choose_device(torch: Any, wanted: str) -> str:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, usable in there.items() if usable)
    if not there[wanted]:
        usable = ", ".join(name for name, is_there in there.items() if is_there)
        raise Unfit(f"There is no {wanted} device that PyTorch can use here; there is {usable}. Set device to auto.")
    return wanted


def choose_dtype(torch: Any, wanted: str, device: str) -> Any:
    if wanted != "auto":
        return getattr(torch, wanted)
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device == "mps":
        return torch.float16
    return torch.bfloat16 if FAST_BFLOAT16 & processor_flags() else torch.float32


def processor_flags() -> set[str]:
    if sys.platform != "linux":
        return set()
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return set(flags.split())
    return set()
