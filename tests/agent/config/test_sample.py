"""The commented sample at the top of the repository: it loads, and so does each of its commented options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config import Config, load

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "config.yaml"
LINES = SAMPLE.read_text().splitlines()
OPTION = re.compile(r"( *)#(?=[\w\"'])")
ENVIRON = {"HOME": "/home/somebody"}
SECRETS = {
    "FRONT_DOOR_PASSWORD": "a:b@c/d",
    "HOME_ASSISTANT_TOKEN": "eyJhbGciOiJI",
    "MQTT_PASSWORD": "mqtt secret",
    "HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjU",
}

TOGETHER = {"model": "mmproj", "captioner": "small"}
"""Options that need another commented one."""
INSTEAD_OF = {"cron": "every", "model": "preset", "hf": "preset"}
"""Options that need another one gone."""


def _depth(number: int) -> int:
    found = OPTION.match(LINES[number])
    return len(found[1]) if found else -1


def _key(number: int) -> str:
    return LINES[number].split(":")[0].strip(" #")


def _block(first: int) -> list[int]:
    """A commented option and those below it, which only make sense together."""
    last = first + 1
    while last < len(LINES) and _depth(last) > _depth(first):
        last += 1
    return list(range(first, last))


def _blocks() -> dict[str, list[int]]:
    blocks: list[list[int]] = []
    for number in range(len(LINES)):
        if _depth(number) >= 0 and not any(number in block for block in blocks):
            blocks.append(_block(number))
    return {f"{_key(block[0])} on line {block[0] + 1}": block for block in blocks}


BLOCKS = _blocks()


def _named(key: str) -> list[int]:
    return next(block for name, block in BLOCKS.items() if name.startswith(f"{key} "))


def _used(block: list[int], folder: Path) -> Config:
    key, depth = _key(block[0]), _depth(block[0])
    used = {*block, *(_named(TOGETHER[key]) if key in TOGETHER else ())}
    gone = re.compile(rf" {{{depth}}}({key}|{INSTEAD_OF.get(key, key)}):")
    lines = [
        OPTION.sub(r"\1", line, count=1) if number in used else line
        for number, line in enumerate(LINES)
        if number in used or not gone.match(line)
    ]
    # What the sample names as absolute paths is not on every machine.
    text = "\n".join(lines).replace("/run/secrets/", f"{folder}/").replace("/opt/llama.cpp/", f"{folder}/")
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", ENVIRON | SECRETS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir(mode=0o755)
    (tmp_path / "garage").write_text("from a file\n")
    (tmp_path / "llama-server").write_text("#!/bin/sh\n")
    (tmp_path / "llama-server").chmod(0o755)
    tiny = next(iter(ROOT.glob("plugins/**/tiny*.gguf"))).parent
    (tmp_path / "models").mkdir()
    for file in tiny.glob("*.gguf"):
        name = "mmproj-SmolVLM-500M-Instruct-f16.gguf" if "mmproj" in file.name else "SmolVLM-500M-Instruct-Q8_0.gguf"
        (tmp_path / "models" / name).symlink_to(file)
    return tmp_path


def test_it_loads_as_it_is_without_any_variable() -> None:
    config = load(SAMPLE, ENVIRON)
    assert list(config.cameras) == ["doorstep"]
    assert config.cameras["doorstep"].source.use == "demo"
    assert list(config.outputs) == ["log"]
    assert config.captioners["default"].plugin.use == "llama_server"
    assert config.keep.size == 5_000_000_000
    assert not config.secrets


def test_there_are_commented_options() -> None:
    assert len(BLOCKS) >= 30
    assert len(_named("mqtt")) > 5


@pytest.mark.parametrize("name", BLOCKS)
def test_each_commented_option_works_when_it_is_used(name: str, folder: Path) -> None:
    block = _named("model") if name.startswith("mmproj ") else BLOCKS[name]
    config = _used(block, folder)
    before = load(SAMPLE, ENVIRON)
    kept = ("captioners", "cameras", "outputs", "web", "reload", "controls", "data_dir", "plugins_dir")
    assert any(getattr(config, part) != getattr(before, part) for part in kept)


def test_passwords_of_the_sample_are_known_as_secrets_and_never_shown(folder: Path) -> None:
    door = _used(_named("front_door"), folder)
    assert {"a:b@c/d", "a%3Ab%40c%2Fd"} <= door.secrets
    garage = _used(_named("garage"), folder)
    assert garage.cameras["garage"].source.use == "rtsp"
    assert "from a file" in garage.secrets
    mqtt = _used(_named("mqtt"), folder)
    assert mqtt.outputs["mqtt"].backlog == "latest"
    assert "mqtt secret" in mqtt.secrets
    for config in (door, garage, mqtt):
        assert not any(secret in repr(config) for secret in config.secrets)
