"""The command line's contract: exit statuses, help, and what each command says."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.fakes.service import ROOT, command, write_config
from tests.fakes.service import camscribe as running

COMMANDS = ["demo", "run", "check", "look", "schema", "doctor"]


def camscribe(*arguments: str, cwd: Path | None = None, env: dict | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, cwd=cwd, env=env, check=False
    )


def test_version_is_the_packages():
    done = camscribe("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("camscribe 0.")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    done = camscribe(name, "--help")
    assert done.returncode == 0
    assert f"Example: camscribe {name}" in done.stdout


def test_an_unknown_command_is_wrong_use():
    assert camscribe("lok").returncode == 2


def test_check_passes_the_sample():
    done = camscribe("check", "--config", str(ROOT / "config.yaml"))
    assert done.returncode == 0, done.stderr
    assert "good" in done.stdout


def test_check_names_each_fault_with_its_line(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("cameras:\n  door:\n    source: demo\n    every: 30 sec\n    promt: hello\n")
    for command_ in ("check", "run"):
        done = camscribe(command_, "--config", str(config))
        assert done.returncode == 2
        assert "config.yaml:4" in done.stderr
        assert "cameras.door.every" in done.stderr
        assert "config.yaml:5" in done.stderr
        assert "prompt" in done.stderr
        assert "Traceback" not in done.stderr


async def test_under_launchd_a_wrong_config_is_said_once_until_the_file_changes(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("cameras:\n  door:\n    source: demo\n    every: 30 sec\n")
    env = {"XPC_SERVICE_NAME": "org.camscribe.daemon"}
    async with running("run", "--config", str(config), env=env) as service:
        await service.until(lambda: any("config.yaml:4" in line for line in service.err))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.process.wait(), 3)
        config.write_text("cameras:\n  door:\n    source: demo\n    every: 30s\n")
        assert await asyncio.wait_for(service.process.wait(), 10) == 2  # and launchd starts it again


def test_without_a_config_it_says_where_it_looked(tmp_path):
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = camscribe("check", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "config.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_knows_the_grammar_and_the_plugins():
    done = camscribe("schema")
    assert done.returncode == 0
    text = json.dumps(json.loads(done.stdout))
    for word in ("cameras", "outputs", "base_topic", "image_max_tokens" if "image_max_tokens" in text else "preset"):
        assert word in text


def test_look_at_a_camera_that_is_not_there_is_wrong_use(tmp_path):
    config = write_config(tmp_path, {"cameras": {"door": {"source": "demo"}}})
    done = camscribe("look", "dor", "--config", str(config))
    assert done.returncode == 2
    assert "door" in done.stderr


@pytest.mark.slow
def test_look_without_a_service_gives_one_observation(tmp_path):
    config = write_config(tmp_path, {"model": {"preset": "tiny"}, "cameras": {"door": {"source": "demo"}}})
    done = camscribe("look", "door", "--json", "--config", str(config))
    assert done.returncode == 0, done.stderr
    observation = json.loads(done.stdout)
    assert observation["version"] == 1
    assert observation["reason"] == "manual"
    assert observation["caption"].endswith(".")
    parts = observation["latency_ms"]
    assert sum(value for name, value in parts.items() if name != "total") == parts["total"]


@pytest.mark.slow
def test_a_look_that_fails_exits_1_and_says_why(tmp_path):
    cameras = {"door": {"source": "file:missing.jpg"}}
    config = write_config(tmp_path, {"model": {"preset": "tiny"}, "cameras": cameras})
    done = camscribe("look", "door", "--config", str(config))
    assert done.returncode == 1
    assert "not_found" in done.stderr
    assert "missing.jpg" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_doctor_tries_everything_and_exits_1_where_something_is_wrong(tmp_path):
    good = {"model": {"preset": "tiny"}, "cameras": {"door": {"source": "demo"}}, "outputs": {"log": {}}}
    done = camscribe("doctor", "--config", str(write_config(tmp_path, good)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "640x480" in done.stdout
    hook = {"use": "webhook", "url": "http://127.0.0.1:9/x"}
    broken = {**good, "outputs": {"mqtt": {"host": "127.0.0.1", "port": 9}, "hook": hook}}
    done = camscribe("doctor", "--json", "--config", str(write_config(tmp_path, broken)))
    assert done.returncode == 1
    findings = {finding["part"]: finding for finding in json.loads(done.stdout)}
    assert findings["camera door"]["good"]
    assert not findings["output mqtt"]["good"]
    assert "127.0.0.1" in findings["output mqtt"]["text"]
    assert not findings["output hook"]["good"]


@pytest.mark.slow
async def test_doctor_asks_the_running_service_what_is_wrong_and_leaves_nothing_behind(tmp_path):
    config = {
        "model": {"preset": "tiny"},
        "cameras": {"door": {"source": "demo", "every": "1s"}},
        "outputs": {"log": {}, "hook": {"use": "webhook", "url": "http://127.0.0.1:9/secret-path"}},
    }
    temporary = tmp_path / "t"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary), "XDG_RUNTIME_DIR": "/nowhere/of/another/user"}
    arguments = ("doctor", "--config", str(write_config(tmp_path, config)))
    async with running("run", *arguments[1:], env=env) as service:
        await service.until(lambda: any("Output hook" in line for line in service.err))
        async with running(*arguments, env=env) as doctor:
            assert await doctor.process.wait() == 1
        said = "\n".join(doctor.out)
        assert "output hook" in said
        assert "ok   output log" in said
        assert "secret-path" not in said + "\n".join(service.err)
        assert await service.stop() == 0
    async with running(*arguments, env=env) as doctor:
        assert await doctor.process.wait() == 1
    assert list(temporary.iterdir()) == []
