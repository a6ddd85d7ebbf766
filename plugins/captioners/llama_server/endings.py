"""How an engine ended, and what to do about it."""

from __future__ import annotations

import signal


def how_it_ended(code: int) -> str:
    """A process's end in words, with what to do about it."""
    if code >= 0:
        return f"ended with exit status {code}."
    if -code == signal.SIGILL:
        return (
            "was stopped by an illegal instruction: it is built for another processor. Install a llama-server made for "
            "this machine, or leave out 'binary' to use the one that comes with camscribe."
        )
    if -code == signal.SIGKILL:
        return "was killed (SIGKILL): by somebody, or by the system because memory ran out."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"crashed ({name})."
