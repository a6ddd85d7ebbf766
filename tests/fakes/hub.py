"""A Hugging Face hub as a process: the part of its API that downloads need, and its faults by switch.

The folder it serves holds ``owner/repo/file``. As the real one, it answers ``/resolve/`` with a redirect to a content
server of another origin, whose addresses are signed (a key) and which must not see the visitor's token.

Standard input takes faults, a JSON object a line (the whole of them each time); standard output tells the ports first,
then every request.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from plugins.captioners.llama_server.presets import TINY
from tests.fakes.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
REPO = "owner/Tiny-GGUF"
COMMIT = "c0ffee" * 6 + "c0ff"
SIGNATURE = "signed-for-one-visitor"
BIG = 12_000_000


@dataclass
class Faults:
    status: int = 0
    """What the API answers instead."""
    error_code: str = ""
    """The hub's own word for it, as X-Error-Code."""
    file_status: int = 0
    """The same for the content server."""
    breaks_after: int = 0
    """Bytes of a file's body after which the connection is cut, each time."""
    bytes_a_second: int = 0
    wrong_byte: bool = False
    no_ranges: bool = False
    no_checksums: bool = False
    """Neither in the list nor with the file."""
    silent: str = ""
    """``api`` or ``file``: connections are accepted, and nothing is ever answered."""
    html: bool = False
    """A log-in page answers everything."""
    claimed_size: int = 0
    """What the list says of each file's size."""
    token: str = ""
    """The API wants this one."""
    listed: list[dict[str, Any]] | None = None
    """What the list of files says instead."""
    more_files: int = 0
    """So many more are in that list."""


@cache
def _sha256(path: Path, _stamp: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256(path: Path) -> str:
    return _sha256(path, path.stat().st_mtime_ns)


class Hub(BaseHTTPRequestHandler):
    """Both servers; they differ in their ports."""

    protocol_version = "HTTP/1.1"
    root: Path
    content_port = 0
    faults = Faults()
    written = threading.Lock()

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        """Each connection is for one request, and says so: else a client may ask again just as it closes."""
        self.send_header("Connection", "close")
        super().end_headers()

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        content = self.server.server_port == self.content_port
        event = {"method": self.command, "path": self.path, "content": content, "range": self.headers["Range"]}
        event |= {"authorization": self.headers["Authorization"], "agent": self.headers["User-Agent"]}
        say(event)
        self.close_connection = True
        with suppress(ConnectionError):
            if self.faults.html:
                self.whole(200, b"<!DOCTYPE html><html>Please log in</html>", {"Content-Type": "text/html"})
            elif self.faults.silent == ("file" if content else "api"):
                self.rfile.read(1)
            elif content:
                self.send_file(self.root / path.removeprefix("/content/"))
            else:
                self.api(path)

    def api(self, path: str) -> None:
        faults = self.faults
        if faults.status:
            self.refuse(faults.status, faults.error_code)
        elif faults.token and self.headers["Authorization"] != f"Bearer {faults.token}":
            self.refuse(401, "")
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
            self.repository(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            self.tree(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(found[1], found[3])
        else:
            self.refuse(404, "RepoNotFound")

    def repository(self, repo: str) -> None:
        folder = self.root / repo
        if not folder.is_dir():
            self.refuse(404, "RepoNotFound")
            return
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        siblings = [self.sibling(path, folder) for path in files] if self.faults.listed is None else self.faults.listed
        siblings += [{"rfilename": f"{'x' * 100}-{number}.gguf", "size": 1} for number in range(self.faults.more_files)]
        body = json.dumps({"id": repo, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}).encode()
        self.whole(200, body, {"Content-Type": "application/json"})

    def sibling(self, path: Path, folder: Path) -> dict[str, Any]:
        size = self.faults.claimed_size or path.stat().st_size
        lfs = {"sha256": sha256(path), "size": size, "pointerSize": 134}
        known = {} if self.faults.no_checksums else {"lfs": lfs}
        return {"rfilename": str(path.relative_to(folder)), "size": size, "blobId": "0" * 40, **known}

    def tree(self, repo: str) -> None:
        """The list of a snapshot's files."""
        folder = self.root / repo
        listed = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            size = path.stat().st_size
            lfs = {"oid": sha256(path), "size": size, "pointerSize": 134}
            name = str(path.relative_to(folder))
            listed.append({"type": "file", "path": name, "size": size, "oid": "0" * 40, "lfs": lfs})
        self.whole(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})

    def resolve(self, repo: str, name: str) -> None:
        path = self.root / repo / name
        if not path.is_file():
            self.refuse(404, "EntryNotFound")
            return
        etag = "0" * 40 if self.faults.no_checksums else sha256(path)
        location = f"http://127.0.0.1:{self.content_port}/content/{repo}/{name}?X-Signature={SIGNATURE}"
        headers = {"Location": location, "X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{etag}"'}
        self.whole(302, b"", headers | {"X-Linked-Size": str(path.stat().st_size), "ETag": f'"{etag}"'})

    def send_file(self, path: Path) -> None:
        if self.faults.file_status:
            self.refuse(self.faults.file_status, "")
            return
        data = path.read_bytes()
        if self.faults.wrong_byte:
            data = data[:-1] + bytes([data[-1] ^ 1])
        asked = self.headers["Range"]
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and not self.faults.no_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.pour(data[start:])

    def pour(self, data: bytes) -> None:
        piece = 65536
        for sent in range(0, len(data), piece):
            faults = self.faults
            if faults.breaks_after and sent >= faults.breaks_after:
                return
            self.wfile.write(data[sent : sent + piece])
            if faults.bytes_a_second:
                time.sleep(piece / faults.bytes_a_second)

    def refuse(self, status: int, error_code: str) -> None:
        headers = {"X-Error-Code": error_code, "X-Error-Message": error_code} if error_code else {}
        self.whole(status, b'{"error": "no"}', headers)

    def whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def say(event: dict[str, Any]) -> None:
    with Hub.written:
        os.write(1, json.dumps(event).encode() + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    Hub.root = parser.parse_args().root
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Hub) for _ in range(2)]
    Hub.content_port = servers[1].server_port
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    say({"port": servers[0].server_port})
    for line in sys.stdin:
        Hub.faults = Faults(**json.loads(line))
        say({"faults": True})


class FakeHub:
    """The hub as a test sees it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, root: Path) -> None:
        self.process, self.root = process, root
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[dict[str, Any]] = []
        self._set = 0
        self._acknowledged = 0
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            event = json.loads(line)
            if "faults" in event:
                self._acknowledged += 1
            else:
                self.requests.append(event)

    async def set(self, **faults: Any) -> None:
        """These faults from now on, and no others."""
        assert self.process.stdin
        self._set += 1
        self.process.stdin.write(json.dumps(asdict(Faults(**faults))).encode() + b"\n")
        await eventually(lambda: self._acknowledged == self._set)

    @property
    def ranges(self) -> list[str]:
        """What was asked for of files that were here in part."""
        return [request["range"] for request in self.requests if request["content"] and request["range"]]

    def file(self, name: str, repo: str = REPO) -> Path:
        return self.root / repo / name

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)


def make_repository(root: Path) -> None:
    """The tiny model, and a larger one: the same with nothing behind it."""
    text = (TINY / "tinyvlm-text-f16.gguf").read_bytes()
    files = {"README.md": b"hello", "Tiny-F16.gguf": text, "Tiny-Q8_0.gguf": text.ljust(BIG, b"\0")}
    publish(root, REPO, files | {"mmproj-Tiny-F16.gguf": (TINY / "tinyvlm-mmproj-f16.gguf").read_bytes()})


def publish(root: Path, repo: str, files: dict[str, bytes]) -> None:
    """A repository with these files."""
    for name, data in files.items():
        path = root / repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@asynccontextmanager
async def fake_hub(root: Path) -> AsyncIterator[FakeHub]:
    """A running hub that serves ``root``."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.hub", str(root)), cwd=ROOT, stdin=pipe, stdout=pipe, limit=1 << 20
    )
    assert process.stdout
    ready = await asyncio.wait_for(process.stdout.readline(), 60)
    hub = FakeHub(process, json.loads(ready)["port"], root)
    try:
        yield hub
    finally:
        process.kill()
        await process.wait()
        await hub._listener


if __name__ == "__main__":
    main()
