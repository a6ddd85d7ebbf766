from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.config import ConfigFaults, load, parse
from agent.errors import Misconfigured
from agent.plugin import Captioner, Output, Source
from agent.registry import Registry

OUTPUT = """
from agent.plugin import Output, PluginConfig

class Config(PluginConfig):
    greeting: str = "hello"
    '''What it says.'''

class Doorbell(Output[Config]):
    async def deliver(self, deliveries):
        async for delivery in deliveries:
            print(self.config.greeting, delivery.observation.caption)
"""

SOURCE = """
from agent.plugin import PluginConfig, Source

class Moon(Source[PluginConfig]):
    schemes = ("moon",)
    @classmethod
    def from_short(cls, text):
        return {}
    async def take(self, timeout):
        raise NotImplementedError
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    return folder


def _put(folder: Path, **files: str) -> Registry:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return Registry.discover(folder)


def _reasons(registry: Registry, name: str) -> dict[str, str]:
    return {kind: reason for (kind, found), reason in registry.failures.items() if found == name}


def test_the_built_in_plugins_come_through_their_entry_points() -> None:
    registry = Registry.discover(None)
    assert {"demo", "file", "rtsp"} <= set(registry.sources)
    assert "llama_server" in registry.captioners
    assert {"log", "mqtt", "webhook"} <= set(registry.outputs)
    assert not registry.failures
    for kind, contract in (("source", Source), ("captioner", Captioner), ("output", Output)):
        assert all(issubclass(plugin, contract) for plugin in registry.of(kind).values())


def test_a_file_in_the_plugins_folder_is_a_plugin_named_after_it(folder: Path) -> None:
    registry = _put(folder, doorbell=OUTPUT, moon=SOURCE)
    assert registry.outputs["doorbell"].Config().greeting == "hello"
    assert registry.sources["moon"].schemes == ("moon",)
    assert not _reasons(registry, "doorbell")
    assert not _reasons(registry, "moon")
    assert registry.outputs["doorbell"].__module__ == "camscribe_plugins.doorbell"


def test_one_file_may_hold_a_plugin_of_each_kind(folder: Path) -> None:
    registry = _put(folder, moon=OUTPUT + SOURCE)
    assert "moon" in registry.sources
    assert "moon" in registry.outputs


def test_a_plugin_file_never_becomes_somebody_elses_module(folder: Path) -> None:
    registry = _put(folder, json=OUTPUT, yaml="raise RuntimeError('not me')")
    assert "json" in registry.outputs
    import json

    assert json.loads("1") == 1
    assert str(folder) not in sys.path


def test_files_that_begin_with_an_underscore_and_other_files_are_left_alone(folder: Path) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / "package").mkdir()
    registry = _put(folder, _helper="raise RuntimeError", doorbell=OUTPUT)
    assert "doorbell" in registry.outputs
    assert not {name for _, name in registry.failures} & {"_helper", "notes", "package", "__init__"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("def broken(:", "SyntaxError: "),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyError", "KeyError"),
        ("x = 1", "it defines no subclass of Source, Captioner or Output"),
        ("from plugins.outputs.log import LogOutput", "it defines no subclass"),
        (OUTPUT + OUTPUT.replace("Doorbell", "Gong"), "more than one output (Doorbell, Gong)"),
        (OUTPUT.replace("'''What it says.'''", ""), "Config has options without a description: greeting"),
        (OUTPUT.replace("async def deliver", "async def other"), "Doorbell does not define deliver"),
        (SOURCE.replace('("moon",)', '"moon"'), "Moon.schemes is no tuple of texts"),
    ],
)
def test_a_plugin_that_can_not_be_used_says_why_and_takes_no_other_down(folder: Path, text: str, reason: str) -> None:
    registry = _put(folder, faulty=text, doorbell=OUTPUT)
    reasons = _reasons(registry, "faulty")
    assert reasons
    assert all(reason in told and str(folder / "faulty.py") in told for told in reasons.values())
    assert not any("Traceback" in told for told in reasons.values())
    assert "doorbell" in registry.outputs
    assert "demo" in registry.sources
    assert "camscribe_plugins.faulty" not in sys.modules or "import" not in reason.lower()


@pytest.mark.parametrize("name", ["Doorbell", "door-bell", "door__bell", "türe"])
def test_a_file_name_that_config_yaml_could_not_name_is_refused(folder: Path, name: str) -> None:
    registry = _put(folder, **{name: OUTPUT})
    assert name not in registry.outputs
    assert "lower case letters" in registry.failures["output", name]


def test_a_file_with_no_plugins_name_is_pointed_at_where_the_plugin_is_missed(folder: Path) -> None:
    registry = _put(folder, **{"my-ntfy": OUTPUT})
    config = {"cameras": {"door": {"source": "demo"}}, "outputs": {"my_ntfy": {}}}
    with pytest.raises(ConfigFaults, match=r"no output plugin 'my_ntfy'.*my-ntfy\.py: .*: rename it to my_ntfy\.py"):
        parse(config, folder=folder, environ={"HOME": str(folder)}, discover=lambda _: registry)


def test_a_name_that_is_taken_twice_is_used_by_neither(folder: Path) -> None:
    registry = _put(folder, log=OUTPUT)
    assert "log" not in registry.outputs
    told = registry.failures["output", "log"]
    assert "camscribe (plugins.outputs.log:LogOutput)" in told
    assert str(folder / "log.py") in told
    assert "rename one" in told


def test_what_anybody_may_write_is_never_run(folder: Path) -> None:
    (folder / "doorbell.py").write_text(OUTPUT)
    (folder / "doorbell.py").chmod(0o666)
    registry = Registry.discover(folder)
    assert "doorbell" not in registry.outputs
    assert "chmod o-w" in registry.failures["output", "doorbell"]
    (folder / "doorbell.py").chmod(0o644)
    folder.chmod(0o777)
    with pytest.raises(Misconfigured, match="chmod o-w"):
        Registry.discover(folder)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="there is no folder"):
        Registry.discover(tmp_path / "nothing")


def test_the_config_uses_a_plugin_of_the_folder_and_only_a_used_failure_is_a_fault(folder: Path) -> None:
    _put(folder, doorbell=OUTPUT, faulty="import nothing_like_this")
    file = folder.parent / "config.yaml"
    text = "cameras: {door: {source: demo}}\nmodel: {preset: tiny}\nplugins_dir: plugins\noutputs:\n"
    file.write_text(text + "  doorbell: {greeting: ding dong}\n  second: {use: doorbell}\n")
    config = load(file, {"HOME": "/home/somebody"})
    assert config.outputs["doorbell"].plugin.options.greeting == "ding dong"
    assert config.outputs["second"].plugin.options.greeting == "hello"
    assert config.registry.failures["output", "faulty"]
    file.write_text(text + "  doorbell: {greting: x}\n  faulty: {}\n")
    with pytest.raises(ConfigFaults) as raised:
        load(file, {"HOME": "/home/somebody"})
    first, second = raised.value.faults
    assert (first.line, first.key) == (5, "outputs.doorbell.greting")
    assert (second.line, second.key) == (6, "outputs.faulty")
    assert "could not be loaded" in second.message
    assert "No module named 'nothing_like_this'" in second.message


def test_a_folder_without_leave_to_read_is_a_fault_with_a_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("cameras: {door: {source: demo}}\nmodel: {preset: tiny}\nplugins_dir: nothing\n")
    with pytest.raises(ConfigFaults) as raised:
        load(file, {"HOME": "/home/somebody"})
    assert [(fault.line, fault.key) for fault in raised.value.faults] == [(3, "plugins_dir")]


def test_a_third_partys_entry_points_are_found_and_a_broken_one_is_named(tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "doorbell-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "doorbell.py").write_text(OUTPUT)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: doorbell\nVersion: 1.0\n")
    points = {"bell": "Doorbell", "log": "Doorbell", "gone": "Nothing", "config": "Config"}
    lines = "\n".join(f"{name} = doorbell:{plugin}" for name, plugin in points.items())
    (info / "entry_points.txt").write_text(f"[camscribe.outputs]\n{lines}\n")
    program = textwrap.dedent("""
        from agent.registry import Registry
        registry = Registry.discover(None)
        print(registry.outputs["bell"].__name__, "log" in registry.outputs, "mqtt" in registry.outputs)
        for (kind, name), reason in registry.failures.items():
            print(kind, name, reason)
    """)
    environ = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{Path(__file__).parents[2]}"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    first, *failures = run.stdout.splitlines()
    assert first == "Doorbell False True"
    twice = "the name is taken twice, by camscribe (plugins.outputs.log:LogOutput) and doorbell (doorbell:Doorbell)"
    assert {
        "output config Config is no subclass of agent.plugin.Output",
        "output gone AttributeError: module 'doorbell' has no attribute 'Nothing'",
        f"output log {twice}: rename one",
    } <= set(failures)
