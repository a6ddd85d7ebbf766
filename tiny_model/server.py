"""llama.cpp's server with a vision model, from the xllamacpp wheel, in a process of its own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import httpx

from plugins.captioners.llama_server import openmp

START_SECONDS = 60


class Server:
    """Serves from entering to leaving the ``with``. Its log goes to the file ``log``."""

    def __init__(self, text: Path, mmproj: Path, log: Path, *, parallel: int = 1, image_tokens: int = -1) -> None:
        self._settings = {
            "model": str(text),
            "mmproj": str(mmproj),
            "parallel": parallel,
            "image_tokens": image_tokens,
        }
        self._log = log

    def __enter__(self) -> Self:
        command = [sys.executable, str(Path(__file__).resolve()), json.dumps(self._settings)]
        added = openmp.environment(self._log.with_suffix(".lib"))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **added}
            )
        stuck = threading.Timer(START_SECONDS, self._process.kill)
        stuck.start()
        assert self._process.stdout
        address = self._process.stdout.readline().decode().strip()
        stuck.cancel()
        if not address:
            self.__exit__()
            raise RuntimeError(f"The server did not start; {self._log} ends with: {self._log.read_bytes()[-500:]!r}")
        self._http = httpx.Client(base_url=address, timeout=60, trust_env=False)
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        if hasattr(self, "_http"):
            self._http.close()
        self._process.stdin.close()  # which the child takes as its end
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self._http.post(path, json=body)
        answer: dict[str, Any] = reply.raise_for_status().json()
        return answer

    def ask(self, jpeg: bytes, prompt: str, *, text_first: bool = False, **options: Any) -> dict[str, Any]:
        """The reply to one question about one picture."""
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": prompt}]
        message = {"role": "user", "content": parts[::-1] if text_first else parts}
        defaults = {"temperature": 0, "max_tokens": 64}
        return self.post("/v1/chat/completions", {"messages": [message], **defaults, **options})

    def say(self, jpeg: bytes, prompt: str, **options: Any) -> str:
        """Only the words."""
        words: str = self.ask(jpeg, prompt, **options)["choices"][0]["message"]["content"]
        return words


def serve(settings: dict[str, Any]) -> None:
    """The child: serve until standard input ends, which it also does when the parent dies."""
    import xllamacpp  # noqa: PLC0415  the parent never loads the engine

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.mmproj.path = settings["mmproj"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 1024 * settings["parallel"]
    params.n_parallel = settings["parallel"]
    params.image_max_tokens = settings["image_tokens"]
    params.cpuparams.n_threads = 1  # two wait for each other, spinning; on a busy machine that takes 20 times as long
    params.ui = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
