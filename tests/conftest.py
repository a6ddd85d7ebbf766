"""What holds for every test: blocking calls in the event loop fail it, and the head of the run says what is real."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.fakes.engine.llama import llama_server
from tests.fakes.gst_server import SYSTEM_PYTHON
from tests.fakes.torch_python import torch_python

SBIN = ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
"""Debian and Homebrew keep mosquitto off a user's PATH."""

GST_SERVER = Path(__file__).with_name("fakes") / "gst_server.py"
GST_PACKAGES = (
    "apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)


@dataclass(frozen=True)
class Part:
    """A system part that tests use where it is installed."""

    name: str
    found: str | None
    instead: str
    get_it: str


def pytest_configure(config: pytest.Config) -> None:
    # A shell lets what it starts with & ignore Ctrl-C, and so would every program that the tests start and send one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):  # one of several: the first process has looked already
        return
    config.stash[_PARTS] = parts = _parts()
    missing = [part for part in parts if part.found is None]
    if missing and os.environ.get("CI") == "true":
        names, ways = ", ".join(part.name for part in missing), "; ".join(part.get_it for part in missing)
        pytest.exit(f"In CI nothing is replaced, and {names} is missing: {ways}", returncode=1)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"{part.name}: {part.found or f'missing; {part.instead}'}" for part in config.stash.get(_PARTS, [])]


_PARTS: pytest.StashKey[list[Part]] = pytest.StashKey()


def _parts() -> list[Part]:
    path = os.environ.get("PATH", os.defpath) + SBIN
    return [
        Part(
            "mosquitto", shutil.which("mosquitto", path=path), "amqtt from PyPI stands in", "apt-get install mosquitto"
        ),
        Part("gst-rtsp-server", _gst_rtsp_server(), "the RTSP camera of tests/fakes stands in", GST_PACKAGES),
        Part("ffmpeg", shutil.which("ffmpeg"), "not measured in the ingest benchmark", "apt-get install ffmpeg"),
        Part("gcc", shutil.which("gcc"), "no USB camera is played", "apt-get install gcc libc6-dev"),
        Part(
            "systemd-analyze",
            shutil.which("systemd-analyze"),
            "units are only checked for their form",
            "apt-get install systemd",
        ),
        Part("PyTorch", _path(torch_python()), "transformers is tested without a model", "make transformers"),
        Part("llama-server", _path(llama_server()), "only the engine in the wheel is tested", "make llama-server"),
    ]


def _path(found: Path | None) -> str | None:
    return str(found) if found else None


def _gst_rtsp_server() -> str | None:
    """The system's Python that can run it: its bindings are in no virtual environment."""
    if not Path(SYSTEM_PYTHON).exists():
        return None
    tried = subprocess.run([SYSTEM_PYTHON, GST_SERVER, "--check"], check=False, capture_output=True, timeout=60)
    return f"through {SYSTEM_PYTHON}" if tried.returncode == 0 else None


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """A file, a lock or a database that our code waits for in the event loop fails an async test."""
    if not inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    watch = BlockBuster(scanned_modules=["agent", "plugins"])
    for function in watch.functions.values():
        function.can_block_in("agent/schedule.py", "local_zone")  # /etc/localtime, once, before anything runs
    watch.activate()
    yield
    watch.deactivate()
