"""``camscribe web …``: what each command keeps, says and refuses."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent.web.access.passwords import verify
from agent.web.access.store import Store
from agent.web.command import app
from tests.fakes.service import write_config

PASSWORD = "four words are enough"


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command makes the log its own, for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def config(folder: Path, **web: Any) -> Path:
    return write_config(folder, {"cameras": {"door": {"source": "demo"}}, "web": web})


def web(config: Path, *arguments: str, given: str = "") -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)], input=given)


def set_password(config: Path, password: str = PASSWORD, user: str = "admin") -> None:
    done = web(config, "password", "--user", user, given=f"{password}\n")
    assert (done.exit_code, done.stderr) == (0, "")


def test_users_come_and_go(tmp_path: Path) -> None:
    file = config(tmp_path)
    assert "'camscribe web password' sets one" in web(file, "users").stdout
    done = web(file, "password", given=f"{PASSWORD}\n")
    assert done.exit_code == 0
    assert done.stdout.startswith("admin can log in with this password now.")
    set_password(file, user="Anna")
    assert json.loads(web(file, "users", "--json").stdout) == ["admin", "anna"]
    assert web(file, "rm", "ANNA").stdout == "anna can't log in any more.\n"
    again = web(file, "rm", "anna")
    assert (again.exit_code, again.stderr) == (2, "There is no user 'anna'. There is: admin.\n")
    last = web(file, "rm", "admin")
    assert "whoever uses this machine is let in" in last.stderr
    kept = (tmp_path / "data" / "web.json").read_text()
    assert PASSWORD not in kept


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("short\n", "a password has 8 or more"),
        ("", "a password has 8 or more"),
        ("admin2026\n", "little more than a name"),
        ("12345678\n", "the first that anybody tries"),
    ],
)
def test_what_is_no_password_changes_nothing(tmp_path: Path, given: str, told: str) -> None:
    done = web(config(tmp_path), "password", given=given)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not (tmp_path / "data" / "web.json").exists()


def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    done = web(config(tmp_path), "password", "--user", "a b", given=f"{PASSWORD}\n")
    assert done.exit_code == 2
    assert "'a b' can't be a user's name" in done.stderr


def test_a_token_is_shown_once(tmp_path: Path) -> None:
    file = config(tmp_path)
    done = web(file, "token", "add", "grafana")
    assert re.fullmatch(r"camscribe_[\w-]{43}\n", done.stdout)
    assert "can't be shown again" in done.stderr
    again = web(file, "token", "add", "grafana")
    assert (again.exit_code, again.stdout) == (2, "")
    (listed,) = json.loads(web(file, "token", "list", "--json").stdout)
    assert listed["name"] == "grafana"
    shown = web(file, "token", "list").stdout
    assert "grafana" in shown
    assert done.stdout.strip() not in shown
    assert web(file, "token", "rm", "grafana").exit_code == 0
    assert web(file, "token", "rm", "grafana").exit_code == 2
    assert "There is none." in web(file, "token", "list").stdout


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = config(tmp_path)
    set_password(file)
    kept = tmp_path / "data" / "web.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_password_is_what_was_typed_and_no_line_end(tmp_path: Path) -> None:
    file = config(tmp_path)
    for given in (PASSWORD, f"{PASSWORD}\n", f"{PASSWORD}\r\nmore\n"):
        assert web(file, "password", given=given).exit_code == 0
        kept = Store(tmp_path / "data").read()
        assert kept is not None
        assert verify(kept.users["admin"].password, PASSWORD)


def test_taking_the_last_one_away_is_told_where_others_could_come(tmp_path: Path) -> None:
    file = config(tmp_path, host="0.0.0.0")
    web(file, "token", "add", "grafana")
    assert "there is no password yet" in web(file, "token", "rm", "grafana").stderr


def test_without_pages_that_is_said(tmp_path: Path) -> None:
    file = write_config(tmp_path, {"cameras": {"door": {"source": "demo"}}, "web": False})
    assert "'web: false'" in web(file, "password", given=f"{PASSWORD}\n").stdout


def test_a_file_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    file = config(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "web.json").write_text("{")
    for arguments in (["users"], ["token", "list"], ["token", "add", "x"], ["rm", "x"]):
        done = web(file, *arguments)
        assert done.exit_code == 2
        assert "makes no sense" in done.stderr


def test_every_command_has_help_with_an_example() -> None:
    for arguments in (["password"], ["users"], ["rm"], ["token", "add"], ["token", "list"], ["token", "rm"]):
        told = CliRunner().invoke(app, [*arguments, "--help"]).stdout
        assert f"Example: camscribe web {' '.join(arguments)}" in told
