"""``camscribe bench`` as people run it: the real engine, the tiny model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest
from PIL import Image

from agent.bench.results import PARTS
from tests.fakes.scenes import known_scenes
from tests.fakes.service import command
from tests.fakes.waiting import eventually


def bench(*arguments: str, cwd: Path, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    home = {name: value for name, value in os.environ.items() if not name.startswith(("CAMSCRIBE_", "XDG_CONFIG"))}
    return subprocess.run(
        command("bench", *arguments),
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env=home | {"HOME": str(cwd)},
        check=False,
    )


class Page(HTMLParser):
    """What a browser would fetch for the page, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "action"} and value]


def test_without_a_config_the_tiny_model_is_measured_both_ways(tmp_path):
    done = bench("--count", "6", "--json", "run.json", "--html", "run.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ("6 looks at drawn scenes", "camscribe adds (p50)", "picture and prompt", "6 and 6 bare"):
        assert told in done.stdout
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["schema_version"], run["tool"], run["count"]) == (1, "camscribe bench", 6)
    assert run["command"] == "camscribe bench --count 6 --json run.json --html run.html"
    assert run["machine"]["cores"] == os.cpu_count()
    [row] = run["captioners"]
    assert (row["name"], row["plugin"], row["model"], row["problem"]) == ("default", "llama_server", "tiny", None)
    assert row["engine"]["about"]
    ours, bare = (
        {look["number"]: look["caption"] for look in row["looks"] if look["way"] == way} for way in ("agent", "bare")
    )
    assert len(ours) == 6
    assert ours == bare  # they asked the same
    assert len(set(ours.values())) > 1
    summary = row["summary"]
    assert summary["failures"] == {}
    assert summary["agent_p50_ms"] > 0 < summary["bare_p50_ms"]
    assert row["geometry"] == "square"
    assert summary["tokens_p50"] > 3
    looks = [look for look in row["looks"] if look["way"] == "agent"]
    for look in looks:
        parts = look["latency_ms"]
        assert sum(parts[part] for part in PARTS) == parts["total"]
        assert look["ms"] >= parts["total"] - 1
    assert row["memory"]["engine"] > 10e6
    assert row["memory"]["agent"] > 10e6
    page = (tmp_path / "run.html").read_text()
    assert len(page) < 150_000
    parsed = Page(page)
    assert parsed.links == []
    assert "script" not in parsed.tags
    assert {"svg", "rect", "table"} <= {*parsed.tags}
    assert "random weights" not in page + done.stdout


def test_own_pictures_named_captioners_and_one_that_cannot_work(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    truths = {}
    for number, (truth, image) in enumerate(known_scenes(4)):
        image.save(folder / f"{number}.png")
        truths[number] = truth
    (tmp_path / "config.yaml").write_text(
        """
model: {preset: tiny}
captioners:
  second: {use: llama_server, preset: tiny}
  unused: {use: llama_server, preset: tiny}
  nobody: {use: openai, url: "http://127.0.0.1:9/v1", model: x}
cameras:
  door: {source: demo, captioner: [default, second]}
data_dir: data
"""
    )
    done = bench("--count", "4", "--pictures", "pictures", "--json", "run.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    assert [row["name"] for row in run["captioners"]] == ["default", "second"]
    assert run["pictures"] == "4 pictures of the folder pictures"
    for row in run["captioners"]:
        agent = {look["number"]: look["caption"] for look in row["looks"] if look["way"] == "agent"}
        assert agent == truths
    done = bench("--count", "2", "--captioner", "nobody", "--captioner", "second", "--json", "run.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "nobody was not measured: " in done.stdout
    nobody, second = json.loads((tmp_path / "run.json").read_text())["captioners"]
    assert "refuses connections" in nobody["problem"]
    assert len(second["looks"]) == 4
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").glob("*.db*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--captioner", "default", "--captioner", "other"], "There is no captioner 'other'"),
        (["--pictures", "nowhere"], "The folder nowhere can't be read"),
        (["--config", "nowhere.yaml"], "There is no config file nowhere.yaml"),
        (["--json", "nowhere/run.json"], "nowhere/run.json can't be written"),
        (["--compare", "a.json", "b.json"], "a.json can't be read"),
        (["--compare", "a.json", "b.json", "--html", "c.html"], "--compare prints its table and writes no file"),
        (["--count", "1"], "--count"),
    ],
)
def test_wrong_use_ends_with_2_before_anything_is_measured(arguments, said, tmp_path):
    done = bench(*arguments, cwd=tmp_path, timeout=30)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_ctrl_c_leaves_no_engine_behind(tmp_path):
    for number, (_, image) in enumerate(known_scenes(3)):
        image.resize((640, 480), Image.Resampling.NEAREST).save(tmp_path / f"{number}.png")
    home = os.environ | {"HOME": str(tmp_path)}
    words = command("bench", "--count", "5000", "--pictures", str(tmp_path))
    running = await asyncio.create_subprocess_exec(*words, cwd=tmp_path, env=home, stderr=subprocess.PIPE)
    engines = psutil.Process(running.pid)
    try:
        await eventually(lambda: bool(engines.children(recursive=True)), 60)
        family = engines.children(recursive=True)
        running.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(running.communicate(), 30)
    finally:
        if running.returncode is None:
            running.kill()
    assert running.returncode == 1
    assert b"Traceback" not in errors
    await eventually(lambda: not any(process.is_running() for process in family), 20)
