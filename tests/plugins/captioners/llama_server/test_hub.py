"""Downloads, from a real HTTP server that speaks Hugging Face's two requests."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.plugin import Misconfigured
from plugins.captioners.llama_server import hub
from plugins.captioners.llama_server.errors import NotStarted
from plugins.captioners.llama_server.presets import TINY, Files, Hosted
from tests.plugins.captioners.llama_server.conftest import Running

LOG = logging.getLogger("engine")
ORIGIN = Hosted("owner/Tiny-GGUF", "F16")
TREE = "/api/models/owner/Tiny-GGUF/tree/main?recursive=true"


@dataclass
class Hub:
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    wrong_sum: bool = False
    status: int = 200
    breaks_after: int | None = None
    """Bytes of a file after which the connection breaks."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""

    def listing(self) -> bytes:
        return json.dumps(
            [
                {
                    "type": "file",
                    "path": path,
                    "size": len(data),
                    "lfs": {"oid": "0" * 64 if self.wrong_sum else hashlib.sha256(data).hexdigest()},
                }
                for path, data in self.files.items()
            ]
        ).encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    state = Hub(
        files={
            "README.md": b"hello",
            "Tiny-F16.gguf": (TINY / "tinyvlm-text-f16.gguf").read_bytes(),
            "Tiny-Q8_0.gguf": b"q8",
            "mmproj-Tiny-F16.gguf": (TINY / "tinyvlm-mmproj-f16.gguf").read_bytes(),
        }
    )

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers["Range"]))
            if state.status != 200:
                self.send_error(state.status)
                return
            whole = state.listing() if self.path == TREE else state.files[self.path.rpartition("/")[2]]
            start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(whole) - start))
            self.end_headers()
            breaks = state.breaks_after if self.path != TREE else None
            self.wfile.write(whole[start : start + breaks] if breaks else whole[start:])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", state.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


async def fetch(folder: Path, origin: Hosted = ORIGIN) -> Files:
    return await hub.fetch(origin, folder, LOG, lambda _: None)


async def test_model_is_downloaded_once_and_captions(server: Hub, running: Running, tmp_path: Path):
    async with running(preset=None, hf=str(ORIGIN)) as engine:
        await engine.ready(30)
        assert engine.model == "Tiny-GGUF"
    asked = len(server.asked)
    assert asked == 3
    server.status = 500
    files = await fetch(tmp_path / "data")
    assert len(server.asked) == asked
    assert files.model.read_bytes() == server.files["Tiny-F16.gguf"]
    assert not list(files.model.parent.glob("*.part"))


async def test_broken_download_goes_on_where_it_stopped(server: Hub, tmp_path: Path):
    server.breaks_after = 1_000_000
    with pytest.raises(NotStarted, match="can't be reached"):
        await fetch(tmp_path)
    assert await asyncio.to_thread(hub.on_disk, ORIGIN, tmp_path) is None
    server.breaks_after = None
    files = await fetch(tmp_path)
    assert [wanted for _, wanted in server.asked if wanted] == ["bytes=1000000-"]
    assert files.model.read_bytes() == server.files["Tiny-F16.gguf"]
    assert await asyncio.to_thread(hub.on_disk, ORIGIN, tmp_path) == files


async def test_damaged_download_is_thrown_away(server: Hub, tmp_path: Path):
    server.wrong_sum = True
    with pytest.raises(NotStarted, match="damaged"):
        await fetch(tmp_path)
    folder = hub._folder(ORIGIN, tmp_path)
    assert await asyncio.to_thread(os.listdir, folder) == []


@pytest.mark.parametrize(("status", "error"), [(404, Misconfigured), (401, Misconfigured), (503, NotStarted)])
async def test_refusals_are_told_apart(server: Hub, tmp_path: Path, status: int, error: type[Exception]):
    server.status = status
    with pytest.raises(error):
        await fetch(tmp_path)


async def test_missing_quantisation_names_those_there_are(server: Hub, tmp_path: Path):
    with pytest.raises(Misconfigured, match=r"no model file for 'Q4_K_M'; its model files: Tiny-F16.gguf, Tiny-Q8_0"):
        await fetch(tmp_path, Hosted(ORIGIN.repo, "Q4_K_M"))
    server.files.pop("mmproj-Tiny-F16.gguf")
    with pytest.raises(Misconfigured, match="has no mmproj file"):
        await fetch(tmp_path)


async def test_nobody_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotStarted, match="Check the network, or name your own files"):
        await fetch(tmp_path)


@pytest.mark.parametrize(
    ("quant", "projector"),
    [("Q8_0", "mmproj-A-Q8_0.gguf"), ("Q4_K_M", "mmproj-A-f16.gguf"), ("F16", "mmproj-A-f16.gguf")],
)
def test_projector_is_of_the_same_quantisation_else_f16(quant: str, projector: str):
    paths = ["A-BF16.gguf", "A-F16.gguf", "A-Q8_0.gguf", "A-Q4_K_M.gguf"]
    paths += ["mmproj-A-BF16.gguf", "mmproj-A-Q8_0.gguf", "mmproj-A-f16.gguf"]
    model, mmproj = hub.choose(Hosted("a/b", quant), {path: hub._Entry(path=path) for path in paths})
    assert (model.path, mmproj.path) == (f"A-{quant}.gguf", projector)


async def test_download_can_be_stopped(server: Hub, running: Running):
    server.breaks_after = 0
    async with running(preset=None, hf=str(ORIGIN)) as engine:
        await asyncio.sleep(0)
    assert engine.state == "stopped"
