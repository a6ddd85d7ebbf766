"""The Python that has PyTorch and Transformers, for the tests that run a model in them: too large for everybody."""

from __future__ import annotations

import os
from pathlib import Path

MADE = Path(__file__).parents[2] / ".venv/transformers/bin/python"
"""What ``make transformers`` makes."""
INSTEAD = "no PyTorch here: make transformers, or name a Python that has it as CAMSCRIBE_TEST_TORCH_PYTHON"


def torch_python() -> Path | None:
    named = os.environ.get("CAMSCRIBE_TEST_TORCH_PYTHON")
    if named:
        return Path(named)
    return MADE if MADE.is_file() else None
