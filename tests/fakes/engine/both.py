"""Both real engines, for tests that must hold for either: as they are, or spoilt by a script on their way."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.engine.llama import llama_server

ENGINES = ("llama-server", "wheel")


@dataclass(frozen=True)
class RealEngine:
    name: str
    program: Path
    """The llama-server, or the Python that runs the engine in the wheel."""
    config: Mapping[str, Any]
    """What makes the captioner use it."""
    _monkeypatch: pytest.MonkeyPatch

    def behind(self, script: str, folder: Path) -> dict[str, Any]:
        """The config of the same engine where ``script`` (a shell's) runs before it is to serve a model.

        What it is only asked (its options, its version) it answers as ever.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "llama-server"
        # The engine in the wheel is run by the same Python as its guard, which has -S.
        path.write_text(
            '#!/bin/sh\ncase "$2 $*" in\n-S*) ;;\n*mmproj*)\n'
            f'{script}\n;;\nesac\nexec {shlex.quote(str(self.program))} "$@"\n'
        )
        path.chmod(0o755)
        if self.name == "wheel":
            self._monkeypatch.setattr(sys, "executable", str(path))
            return {}
        return {"binary": path}


def real_engine(name: str, monkeypatch: pytest.MonkeyPatch) -> RealEngine:
    if name == "wheel":
        return RealEngine(name, Path(sys.executable), {}, monkeypatch)
    found = llama_server()
    if found is None:
        pytest.skip("no llama-server: make llama-server")
    return RealEngine(name, found, {"binary": found}, monkeypatch)
