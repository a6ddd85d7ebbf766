"""A film of known scenes, for Chromium to take for its webcam (--use-file-for-fake-video-capture)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RATE = 5
"""Pictures a second."""


def film(path: Path, scenes: Sequence[Image.Image], seconds: float, rate: int = RATE) -> list[str]:
    """The Chromium arguments with which its only camera shows each scene for so long, and then begins anew."""
    width, height = scenes[0].size
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
        for scene in scenes:
            frame = b"FRAME\n" + b"".join(plane.tobytes() for plane in _planes(scene))
            for _ in range(round(seconds * rate)):
                file.write(frame)
    return ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={path}"]


def _planes(picture: Image.Image) -> list[NDArray[np.uint8]]:
    """Y, Cb and Cr by BT.601 in the narrow range, colour at half the size."""
    y, cb, cr = picture.convert("YCbCr").split()
    half = (picture.width // 2, picture.height // 2)
    colour = [plane.resize(half, Image.Resampling.BOX) for plane in (cb, cr)]
    return [_narrowed(y, 16, 219 / 255), *(_narrowed(plane, 128 - 128 * 224 / 255, 224 / 255) for plane in colour)]


def _narrowed(plane: Image.Image, foot: float, scale: float) -> NDArray[np.uint8]:
    return np.round(np.asarray(plane, np.float32) * scale + foot).astype(np.uint8)
