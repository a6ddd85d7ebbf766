"""docs/web.md: its examples load, its links lead on, its numbers and commands are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.config import load
from agent.web.access.attempts import BY_ADDRESS, BY_NAME
from agent.web.access.body import OF_PICTURES
from agent.web.access.guard import OPEN
from agent.web.access.rule import fault
from agent.web.command import app
from tests.fakes.service import ROOT

PAGE = ROOT / "docs" / "web.md"
TEXT = PAGE.read_text()
EXAMPLES = [
    re.sub(r"^ {3}", "", found, flags=re.MULTILINE) for found in re.findall(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_loads_and_needs_a_password(tmp_path: Path, example: str):
    (tmp_path / "config.yaml").write_text(f"{example.lstrip()}\ncameras: {{door: {{source: demo}}}}\n")
    settings = load(tmp_path / "config.yaml", {"HOME": str(tmp_path)}).web
    assert settings is not None
    assert "camscribe web password" in (fault(settings, None) or "")


def test_there_are_examples():
    assert len(EXAMPLES) == 4


def test_the_links_lead_on():
    headings = {
        re.sub(r"[^\w -]", "", found.lower()).replace(" ", "-")
        for found in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("http"):
            assert (PAGE.parent / target.partition("#")[0]).exists(), target


def test_what_it_says_is_so():
    assert (BY_ADDRESS.free, BY_NAME.free, BY_ADDRESS.longest, BY_NAME.longest) == (5, 10, 900, 60)
    assert "after 5 wrong passwords from an address, or 10 for a user" in TEXT
    assert {"/healthz", "/readyz", "/login"} == OPEN
    assert f"client_max_body_size {OF_PICTURES // 2**20}m" in TEXT


def test_its_commands_are_there():
    commands = set(re.findall(r"camscribe web ((?:token )?[a-z]+)", TEXT))
    assert {"password", "users", "rm", "token add"} <= commands
    for command in commands:
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command
