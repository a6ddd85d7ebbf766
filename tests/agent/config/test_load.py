from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.config import CameraSettings, Config, ConfigFaults, PluginChoice, find, load, parse, parse_duration
from agent.config.grammar import WebSettings
from agent.config.places import data_dir
from agent.errors import Misconfigured
from agent.registry import Registry
from tests.agent.config.household import REGISTRY, Demo, DemoConfig, discover

HOME = {"HOME": "/home/somebody"}
WHOLE = """
model: {preset: tiny, threads: 4}
captioners:
  small: {preset: tiny}
cameras:
  front_door:
    name: The door
    area: Porch
    source: rtsp://viewer:pw@10.0.0.2:554/stream
    every: 1m30s
    prompt: Who is there?
    language: pt-BR
    max_age: 500ms
    timeout: 1m
    max_tokens: 30
    rotate: 270
    crop: [0, 0.25, 1, 0.75]
    masks: [[[0, 0], [0.5, 0], [0.5, 0.5]]]
    captioner: [small, default]
    enabled: no
  back_yard_2:
    source: {use: file, path: clip.mp4}
    cron: "*/5 8-18 * * mon-fri"
    captioner: small
  hall:
    source: demo
outputs:
  log:
  mqtt: {host: broker, tls: {ca: ca.pem}, timeout: 5s, backlog: latest}
  alerts:
    use: webhook
    url: https://example.org/hook/0123456789
    headers: {X-Token: abcdef}
    expire: 1h
    cameras: front_door
web: {port: 8080}
keep: {days: 0.5, size: 500MB}
data_dir: data
"""


@pytest.fixture
def whole(tmp_path: Path) -> Config:
    (tmp_path / "config.yaml").write_text(WHOLE)
    return load(tmp_path / "config.yaml", HOME, discover)


def test_every_key_arrives(whole: Config, tmp_path: Path) -> None:
    door = whole.cameras["front_door"]
    assert (door.id, door.name, door.area, door.enabled) == ("front_door", "The door", "Porch", False)
    assert (door.every, door.cron, door.max_age, door.timeout, door.max_tokens) == (90, None, 0.5, 60, 30)
    assert (door.rotate, door.crop, door.language) == (270, (0, 0.25, 1, 0.75), "pt-BR")
    assert door.masks == (((0, 0), (0.5, 0), (0.5, 0.5)),)
    assert door.captioner == ("small", "default")
    assert door.source.options.url.get_secret_value() == "rtsp://viewer:pw@10.0.0.2:554/stream"
    yard = whole.cameras["back_yard_2"]
    assert (yard.name, yard.every, yard.cron) == ("Back yard 2", None, "*/5 8-18 * * mon-fri")
    assert yard.captioner == ("small",)
    assert yard.source.options.path == tmp_path / "clip.mp4"
    assert list(whole.captioners) == ["default", "small"]
    assert whole.captioners["default"].plugin.options.threads == 4
    assert list(whole.outputs) == ["log", "mqtt", "alerts"]
    alerts = whole.outputs["alerts"]
    assert (alerts.name, alerts.plugin.use, alerts.expire, alerts.cameras) == (
        "alerts",
        "webhook",
        3600,
        ("front_door",),
    )
    assert whole.web is not None
    assert (whole.web.host, whole.web.port) == ("127.0.0.1", 8080)
    assert (whole.keep.days, whole.keep.size) == (0.5, 500_000_000)
    assert whole.data_dir == tmp_path / "data"
    assert whole.path == tmp_path / "config.yaml"


def test_what_is_left_out_has_sensible_defaults(whole: Config) -> None:
    hall = whole.cameras["hall"]
    assert (hall.every, hall.cron, hall.area, hall.language, hall.crop) == (None, None, None, None, None)
    assert (hall.max_age, hall.timeout, hall.max_tokens, hall.rotate, hall.masks) == (5, 20, 60, 0, ())
    assert (hall.enabled, hall.captioner) == (True, ("default",))
    assert "one short sentence" in hall.prompt
    log = whole.outputs["log"]
    assert (log.backlog, log.expire, log.timeout, log.cameras) == ("all", 86400, 30, None)


def test_a_key_that_a_plugin_shares_with_camscribe_reaches_both(whole: Config) -> None:
    mqtt = whole.outputs["mqtt"]
    assert mqtt.timeout == 5
    assert mqtt.plugin.options.timeout == 5


def test_the_least_config_is_a_camera() -> None:
    config = parse({"cameras": {"door": {"source": "demo"}}}, discover=discover, environ=HOME)
    assert config.captioners["default"].plugin.use == "llama_server"
    assert (config.outputs, config.path) == ({}, None)
    assert config.web == WebSettings(host="127.0.0.1", port=8765)
    assert (config.keep.days, config.keep.size) == (14, 5_000_000_000)


@pytest.mark.parametrize("empty", ["model:", "captioners:", "outputs:", "keep:", "web:", "data_dir:"])
def test_an_empty_section_is_as_good_as_none(tmp_path: Path, empty: str) -> None:
    (tmp_path / "config.yaml").write_text(f"cameras: {{door: {{source: demo}}}}\n{empty}\n")
    config = load(tmp_path / "config.yaml", HOME, discover)
    assert config.keep.days == 14
    assert config.web == WebSettings()


def test_null_is_no_limit() -> None:
    data = {"cameras": {"door": {"source": "demo"}}, "keep": {"days": None, "size": None}}
    keep = parse(data, discover=discover).keep
    assert (keep.days, keep.size) == (None, None)


def test_anchors_within_reason_work(tmp_path: Path) -> None:
    text = "cameras:\n  a: &a {source: demo, every: 5s}\n  b: *a\n  c: {source: demo, prompt: &p Who?}\n"
    (tmp_path / "config.yaml").write_text(text + "  d: {source: demo, prompt: *p}\n")
    config = load(tmp_path / "config.yaml", HOME, discover)
    assert config.cameras["b"].every == 5
    assert config.cameras["d"].prompt == "Who?"


def test_given_values_are_checked_like_a_file() -> None:
    with pytest.raises(ConfigFaults) as raised:
        parse({"cameras": {"door": {"source": "demo", "every": 30}}, "kep": {}}, discover=discover)
    assert [(fault.line, fault.key) for fault in raised.value.faults] == [(None, "cameras.door.every"), (None, "kep")]
    assert str(raised.value).startswith("the given config: cameras.door.every: found 30; a duration")


def test_a_config_can_not_be_changed(whole: Config) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        whole.data_dir = Path()  # type: ignore[misc]
    with pytest.raises(ValidationError):
        whole.cameras["hall"].every = 5


def test_settings_can_be_made_by_hand_in_seconds() -> None:
    source = PluginChoice("demo", Demo, DemoConfig())
    camera = CameraSettings(id="back_yard", source=source, every=0.5)
    assert (camera.name, camera.every, camera.source) == ("Back yard", 0.5, source)


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-5s", "0s", "1s1m", "1e3s", "٣s", "30S", "99999d", "1h1h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_the_file_is_looked_for_where_the_documentation_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path / "home")}
    system = tmp_path / "etc"
    with pytest.raises(Misconfigured, match=r"Looked for config\.yaml, .*home/\.config/camscribe/config\.yaml, .*etc"):
        find(None, environ, platform="linux", system=system)
    mac = "home/Library/Application Support/camscribe/config.yaml"
    for place in ("etc/config.yaml", "home/.config/camscribe/config.yaml", mac, "config.yaml", "named.yaml"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
        if place == "named.yaml":
            environ["CAMSCRIBE_CONFIG"] = str(tmp_path / place)
        found = find(None, environ, platform="darwin", system=system)
        assert found.absolute() == tmp_path / place
    explicit = tmp_path / "explicit.yaml"
    with pytest.raises(Misconfigured, match=r"explicit\.yaml, which --config names"):
        find(explicit, environ)
    explicit.touch()
    assert find(explicit, environ) == explicit
    with pytest.raises(Misconfigured, match=r"gone\.yaml, which \$CAMSCRIBE_CONFIG names"):
        find(None, {"CAMSCRIBE_CONFIG": "gone.yaml"})


def test_the_journal_goes_where_the_platform_wants_it() -> None:
    assert data_dir(HOME, platform="linux") == Path("/home/somebody/.local/share/camscribe")
    assert data_dir(HOME | {"XDG_DATA_HOME": "/x"}, platform="linux") == Path("/x/camscribe")
    assert data_dir(HOME | {"STATE_DIRECTORY": "/var/lib/camscribe:/b"}, platform="linux") == Path("/var/lib/camscribe")
    assert data_dir(HOME, platform="darwin") == Path("/home/somebody/Library/Application Support/camscribe")


def test_a_plugins_folder_is_searched_and_its_faults_have_a_line(tmp_path: Path) -> None:
    asked: list[Path | None] = []

    def look(folder: Path | None) -> Registry:
        asked.append(folder)
        if folder:
            raise Misconfigured("anybody may write to it")
        return REGISTRY

    file = tmp_path / "config.yaml"
    file.write_text("cameras: {door: {source: demo, every: x}}\nplugins_dir: mine\n")
    with pytest.raises(ConfigFaults) as raised:
        load(file, HOME, look)
    assert asked == [tmp_path / "mine", None]
    assert [(fault.line, fault.key) for fault in raised.value.faults] == [(1, "cameras.door.every"), (2, "plugins_dir")]
