"""A stand-in for llama-server that does wrong on demand what no real engine can be made to do.

``stand_in(folder, Behaviour(...))`` writes an executable ``llama-server`` there. Every start appends its command line
to ``calls`` beside it, and the file ``now`` there, while it exists, says how the running server misbehaves.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NEW_FLAGS = ("--image-max-tokens", "--no-ui", "--offline", "--jinja", "--alias", "--cache-ram")
OLD_FLAGS = ("--model", "--mmproj", "--host", "--port", "--ctx-size", "--parallel", "--threads", "--n-gpu-layers")
ANSWER = {
    "choices": [{"message": {"content": " A stand-in.<end_of_utterance>"}, "finish_reason": "stop"}],
    "timings": {"prompt_ms": 12.5, "predicted_ms": 3.5, "predicted_n": 4},
}


@dataclass
class Behaviour:
    """What goes wrong. ``say`` is printed at the start; ``dies`` is then its exit status or, negative, its signal."""

    say: list[str] = field(default_factory=list)
    dies: int | None = None
    dies_asked: int | None = None
    """The signal it dies of when it is only asked for --help."""
    flags: tuple[str, ...] = OLD_FLAGS + NEW_FLAGS
    strict: bool = False
    """It refuses options that it does not know, as a real one does."""
    version: str = "version: 11434 (7e4c0a9)"
    devices: tuple[str, ...] = ()
    made_for: tuple[str, ...] = ("AVX2", "AVX512_BF16")
    loads: float = 0
    """Seconds of 'Loading model'."""
    props: dict[str, Any] = field(default_factory=lambda: {"modalities": {"vision": True}})
    models: dict[str, Any] = field(default_factory=dict)
    ignores_term: bool = False
    status: int = 200
    answer: Any = field(default_factory=lambda: ANSWER)
    answers: list[Any] = field(default_factory=list)
    """What it says first, one after another."""
    hangs: bool = False
    """It takes questions and never answers them."""
    silent: bool = False
    """It does not even answer /health, once it was well."""
    dies_of_captions: int | None = None
    """The signal, negative, that a question brings upon it."""
    endless: bool = False
    """Its answers have no end."""


def stand_in(folder: Path, behaviour: Behaviour, name: str = "llama-server") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    settings = json.dumps(asdict(behaviour))
    path.write_text(
        f"#!{sys.executable} -IS\n"
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import stand_in\n"
        f"stand_in.main(stand_in.Behaviour(**stand_in.json.loads({settings!r})), {str(folder)!r})\n"
    )
    path.chmod(0o755)
    return path


def misbehave(server: Path, **how: Any) -> None:
    """Change the running server's behaviour, and that of the next start."""
    (server.parent / "now").write_text(json.dumps(how))


def calls(server: Path) -> list[list[str]]:
    """The command line of each start so far."""
    try:
        return [json.loads(line) for line in (server.parent / "calls").read_text().splitlines()]
    except FileNotFoundError:
        return []


def questions(server: Path) -> list[dict[str, Any]]:
    """What it was asked so far."""
    return [json.loads(line) for line in (server.parent / "questions").read_text().splitlines()]


def main(behaviour: Behaviour, folder: str) -> None:
    arguments = sys.argv[1:]
    if behaviour.dies_asked:
        os.kill(os.getpid(), behaviour.dies_asked)
    if arguments == ["--help"]:
        print(
            "usage: llama-server [options]\n\n" + "\n".join(f"{flag} X   does what it says" for flag in behaviour.flags)
        )
        return
    if arguments == ["--version"]:
        print(behaviour.version, file=sys.stderr)
        return
    if arguments == ["--list-devices"] and "--list-devices" in behaviour.flags:
        print("Available devices:\n" + "\n".join(f"  {device}" for device in behaviour.devices or ["(none)"]))
        return
    if "--model" in arguments and arguments[arguments.index("--model") + 1].endswith("/none.gguf"):
        made_for = " | ".join(f"{feature} = 1" for feature in behaviour.made_for)
        print(f"system_info: n_threads = 2 (n_threads_batch = 2) / 2 | CPU : {made_for} | ", file=sys.stderr)
        sys.exit(1)
    with (Path(folder) / "calls").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    unknown = [word for word in arguments if word.startswith("--") and word not in behaviour.flags]
    if behaviour.strict and unknown:
        sys.exit(f"error: invalid argument: {unknown[0]}")
    for line in behaviour.say:
        print(line, file=sys.stderr, flush=True)
    if behaviour.dies is not None:
        if behaviour.dies < 0:
            os.kill(os.getpid(), -behaviour.dies)
        sys.exit(behaviour.dies)
    if behaviour.ignores_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(behaviour, Path(folder), arguments)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    behaviour: Behaviour
    folder: Path
    began: float
    questions = 0

    def said(self, how: Behaviour) -> Any:
        self.questions += 1
        return how.answers[self.questions - 1] if self.questions <= len(how.answers) else how.answer

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("client", 0)

    def how(self) -> Behaviour:
        try:
            now = json.loads((self.folder / "now").read_text())
        except FileNotFoundError:
            now = {}
        return Behaviour(**{**asdict(self.behaviour), **now})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        how = self.server.how()
        if how.silent:
            time.sleep(3600)
        if time.monotonic() - self.server.began < how.loads:
            self._say(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
        else:
            self._say(200, {"/health": {"status": "ok"}, "/props": how.props, "/v1/models": how.models}[self.path])

    def do_POST(self) -> None:
        how = self.server.how()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with (self.server.folder / "questions").open("ab") as file:
            file.write(body + b"\n")
        if how.dies_of_captions:
            os.kill(os.getpid(), -how.dies_of_captions)
            time.sleep(3600)  # another thread may take the signal, a moment later
        if how.hangs:
            time.sleep(3600)
        if how.endless:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" " * 65536)
        self._say(how.status, self.server.said(how))

    def _say(self, status: int, answer: Any) -> None:
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(behaviour: Behaviour, folder: Path, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=8080)
    where, _ = parser.parse_known_args(arguments)
    unix = where.host.endswith(".sock")
    _Server.address_family = socket.AF_UNIX if unix else socket.AF_INET
    server = _Server(where.host if unix else (where.host, where.port), _Handler)
    server.behaviour, server.folder, server.began = behaviour, folder, time.monotonic()
    server.serve_forever(poll_interval=0.05)
