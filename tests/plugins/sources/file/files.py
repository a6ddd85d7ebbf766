"""Pictures and films to put on the disk, and what to look for in the frames that come of them."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from agent.plugin import FrameUnavailable
from plugins.sources.file import FileSource

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 40), (30, 40, 200)
ODD_NAMES = ["with space.png", "Tür ñ.png", "line\nbreak.png", "-rf.png", "50%20off.png", "a'b\"c.png", "img%03d.png"]


def paint(path: Path, colour=RED, size=(64, 48), **options) -> Path:
    Image.new("RGB", size, colour).save(path, **options)
    return path


def film(path: Path, levels, *, fps=10, size=(64, 48), aspect=None, rotation=0, format=None) -> Path:  # noqa: A002
    """Each frame is one grey level."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 5
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for level in levels:
            pixels = np.full((size[1], size[0], 3), level, np.uint8)
            pixels[: size[1] // 2, : size[0] // 2] = 255 - level  # so that turning shows
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def looks_like(frame, colour) -> bool:
    return bool(np.abs(frame.pixels.astype(int).mean(axis=(0, 1)) - colour).max() < 8)


def level(frame) -> int:
    return round(float(frame.pixels[-4:, -4:].mean()))


async def refusal(source: FileSource, timeout: float = 5) -> FrameUnavailable:
    with pytest.raises(FrameUnavailable) as caught:
        await source.take(timeout)
    return caught.value


def whole_jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()
