"""A visitor at the desk of tests/fakes/looking.py, and the pictures that one brings along."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from agent.config import CaptionerSettings, PluginChoice
from agent.controls import Controls
from agent.house import House
from agent.plugin import Captioner
from agent.running.engines import Engines
from agent.visitor import Visitor
from tests.fakes.looking import Desk, NoConfig, ScriptedCaptioner


class DeskEngines(Engines):
    """Those of the desk: what a test has started runs."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(SimpleNamespace(context=lambda *_: desk.context), lambda *_: None, lambda _name: ())
        self.put("default", desk.captioner)

    def put(self, name: str, captioner: Captioner[Any]) -> None:
        self._running[name] = SimpleNamespace(captioner=captioner, gave_up=False)
        self._started.set()
        self._started = asyncio.Event()


def settings(*names: str) -> Mapping[str, CaptionerSettings]:
    choice = PluginChoice("scripted", ScriptedCaptioner, NoConfig())
    return {name: CaptionerSettings(name=name, plugin=choice) for name in names}


def visitor(
    desk: Desk,
    house: House | None = None,
    captioners: Callable[[], Mapping[str, CaptionerSettings]] = lambda: settings("default", "spare"),
) -> Visitor:
    house = house or House(
        "0",
        desk.queue,
        lambda: ("ready", "scripted"),
        Controls(desk.context.data_dir, keep=False),
        desk.clock,
        desk.counters,
    )
    return Visitor(house, desk.queue, desk.observer, DeskEngines(desk), captioners, desk.clock, desk.counters)


def jpeg(picture: Image.Image | None = None, kind: str = "JPEG", **options: Any) -> bytes:
    """The picture, or a grey one of 64x48, as a file."""
    file = io.BytesIO()
    (picture or Image.new("RGB", (64, 48), "grey")).save(file, kind, **options)
    return file.getvalue()


def text(data: bytes, *, url: bool = True) -> str:
    """As a canvas's ``toDataURL`` gives it, or the base64 alone."""
    return ("data:image/jpeg;base64," if url else "") + base64.b64encode(data).decode()


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has this size, and packs its black pixels as tightly as they go."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj(9)
    packed = b"".join(pack.compress(bytes(1 + width // 8 + 1)) for _ in range(min(height, 20_000))) + pack.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def of_many_scans(size: int = 3000) -> bytes:
    """A progressive JPEG that walks through its large picture hundreds of times, for a few bytes each."""
    whole = jpeg(Image.new("L", (size, size)), progressive=True)
    first = whole.index(b"\xff\xda")
    second = whole.index(b"\xff\xda", first + 2)
    return whole[:second] + whole[first:second] * 300 + whole[second:]


@cache
def bad_pictures() -> tuple[tuple[str, bytes, str], ...]:
    """As _bad_pictures gives them."""
    return tuple(_bad_pictures())


def _bad_pictures() -> Iterator[tuple[str, bytes, str]]:
    """Name, bytes, and what is wrong with them: damaged, too_large, format."""
    good = jpeg(Image.effect_mandelbrot((640, 480), (-2, -1.5, 1, 1.5), 50).convert("RGB"))
    noise = np.random.default_rng(1).bytes(10_000_000)
    yield "cut in half", good[: len(good) // 2], "damaged"
    yield "cut before its end", good[:-40], "damaged"
    yield "a PNG cut in half", jpeg(kind="PNG")[:60], "damaged"
    yield "a WebP cut in half", jpeg(kind="WEBP")[:30], "damaged"
    yield "10 MB of noise", noise, "format"
    yield "10 MB of noise that begins as a JPEG", b"\xff\xd8\xff" + noise, "damaged"
    yield "10 MB of noise that begins as a PNG", b"\x89PNG\r\n\x1a\n" + noise, "damaged"
    yield "10 MB of noise that begins as a WebP", b"RIFF\x00\x00\x00\x00WEBP" + noise, "damaged"
    yield "a pixel bomb", png_of(60_000, 60_000), "too_large"
    yield "a smaller pixel bomb", png_of(10_000, 9_000), "too_large"
    yield "a PNG with a bomb for a text", _with_text_bomb(), "damaged"
    yield "a JPEG of hundreds of scans", of_many_scans(), "damaged"
    yield "a GIF", jpeg(kind="GIF"), "format"
    yield "a BMP", jpeg(kind="BMP"), "format"
    yield "a TIFF", jpeg(kind="TIFF"), "format"
    yield "an SVG", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>', "format"
    yield "a PDF", b"%PDF-1.7\n", "format"
    yield "nothing", b"", "format"


def _with_text_bomb() -> bytes:
    """100 MB of text in 100 kB."""
    whole = jpeg(kind="PNG")
    data = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return whole[:33] + chunk + whole[33:]
