"""Where the real llama-server is, for the tests that run it beside the engine in the wheel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

BUILT = Path(__file__).parents[3] / ".venv/llama/bin/llama-server"
"""What ``make llama-server`` makes."""


def llama_server() -> Path | None:
    named = os.environ.get("CAMSCRIBE_TEST_LLAMA_SERVER")
    if named:
        return Path(named)
    if BUILT.is_file():
        return BUILT
    found = shutil.which("llama-server")
    return Path(found) if found else None
