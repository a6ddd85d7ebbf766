"""A USB camera that is not there: a file that fakev4l2.c plays, with the tree of /dev and /sys around it.

The camera's child process is told nothing: LD_PRELOAD in the environment makes that file a device to it.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes.clips import numbered

C_FILE = Path(__file__).with_name("fakev4l2.c")
TABLE = 4096
MJPEG = int.from_bytes(b"MJPG", "little")
YUYV = int.from_bytes(b"YUYV", "little")
_WORDS = (
    *("gone", "stalled", "busy", "open_errno", "damage", "dark", "no_bandwidth", "metadata"),
    *("fps", "width", "height", "count", "format", "stamps", "least_buffers", "spare"),
)
_COUNTERS = ("opened", "streams", "lost", "given")
_EPOCH = 8 + 4 * len(_WORDS)


def build(folder: Path) -> Path:
    """The library for LD_PRELOAD. In CI nothing is left out, so there a missing compiler fails."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI") == "true":
            pytest.fail("In CI nothing is left out, and gcc is missing: apt-get install gcc libc6-dev")
        pytest.skip("no C compiler, so no stand-in for a USB camera: apt-get install gcc libc6-dev")
    library = folder / "fakev4l2.so"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-maybe-uninitialized", "-fPIC", "-shared"]
    subprocess.run([compiler, *flags, "-o", library, C_FILE, "-ldl", "-lpthread"], check=True, timeout=60)
    return library


@cache
def jpegs(count: int, size: tuple[int, int], *, tables: bool = False) -> tuple[bytes, ...]:
    """Numbered pictures, and a dark one after them. Without Huffman tables, as most UVC cameras send them."""
    made = [_jpeg(picture) for picture in _with_a_dark_one(numbered(count, size), size)]
    return tuple(made if tables else [_without_tables(jpeg) for jpeg in made])


def _with_a_dark_one(pictures: Iterable[Any], size: tuple[int, int]) -> list[Any]:
    from PIL import Image

    return [*pictures, Image.new("RGB", size)]


def _jpeg(picture: Any) -> bytes:
    into = io.BytesIO()
    picture.save(into, "JPEG", quality=80, subsampling="4:2:2")
    return into.getvalue()


def _without_tables(jpeg: bytes) -> bytes:
    """Pillow writes the standard tables, which every decoder of motion JPEG knows."""
    kept, at = bytearray(jpeg[:2]), 2
    while (marker := jpeg[at + 1]) != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += b"" if marker == 0xC4 else jpeg[at:end]
        at = end
    return bytes(kept) + jpeg[at:]


@cache
def raw(count: int, size: tuple[int, int]) -> tuple[bytes, ...]:
    """The same as YUYV."""
    return tuple(_yuyv(picture) for picture in _with_a_dark_one(numbered(count, size), size))


def _yuyv(picture: Any) -> bytes:
    full = np.asarray(picture.convert("YCbCr")).astype(np.float32)
    luma, blue, red = full[..., 0] * 219 / 255 + 16, full[..., 1], full[..., 2]
    packed = np.empty((*full.shape[:2], 2), np.uint8)
    packed[..., 0] = luma
    packed[:, 0::2, 1], packed[:, 1::2, 1] = blue[:, 0::2], red[:, 0::2]
    return packed.tobytes()


@dataclass(frozen=True)
class Tree:
    """/dev, /sys/class/video4linux and /proc of a machine that has just the cameras a test plugs in."""

    root: Path

    @property
    def dev(self) -> Path:
        return self.root / "dev"

    @property
    def sys(self) -> Path:
        return self.root / "sys" / "class" / "video4linux"

    def plug(
        self, number: int, *, name: str = "Fake Camera", index: int = 0, port: str = "1-1:1.0", by_id: str | None = None
    ) -> Path:
        """Everything udev makes of a camera's node but the node itself, whose path this is."""
        node = self.dev / f"video{number}"
        bus = self.root / "sys" / "bus" / "usb"
        device = self.root / "sys" / "devices" / port
        entry = self.sys / node.name
        for folder in (bus, device, entry, self.dev / "v4l" / "by-id", self.dev / "v4l" / "by-path"):
            folder.mkdir(parents=True, exist_ok=True)
        if not (device / "subsystem").is_symlink():
            (device / "subsystem").symlink_to(bus)
        (entry / "name").write_text(f"{name}\n")
        (entry / "index").write_text(f"{index}\n")
        (entry / "device").symlink_to(device)
        if by_id is not None:
            (self.dev / "v4l" / "by-id" / f"{by_id}-video-index{index}").symlink_to(f"../../{node.name}")
        (self.dev / "v4l" / "by-path" / f"pci-0000:00:14.0-usb-0:{port}-video-index{index}").symlink_to(
            f"../../{node.name}"
        )
        return node

    def unplug(self, number: int) -> None:
        node = self.dev / f"video{number}"
        shutil.rmtree(self.sys / node.name)
        for link in (self.dev / "v4l").glob("by-*/*"):
            if str(link.readlink()).endswith(f"/{node.name}"):
                link.unlink()
        node.unlink(missing_ok=True)


class FakeCamera:
    """One camera at ``path``. Its attributes gone, stalled, busy, damage … change what it does from then on.

    It shows numbered pictures, or ``picture`` alone.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int] = (640, 360),
        fps: int = 30,
        count: int = 300,
        form: str = "mjpeg",
        picture: Any = None,
    ) -> None:
        if picture is not None:
            size, count = picture.size, 1
            coded = _jpeg if form == "mjpeg" else _yuyv
            pictures = tuple(coded(one) for one in _with_a_dark_one([picture], size))
        else:
            pictures = jpegs(count, size) if form == "mjpeg" else raw(count, size)
        self.path, self.epoch = path, time.monotonic()
        places, data = _placed(pictures)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(b"FAKEV4L2".ljust(TABLE, b"\0") + places + data)
        for name, value in {"fps": fps, "width": size[0], "height": size[1], "count": count}.items():
            setattr(self, name, value)
        self.format = MJPEG if form == "mjpeg" else YUYV
        self.least_buffers = 1
        self._write(_EPOCH, struct.pack("d", self.epoch))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _WORDS:
            self._write(8 + 4 * _WORDS.index(name), struct.pack("I", int(value)))
        object.__setattr__(self, name, value)

    def _write(self, at: int, data: bytes) -> None:
        with self.path.open("r+b") as file:  # and let go of: a device that is held open counts as in use
            file.seek(at)
            file.write(data)

    def counter(self, name: str) -> int:
        at = _EPOCH + 8 + 4 * _COUNTERS.index(name)
        return int.from_bytes(self.path.read_bytes()[at : at + 4], "little")

    def age(self, number: int) -> float:
        """Seconds since picture ``number`` was last taken."""
        since = time.monotonic() - self.epoch - number / self.fps
        return since % (self.count / self.fps)

    def unplug(self) -> None:
        """As the kernel does it: the node goes at once, and who still holds it hears of it."""
        self.gone = True
        self.path.unlink()


def _placed(pictures: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The table of (where, how long), and the pictures behind it."""
    at = TABLE + 16 * len(pictures)
    places = []
    for picture in pictures:
        places.append(struct.pack("QQ", at, len(picture)))
        at += len(picture)
    return b"".join(places), b"".join(pictures)
