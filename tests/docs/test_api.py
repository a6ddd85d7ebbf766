"""docs/api.md: every request, parameter and event stands there, and its examples work."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.test_cameras import rows, section
from tests.fakes.service import ROOT
from tests.fakes.website import Website, website

DOCS = ROOT / "docs" / "api.md"
TEXT = DOCS.read_text()


@pytest.fixture
async def site(tmp_path: Path):
    async with website(tmp_path, cameras=("front_door",)) as site:
        yield site


def first_cells(title: str) -> list[str]:
    return [name for row in rows(section(DOCS, title)) for name in re.findall(r"`([^`]+)`", row[0])]


async def test_every_request_has_its_row(site: Website) -> None:
    described = (await site.client.get("/openapi.json")).json()["paths"]
    there = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    told = set(re.findall(r"^\| `([A-Z]+ /[^`]+)` \|", TEXT, re.MULTILINE))
    assert told - {"GET /metrics"} == there
    assert (await site.client.get("/metrics")).status_code == 200


async def test_every_filter_has_its_row(site: Website) -> None:
    described = (await site.client.get("/openapi.json")).json()["paths"]["/api/v1/observations"]["get"]
    assert sorted(first_cells("Search")) == sorted(each["name"] for each in described["parameters"])


async def test_every_event_has_its_row(site: Website) -> None:
    stream = (ROOT / "agent/web/stream.py").read_text()
    assert set(first_cells("Hear it as it happens")) == set(re.findall(r'_event\("(\w+)"', stream))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_examples_work(site: Website, tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(picture, "JPEG")
    await asyncio.to_thread((tmp_path / "picture.jpg").write_bytes, picture.getvalue())
    examples = [block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) if "token" not in block]
    commands = [part for block in examples for part in re.split(r"\n(?=curl)", block.replace("\\\n", ""))]
    assert len(commands) == 5
    for command in commands:
        line = command.strip().replace("http://127.0.0.1:8765", site.url).replace("curl ", "curl -s -m 2 ")
        process = await asyncio.create_subprocess_shell(
            line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        said, complaints = await process.communicate()
        assert said, f"{line}: {complaints.decode()}"
        if "/stream" in line:
            assert said.startswith(b"retry: 2000\n\nevent: home\n")
        elif "/captions" in line:
            assert json.loads(said)["prompt"] == "What is this?"
        elif "/look" in line:
            assert json.loads(said)["caption"] == "A cat."
        else:
            assert json.loads(said)["next"] is None
