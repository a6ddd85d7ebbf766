"""The wheel's engine starts on a system without libgomp, or says what to install."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

from agent.plugin import Misconfigured
from plugins.captioners.llama_server import openmp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux wheels leave libgomp to the system")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no system has stands for the library that this one lacks."""
    monkeypatch.setattr(openmp, "LIBRARY", "libgomp-of-no-system.so.1")


def test_the_systems_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openmp, "LIBRARY", "libc.so.6")  # one that every system has
    assert openmp.environment(tmp_path / "lib") == {}
    assert not (tmp_path / "lib").exists()


@pytest.mark.usefixtures("bare")
def test_a_bare_system_gets_the_copy_under_the_right_name(tmp_path: Path):
    for _ in range(2):  # a killed run leaves the link behind
        added = openmp.environment(tmp_path / "lib")
    folder = added["LD_LIBRARY_PATH"].split(":")[0]
    library = ctypes.CDLL(str(Path(folder) / openmp.LIBRARY))
    assert library.omp_get_max_threads() >= 1


@pytest.mark.usefixtures("bare")
def test_without_a_copy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openmp, "CARRIER", "no-such-package")
    with pytest.raises(Misconfigured, match="apt install libgomp1"):
        openmp.environment(tmp_path / "lib")
