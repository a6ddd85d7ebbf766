"""docs/models.md: its tables are the presets', its examples load, what it quotes is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from agent.config import load
from plugins.captioners.llama_server import LlamaServerConfig, refusals
from plugins.captioners.llama_server import hub as hub_module
from plugins.captioners.llama_server.hub import MARGIN
from plugins.captioners.llama_server.presets import DEFAULT, PRESETS, Facts, Hosted, Model
from tests.fakes.service import ROOT, write_config

PAGE = ROOT / "docs" / "models.md"


def size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 10**9 else f"{number / 1e6:.0f} MB"


def facts(model: Model) -> Facts:
    assert model.facts
    return model.facts


def row(model: Model) -> str:
    known = facts(model)
    download = size(known.download) if known.download else "none"
    about = "" if known.exact else "about "
    memory = f"{known.memory / 1e9:.1f} GB"
    return f"| `{model.name}` | {about}{download} | {memory} | {known.languages} | {known.license} | {known.about} |"


def origin(model: Model) -> str:
    assert isinstance(model.origin, Hosted)
    mmproj = f" (mmproj {model.origin.mmproj})" if model.origin.mmproj else ""
    return f"| `{model.name}` | {model.origin.repo}, {model.origin.quant}{mmproj} |"


def rows(head: str) -> list[str]:
    table = PAGE.read_text().split(f"\n{head}\n")[1].split("\n\n")[0]
    return table.splitlines()[1:]


def test_tables_are_the_presets():
    head = "| preset | download | memory | languages | licence | good for |"
    assert rows(head) == [row(model) for model in PRESETS.values()]
    hosted = [model for model in PRESETS.values() if isinstance(model.origin, Hosted)]
    assert rows("| preset | repository on Hugging Face, quantisation |") == [origin(model) for model in hosted]


def test_default_and_margin_are_told():
    text = PAGE.read_text()
    assert f"Without a word about the model it is\n`{DEFAULT}`" in text
    assert f"{MARGIN / 1e6:.0f} MB are left free" in text


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.+?)```", PAGE.read_text(), re.DOTALL))
def test_examples_load(example: str, tmp_path: Path):
    written = yaml.safe_load(example)
    if "model" not in written:
        load(write_config(tmp_path, {"cameras": {"door": {"source": "demo"}}} | written), {})
        return
    options = written["model"]
    for name in ("model", "mmproj"):
        if name in options:
            known = next(
                path for path in (ROOT / "plugins").rglob("*.gguf") if (name == "mmproj") == ("mmproj" in path.name)
            )
            options[name] = str(known)
    LlamaServerConfig.model_validate(options)


def test_sentences_it_explains_are_said():
    said = " ".join(Path(module.__file__ or "").read_text() for module in (refusals, hub_module))
    said = re.sub(r'"\s+f?"', "", said)
    for cell in re.findall(r"^\| (…[^|]+) \|", PAGE.read_text(), re.MULTILINE):
        for part in re.split(r"[…,]|'Q4_K_M'", cell):
            assert part.strip(" '") in said, part


@pytest.mark.parametrize("command", sorted(set(re.findall(r"camscribe model (\w+)", PAGE.read_text()))))
def test_commands_exist(command: str):
    from agent.models import app

    assert command in {registered.name or registered.callback.__name__ for registered in app.registered_commands}
