"""camscribe itself as a subprocess, as its user starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[2]


def write_config(folder: Path, config: Mapping[str, Any]) -> Path:
    """``config`` as config.yaml in ``folder``, with a data_dir of the folder's own; without web pages unless it names
    them: their usual port may be another test's."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"data_dir": str(folder / "data"), "web": False, **config}, allow_unicode=True))
    return path


def command(*arguments: str) -> list[str]:
    """The command line of an installed camscribe."""
    return [str(Path(sys.executable).with_name("camscribe")), *arguments]


def lives(process: psutil.Process) -> bool:
    """Not gone, and not a zombie that only waits for init to take note."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class Service:
    """A running camscribe: what it printed so far, and its processes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = asyncio.Event()
        self._last = time.monotonic()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            self._last = time.monotonic()
            lines.append(line.decode(errors="replace").rstrip("\n"))
            self._news.set()

    def quiet_for(self) -> float:
        """Seconds since it printed anything."""
        return time.monotonic() - self._last

    @property
    def observations(self) -> list[dict[str, Any]]:
        """The JSON observations on stdout, as a log output with ``format: json`` prints them."""
        return [json.loads(line) for line in self.out if line.startswith("{")]

    async def until(self, condition: Callable[[], Any], within: float = 30.0) -> Any:
        """Wait until ``condition`` is true of what was printed; its value."""
        try:
            async with asyncio.timeout(within):
                while not (value := condition()):
                    self._news.clear()
                    await asyncio.wait([asyncio.ensure_future(self._news.wait())], timeout=0.2)
        except TimeoutError:
            tail = "\n".join([*self.out[-5:], "--- stderr", *self.err[-25:]])
            raise AssertionError(f"not within {within} s; it printed:\n{tail}") from None
        return value

    def children(self) -> list[psutil.Process]:
        """Every process below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """kill -9 of camscribe alone."""
        os.kill(self.process.pid, signal.SIGKILL)

    def freeze(self) -> None:
        """It stands still."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def stop(self, within: float = 10.0) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), within)


def _environment() -> dict[str, str]:
    """Ours, without what is said to the tests: camscribe takes it for a key of its config."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CAMSCRIBE_TEST_")}


@asynccontextmanager
async def camscribe(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> AsyncIterator[Service]:
    """``camscribe <arguments>`` while the block runs; killed at its end if it still lives."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env={**_environment(), "NO_COLOR": "1", **(env or {})},
        cwd=cwd,
        limit=2**20,
    )
    service = Service(process)
    try:
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(*service._readers)
