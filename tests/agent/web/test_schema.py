"""The API against its own description: schemathesis asks for everything in it, with good values and bad ones."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.fakes.website import Website

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "use_after_free",
)
"""Not those that judge what may be refused, and how. What is refused for its meaning no schema tells ('from' later than
'to', a picture that is none); a date in seconds since 1970 is understood though none asks for it; and Starlette's 405
names the methods of one route, where a path may have several."""
ENDLESS = "/api/v1/stream"
OBSERVATIONS = 40
CONFIG = """
[dictionaries]
cameras.values = {cameras}
observations.values = {observations}

[parameters]
"path.camera" = {{ dictionary = "cameras", probability = 0.8 }}
"path.observation" = {{ dictionary = "observations", probability = 0.8 }}
"""


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["--exclude-method", "--include-method"])  # else soon nothing is left
async def test_every_answer_is_as_described_and_none_is_a_fault(site: Website, tmp_path: Path, asked: str):
    cameras = list(site.house.cameras)
    seen = [await site.see(cameras[number % len(cameras)]) for number in range(OBSERVATIONS)]
    seen.append(await site.see(cameras[0], caption=None))
    path = tmp_path / "schemathesis.toml"
    ids = json.dumps([one.id for one in seen])
    await asyncio.to_thread(path.write_text, CONFIG.format(cameras=json.dumps(cameras), observations=ids))
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *(
            "--no-color",
            "--config-file",
            path,
            "run",
            f"{site.url}/openapi.json",
            "--exclude-path",
            ENDLESS,
            asked,
            "DELETE",
        ),
        *("--checks", ",".join(CHECKS), "--max-examples", "20", "--seed", "1", "--workers", "2"),
        *("--continue-on-failure", "--generation-database", "none", "--request-timeout", "20"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert site.desk.counters.value("bugs_total", part="web") == 0
