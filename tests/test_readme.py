"""What the README shows is true: its config loads, its fault is told in these words, its plugin works."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import ConfigFaults, load
from agent.config.grammar import CameraOptions, Document
from tests.fakes.receiver import Receiver
from tests.fakes.service import camscribe, write_config
from tests.fakes.waiting import eventually

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def test_the_first_config_loads(tmp_path):
    (text,) = blocks("yaml")
    (tmp_path / "config.yaml").write_text(text)
    config = load(tmp_path / "config.yaml", {"FRONT_DOOR_PASSWORD": "whatever@it/is#really"})
    assert config.cameras["front_door"].every == 30


def test_the_fault_is_told_in_these_words(tmp_path):
    shown = re.search(r"^config.yaml:12: .*$", README.read_text(), re.MULTILINE)[0]
    (text,) = blocks("yaml")
    lines = [*text.replace("every: 30s", "every: 30 sec").splitlines()]
    padding = 12 - 1 - next(number for number, line in enumerate(lines) if "30 sec" in line)
    (tmp_path / "config.yaml").write_text("\n" * padding + "\n".join(lines))
    with pytest.raises(ConfigFaults) as raised:
        load(tmp_path / "config.yaml", {"FRONT_DOOR_PASSWORD": "x"})
    assert str(raised.value).splitlines()[0].endswith(shown)


@pytest.mark.parametrize(
    "row", [row for row in README.read_text().split("\n") if row.startswith("| ") and "`every: 2m`" not in row]
)
def test_tables_have_no_broken_cells(row):
    assert row.endswith("|")


def fragments() -> list[dict[str, Any]]:
    """What the table of wishes says to write, where it is YAML."""
    table = README.read_text().split("| you want | you write |")[1].split("\n\n")[0]
    read = [yaml.safe_load(text) for row in table.splitlines() for text in re.findall(r"`([^`]+)` \|$", row)]
    return [fragment for fragment in read if isinstance(fragment, dict)]


def test_the_table_has_fragments():
    assert len(fragments()) >= 8


@pytest.mark.parametrize("fragment", fragments(), ids=lambda fragment: next(iter(fragment)))
def test_each_fragment_of_the_table_loads_in_a_whole_config(fragment, tmp_path):
    (key,) = fragment
    camera, outputs, top = {"source": "demo"}, {}, {}
    place = camera if key in CameraOptions.model_fields else top if key in Document.model_fields else outputs
    place |= fragment
    others = {"captioners": {"remote": {"preset": "tiny"}}}  # one fragment names it, another describes it
    path = write_config(tmp_path, {**others, "cameras": {"door": camera}, "outputs": outputs, **top})
    config = load(path, {"MQTT_PASSWORD": "mqtt secret", "HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjU"})
    assert list(config.outputs) == list(outputs)


@pytest.mark.slow
async def test_the_plugin_works_as_it_stands(tmp_path):
    (source,) = blocks("python")
    assert len(source.splitlines()) < 40
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    (plugins / "ntfy.py").write_text(source)
    async with Receiver.running() as receiver:
        config = {
            "model": {"preset": "tiny"},
            "cameras": {"door": {"source": "demo", "every": "1s"}},
            "outputs": {"ntfy": {"url": receiver.url}},
            "plugins_dir": "plugins",
        }
        async with camscribe("run", "--config", str(write_config(tmp_path, config))) as service:
            await eventually(lambda: len(receiver.requests) >= 3)
            assert await service.stop() == 0
        for request in receiver.requests:
            assert request.headers["title"] == "door"
            assert request.body.decode().endswith(".")
