from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import Config, ConfigFaults, load
from agent.questions import BooleanQuestion, ChoiceQuestion, NumberQuestion, TextQuestion
from tests.agent.config.household import discover

TEXT = """
cameras:
  front_door:
    source: rtsp://viewer:x@host/
    every: 30s
  yard: {source: demo}
outputs:
  mqtt: {host: broker, password: from-the-file, port: yes}
keep: {days: 3}
"""
MENDED = {"CAMSCRIBE_OUTPUTS__MQTT__PORT": "1884"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(TEXT)
    return tmp_path / "config.yaml"


def _load(file: Path, **variables: str) -> Config:
    return load(file, {"HOME": "/home/somebody", **MENDED, **variables}, discover)


def _faults(file: Path, **variables: str) -> list[str]:
    with pytest.raises(ConfigFaults) as raised:
        _load(file, **variables)
    assert raised.value.faults[-1].file == "environment"
    return [str(fault) for fault in raised.value.faults]


def test_the_environment_wins_over_the_file(file: Path) -> None:
    config = _load(
        file,
        CAMSCRIBE_CAMERAS__FRONT_DOOR__EVERY="10s",
        CAMSCRIBE_CAMERAS__FRONT_DOOR__ROTATE="90",
        CAMSCRIBE_CAMERAS__FRONT_DOOR__ENABLED="off",
        CAMSCRIBE_CAMERAS__FRONT_DOOR__CROP="[0, 0.1, 1, 1]",
        CAMSCRIBE_CAMERAS__FRONT_DOOR__PROMPT="[Who?]",
        CAMSCRIBE_CAMERAS__FRONT_DOOR__SOURCE="demo",
        CAMSCRIBE_OUTPUTS__MQTT__PASSWORD="0123",
        CAMSCRIBE_OUTPUTS__MQTT__TLS__CA="ca.pem",
        CAMSCRIBE_OUTPUTS__LOG='{"format": "json"}',
        CAMSCRIBE_OUTPUTS__HOOK='{"use": "webhook", "url": "https://example.org/"}',
        CAMSCRIBE_OUTPUTS__HOOK2__USE="webhook",
        CAMSCRIBE_OUTPUTS__HOOK2__URL="https://example.org/",
        CAMSCRIBE_OUTPUTS__HOOK2__HEADERS='{"X-Token": "abc"}',
        CAMSCRIBE_OUTPUTS__HOOK2__BODY='{"text": "{{ caption }}"}',
        CAMSCRIBE_KEEP__SIZE="1GB",
        CAMSCRIBE_WEB="false",
        CAMSCRIBE_MODEL__THREADS="8",
        CAMSCRIBE_DATA_DIR="elsewhere",
    )
    door = config.cameras["front_door"]
    assert (door.every, door.rotate, door.enabled, door.crop) == (10, 90, False, (0, 0.1, 1, 1))
    assert (door.prompt, door.source.use) == ("[Who?]", "demo")
    mqtt = config.outputs["mqtt"].plugin.options
    assert (mqtt.host, mqtt.port, mqtt.password.get_secret_value()) == ("broker", 1884, "0123")
    assert mqtt.tls.ca == file.parent / "ca.pem"
    assert config.outputs["log"].plugin.options.format == "json"
    assert config.outputs["hook"].plugin.use == "webhook"
    hook = config.outputs["hook2"].plugin.options
    assert hook.headers["X-Token"].get_secret_value() == "abc"
    assert hook.body == '{"text": "{{ caption }}"}'
    assert (config.keep.days, config.keep.size, config.web) == (3, 10**9, None)
    assert config.captioners["default"].plugin.options.threads == 8
    assert config.data_dir == file.parent / "elsewhere"
    assert "0123" in config.secrets


def test_the_environment_asks_questions_of_any_type(file: Path) -> None:
    door = "CAMSCRIBE_CAMERAS__FRONT_DOOR__QUESTIONS__"
    variables = {
        "WHO": "Who is there?",
        "CARS": '{"type": "number", "ask": "How many cars?", "max": 9}',
        "BIN__TYPE": "choice",
        "BIN__ASK": "Which bin is out?",
        "BIN__OPTIONS": '["blue", "green"]',
        "OPEN__TYPE": "boolean",
        "OPEN__ASK": "Is it open?",
        "OPEN__ON_AT": "0.9",
        "OPEN__LOOKS": "2",
    }
    config = _load(file, **{door + name: value for name, value in variables.items()})
    assert config.cameras["front_door"].questions == {
        "who": TextQuestion(ask="Who is there?"),
        "cars": NumberQuestion(type="number", ask="How many cars?", max=9),
        "bin": ChoiceQuestion(type="choice", ask="Which bin is out?", options=("blue", "green")),
        "open": BooleanQuestion(type="boolean", ask="Is it open?", on_at=0.9, looks=2),
    }
    faults = _faults(file, **{f"{door}OPEN__TYPE": "bool", f"{door}CARS": '{"type": "number"}'})
    assert any(f"{door}OPEN__TYPE: found 'bool'; 'boolean'" in fault for fault in faults)
    assert any(f"{door}CARS: cameras.front_door.questions.cars.ask: is missing" in fault for fault in faults)


def test_the_environment_is_taken_as_it_is(file: Path) -> None:
    config = _load(file, CAMSCRIBE_OUTPUTS__MQTT__PASSWORD="${HOME}")
    assert config.outputs["mqtt"].plugin.options.password.get_secret_value() == "${HOME}"


def test_it_mends_what_is_wrong_in_the_file_and_only_that(file: Path) -> None:
    with pytest.raises(ConfigFaults, match=r"outputs\.mqtt\.port: found yes"):
        load(file, {"HOME": "/home/somebody"}, discover)
    assert _load(file).outputs["mqtt"].plugin.options.port == 1884


def test_our_other_variables_are_no_keys(file: Path) -> None:
    assert _load(file, CAMSCRIBE_CONFIG="x", CAMSCRIBE_LOG_LEVEL="debug", CAMSCRIBER="y")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CAMSCRIBE_CAMERAS__FRONT_DOOR__EVERY", "30 sec", "found '30 sec'; a duration such as 30s, 5m or 1h30m is"),
        ("CAMSCRIBE_CAMERAS__FRONT_DOOR__EVRY", "30s", "there is no such key here. Did you mean 'every'?"),
        (
            "CAMSCRIBE_KAMERAS__FRONT_DOOR__EVERY",
            "30s",
            "camscribe has no such variable: it names no key of config.yaml",
        ),
        ("CAMSCRIBE_LOG_LEVL", "x", "no key of config.yaml. Did you mean 'CAMSCRIBE_LOG_LEVEL'?"),
        ("CAMSCRIBE_LOG_LEVEL", "loud", "found 'loud'; DEBUG, INFO, WARNING or ERROR is allowed"),
        ("CAMSCRIBE_LOG_LEVEL", "", "found ''; DEBUG, INFO, WARNING or ERROR is allowed"),
        ("CAMSCRIBE_", "x", "this is no key"),
        ("CAMSCRIBE_CAMERAS__FRONT_DOOR____EVERY", "x", "this is no key"),
        ("CAMSCRIBE_CAMERAS__FRONT_DOOR__", "x", "this is no key"),
        ("CAMSCRIBE_DATA_DIR__X", "x", "data_dir has no keys below it"),
        ("CAMSCRIBE_CAMERAS__FRONT_DOOR__CROP", "[0, 1", "found a text that begins like JSON and is none"),
        ("CAMSCRIBE_OUTPUTS__LOG", "{", "found a text that begins like JSON and is none"),
        ("CAMSCRIBE_OUTPUTS__LOG", "[]", "found a list; a mapping of the output's options is allowed"),
        ("CAMSCRIBE_OUTPUTS__LOG", '{"fromat": "x"}', "outputs.log.fromat: there is no such key here."),
        ("CAMSCRIBE_OUTPUTS", "log", "found 'log'; a mapping"),
        ("CAMSCRIBE_KEEP__DAYS", "many", "found 'many'; a number is allowed"),
        ("CAMSCRIBE_WEB", "true", "found 'true'; a mapping (lines of 'key: value') or false is allowed"),
        ("CAMSCRIBE_MODEL__PRESET", "smol", "there is no preset 'smol'"),
        (
            "CAMSCRIBE_CAMERAS__FRONT_DOR__EVERY",
            "10s",
            "comes from. Did you mean CAMSCRIBE_CAMERAS__FRONT_DOOR__EVERY?",
        ),
    ],
)
def test_a_variable_that_fits_nowhere_is_a_fault(file: Path, name: str, value: str, message: str) -> None:
    faults = _faults(file, **{name: value})
    assert any(fault.startswith(f"environment: {name}: ") and message in fault for fault in faults)


def test_faults_of_file_and_environment_are_told_together(file: Path) -> None:
    file.write_text(TEXT.replace("days: 3", "dayz: 3"))
    faults = _faults(file, CAMSCRIBE_CAMERAS__YARD__EVERY="x", CAMSCRIBE_NONSENSE="x")
    assert [fault.split(": ")[1] for fault in faults] == [
        "keep.dayz",
        "CAMSCRIBE_CAMERAS__YARD__EVERY",
        "CAMSCRIBE_NONSENSE",
    ]


def test_two_variables_for_one_key_clash(file: Path) -> None:
    faults = _faults(file, CAMSCRIBE_CAMERAS__YARD="{}", CAMSCRIBE_CAMERAS__YARD__EVERY="5s")
    assert any("clashes with another variable" in fault for fault in faults)


def test_a_secret_of_the_environment_is_not_told(file: Path) -> None:
    marker = "marker-0815"
    faults = _faults(
        file,
        CAMSCRIBE_OUTPUTS__MQTT__PASSWORD=marker,
        CAMSCRIBE_OUTPUTS__MQTT__PASWORD=marker,
        CAMSCRIBE_CAMERAS__YARD__SOURCE=f"rtps://viewer:{marker}@host/{marker}",
        CAMSCRIBE_OUTPUTS__HOOK=f'{{"use": "webhook", "secret": "{marker}"',
    )
    assert len(faults) == 3
    assert marker not in "".join(faults)
