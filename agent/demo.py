"""``camscribe demo``: the same service as ever, on an embedded config: a drawn doorstep and the tiny bundled model."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from agent.app import App
from agent.config import Config, parse
from agent.config.grammar import WebSettings

CAMERA = "doorstep"
EVERY = "2s"


def _embedded(data_dir: Path) -> dict[str, Any]:
    return {
        "model": {"preset": "tiny"},
        "web": {"port": _free_port()},
        "cameras": {
            CAMERA: {
                "source": "demo",
                "every": EVERY,
                "prompt": "Describe the image.",
            },
        },
        "outputs": {},
        "data_dir": str(data_dir),
    }


def _free_port() -> int:
    """The usual one, unless a service has it."""
    for port in (WebSettings().port, 0):
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return int(trial.getsockname()[1])
    return 0


class Demo:
    """The demo's config and its run. With ``as_json``: observations as JSON lines on stdout, the log on stderr."""

    def __init__(self, seconds: float | None, *, as_json: bool, verbose: bool) -> None:
        self._seconds = seconds
        self._folder = Path(tempfile.mkdtemp(prefix="camscribe-demo-"))
        embedded = _embedded(self._folder)
        embedded["outputs"]["terminal"] = {"use": "log", "format": "json" if as_json else "text"}
        self.config: Config = parse(embedded)
        self.level = "INFO" if as_json or verbose else "WARNING"
        self._console = Console(highlight=False, quiet=as_json)

    async def run(self, stop: asyncio.Event, stopping: Callable[[bool], None]) -> bool:
        """Until ``stop``, or until the time is over."""
        self._console.print(
            "A drawn doorstep, captioned by a llama server with a toy model that knows nothing else.", soft_wrap=True
        )
        web = self.config.web
        page = f" See it at http://{web.host}:{web.port}" if web else ""
        self._console.print(f"Nothing leaves this machine. Ctrl-C ends it.{page}\n", soft_wrap=True)
        if not self._console.quiet:
            drawer = logging.getLogger(f"camscribe.source.{CAMERA}")
            drawer.setLevel(logging.INFO)
            drawer.propagate = False
            drawer.addHandler(_Drawn(self._console))
        timer = asyncio.get_running_loop().call_later(self._seconds, stop.set) if self._seconds else None
        try:
            return await App(self.config, stopping=stopping).run(stop)
        finally:
            if timer:
                timer.cancel()
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


class _Drawn(logging.Handler):
    """Shows what was drawn above what was seen, in the same columns."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        truth = getattr(record, "truth", None)
        if truth:
            self._console.print(
                f"{time.strftime('%H:%M:%S')} {'drawn:':{len(CAMERA) + 1}} {truth}", style="dim", soft_wrap=True
            )
