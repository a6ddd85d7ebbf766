"""A plugin of somebody else's, in a package of its own, installed as its users install it."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from tests.fakes.service import ROOT, camscribe, command, write_config
from tests.fakes.waiting import eventually

PACKAGE = ROOT / "tests" / "third_party" / "camscribe-shout"
CODE = PACKAGE / "camscribe_shout.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder for PYTHONPATH with the package installed in it."""
    folder = tmp_path_factory.mktemp("third-party")
    source = shutil.copytree(PACKAGE, folder / "source")  # a build leaves files beside what it builds
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Without isolation nothing is downloaded, where the build tool is here already.
    own_tool = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    built = subprocess.run(
        [*pip, *own_tool, "--target", folder / "site", source], check=False, capture_output=True, text=True, timeout=100
    )
    assert built.returncode == 0, built.stderr
    return folder / "site"


def shouting(folder):
    doorstep = {"source": {"use": "demo", "seconds_a_scene": 600}, "every": "1s", "prompt": "Describe the image."}
    return write_config(
        folder,
        {
            "model": {"preset": "tiny"},
            "cameras": {"doorstep": doorstep},
            "outputs": {"shout": {"file": "shouts.txt"}, "log": {"format": "json"}},
            "web": False,
        },
    )


def test_it_is_found_by_its_entry_point(site):
    script = (
        "from agent.registry import Registry; found = Registry.discover(None); "
        "print(found.outputs['shout'].__module__, found.failures.get(('output', 'shout')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(site)},
    )
    assert found.stdout.split() == ["camscribe_shout", "None"]


async def test_the_running_service_delivers_to_it(site, tmp_path):
    config = shouting(tmp_path)
    async with camscribe("run", "--config", str(config), env={"PYTHONPATH": str(site)}) as service:
        shouts = tmp_path / "shouts.txt"
        await eventually(lambda: shouts.exists() and len(shouts.read_text().splitlines()) >= 3, within=60)
        assert await service.stop() == 0
    captions = [observation["caption"] for observation in service.observations if observation["caption"]]
    heard = shouts.read_text().splitlines()
    assert heard[:3] == [caption.upper() for caption in captions[:3]]


def test_without_the_package_the_config_is_refused(tmp_path):
    said = subprocess.run(
        command("check", "--config", str(shouting(tmp_path))), check=False, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 2
    assert "shout" in said.stderr


def test_it_is_short_and_needs_only_what_is_public():
    code = CODE.read_text()
    assert len(code.splitlines()) < 40
    imported = {node.module for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.split(".")[0] in ("agent", "plugins")} == {"agent.plugin"}
