"""A machine with USB cameras that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.v4l2.camera import Tree, build


@pytest.fixture(scope="session")
def fakev4l2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fakev4l2"))


@pytest.fixture
def tree(tmp_path: Path, fakev4l2: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Loaded into what this process starts, never into itself."""
    monkeypatch.setenv("LD_PRELOAD", str(fakev4l2))
    return Tree(tmp_path)
