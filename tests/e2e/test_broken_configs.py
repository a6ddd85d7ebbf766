"""Every broken config ends the command line with status 2 and lines that name the fault, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli import app

BROKEN = sorted((Path(__file__).parents[1] / "agent/config/broken").glob("*.yaml"))


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_exit_status_2_and_a_line_for_each_fault(file: Path, command: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PASSWORD", "env-marker")
    done = CliRunner().invoke(app, [command, "--config", str(file)])
    assert done.exit_code == 2
    assert done.exception is None or isinstance(done.exception, SystemExit)
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"{file}:")]
    assert lines
    assert all(line.removeprefix(f"{file}:").partition(":")[0].isdecimal() for line in lines)
    assert "Traceback" not in done.output
    assert "env-marker" not in done.output
