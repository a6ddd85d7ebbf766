"""The service units, as far as they can be tried without a machine that boots them."""

import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SYSTEM_UNIT = ROOT / "systemd" / "camscribe.service"
USER_UNIT = ROOT / "systemd" / "user" / "camscribe.service"
DAEMON = ROOT / "launchd" / "org.camscribe.daemon.plist"
AGENT = ROOT / "launchd" / "org.camscribe.agent.plist"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSED = 20
"""systemd-analyze's measure, 0 to 100; above 50 is 'medium'. What remains is network, cameras and GPUs."""


def read_unit(path):
    """section -> key -> the values, or an AssertionError: the plain check where systemd-analyze is missing."""
    unit, section = {}, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(Unit|Service|Install)\]", line):
            section = unit.setdefault(header[1], {})
            continue
        assert section is not None, f"{path}:{number}: a setting before the first section"
        setting = re.fullmatch(r"([A-Z][A-Za-z0-9]+)=(.*)", line)
        assert setting, f"{path}:{number}: {line!r}"
        section.setdefault(setting[1], []).append(setting[2])
    return unit


@pytest.mark.parametrize("path", [SYSTEM_UNIT, USER_UNIT], ids=["system", "user"])
def test_systemd_takes_the_unit(path, tmp_path):
    read_unit(path)
    if ANALYZE is None:
        assert os.environ.get("CI") != "true", "systemd-analyze is missing: apt-get install systemd"
        return  # the header of the test run says that only the plain check was done
    copy = tmp_path / path.name
    copy.write_text(re.sub(r"(?m)^(Exec\w+)=\S+", rf"\1={shutil.which('true')}", path.read_text()))
    said = subprocess.run([ANALYZE, "verify", copy], check=False, capture_output=True, text=True, timeout=60)
    ours = [line for line in said.stderr.splitlines() if path.name in line]  # others' units may be faulty
    assert (said.returncode, ours) == (0, [])


def test_the_system_unit_is_locked_down():
    service = read_unit(SYSTEM_UNIT)["Service"]
    expected = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "CapabilityBoundingSet": ""}
    assert {key: service[key][-1] for key in expected} == expected
    if ANALYZE is None:
        assert os.environ.get("CI") != "true", "systemd-analyze is missing: apt-get install systemd"
        return
    command = [ANALYZE, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", SYSTEM_UNIT]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stdout[-500:] + said.stderr


@pytest.mark.parametrize("path", [SYSTEM_UNIT, USER_UNIT], ids=["system", "user"])
def test_systemd_restarts_after_a_crash_but_not_after_a_wrong_config(path):
    unit = read_unit(path)
    wanted = {"Restart": "on-failure", "RestartPreventExitStatus": "2", "TimeoutStopSec": "15", "KillMode": "mixed"}
    assert {key: unit["Service"][key] for key in wanted} == {key: [value] for key, value in wanted.items()}
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"]


def test_the_system_unit_runs_an_own_environment_with_private_folders():
    unit = read_unit(SYSTEM_UNIT)
    service = unit["Service"]
    assert service["ExecStart"] == ["/opt/camscribe/venv/bin/camscribe run --config /etc/camscribe/config.yaml"]
    assert service["User"] == ["camscribe"]
    assert service["StateDirectoryMode"] == service["RuntimeDirectoryMode"] == ["0700"]
    assert unit["Unit"]["After"] == unit["Unit"]["Wants"] == ["network-online.target"]
    assert {"char-video4linux rw", "char-drm rw"} <= set(service["DeviceAllow"])


@pytest.mark.parametrize("path", [DAEMON, AGENT], ids=["daemon", "agent"])
def test_launchd_property_list(path):
    job = plistlib.loads(path.read_bytes())
    assert job["Label"] == path.stem
    assert job["ProgramArguments"][0].endswith("/bin/camscribe")
    assert job["ProgramArguments"][1:3] == ["run", "--config"]
    assert job["EnvironmentVariables"]["PATH"].split(":")[:2] == ["/opt/homebrew/bin", "/usr/local/bin"]
    assert job["RunAtLoad"] is True
    assert job["KeepAlive"] == {"SuccessfulExit": False}
    assert job["ThrottleInterval"] >= 10
    assert job["ExitTimeOut"] > 10
    assert job["SoftResourceLimits"]["NumberOfFiles"] == 4096
    assert job["ProcessType"] == "Interactive"
    assert job["Umask"] == 0o077
    assert job["StandardOutPath"] == job["StandardErrorPath"]
    assert "~" not in path.read_text().replace("no ~ here", ""), "launchd expands no ~"


def test_the_daemon_is_not_root_and_the_agent_lives_in_a_session():
    daemon, agent = plistlib.loads(DAEMON.read_bytes()), plistlib.loads(AGENT.read_bytes())
    assert daemon["UserName"] == "_camscribe"
    assert agent["LimitLoadToSessionType"] == "Aqua"
    assert "UserName" not in agent


@pytest.mark.parametrize("folder", ["systemd", "launchd"])
def test_the_readme_names_every_unit(folder):
    readme = (ROOT / folder / "README.md").read_text()
    for unit in (ROOT / folder).rglob("*.*"):
        assert unit.name in readme or unit.name == "README.md"
