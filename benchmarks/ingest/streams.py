"""The streams that are measured: a scene like a camera's with each picture's number burned in, encoded once and kept.

Most of a real camera's picture stands still, so a key frame is many times as large as the pictures between: the scene
has still, detailed ground, something that moves, and a little of a sensor's noise.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import pickle
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter

from tests.fakes import clips

PARAMETERS = {"h264": {7, 8}, "hevc": {32, 33, 34}}
PRESETS = {"h264": "superfast", "hevc": "ultrafast"}
WORK = Path(__file__).resolve().parents[1] / "work"


@dataclass(frozen=True, slots=True)
class Stream:
    """What a camera sends."""

    codec: str = "h264"
    size: tuple[int, int] = (1920, 1080)
    fps: int = 25
    gop: int = 50
    bit_rate: int = 4_000_000
    pictures: int = 1500
    """In the loop: a minute of them is longer than any backlog (the server drops readers half a minute behind), so that
    a number tells an age without doubt."""

    @property
    def title(self) -> str:
        name = {"h264": "H.264", "hevc": "H.265"}[self.codec]
        width, height = self.size
        return f"{width}x{height}, {self.fps} pictures/s, {name} {self.bit_rate / 1e6:g} Mbit/s, GOP {self.gop}"

    @property
    def loop_seconds(self) -> float:
        return self.pictures / self.fps

    @property
    def path(self) -> Path:
        """Where it is kept; another recipe is another file."""
        recipe = Path(__file__).read_bytes() + Path(clips.__file__).read_bytes()
        mark = hashlib.sha256(recipe).hexdigest()[:8]
        width, height = self.size
        pictures = f"{self.pictures}x{self.fps}-{self.gop}"
        return WORK / f"{self.codec}-{width}x{height}-{pictures}-{self.bit_rate // 1000}k-{mark}.clip"


def ready(stream: Stream) -> Path:
    """The encoded clip's file; encodes it where it is missing, which takes a minute."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several tests may want it at once
        if not stream.path.exists():
            part = stream.path.with_suffix(".part")
            part.write_bytes(pickle.dumps(encode(stream)))
            part.replace(stream.path)
    return stream.path


async def made_ready(stream: Stream) -> Path:
    """The same from an event loop, in a process that ends with us."""
    if not stream.path.exists():
        command = [sys.executable, "-m", "benchmarks.ingest.streams", json.dumps(asdict(stream))]
        process = await asyncio.create_subprocess_exec(*command, cwd=WORK.parents[1], start_new_session=True)
        try:
            if await process.wait():
                raise RuntimeError(f"encoding {stream.title} failed")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return stream.path


def load(path: Path) -> clips.Clip:
    clip = pickle.loads(path.read_bytes())  # our own file, written above
    assert isinstance(clip, clips.Clip)
    return clip


def encode(stream: Stream) -> clips.Clip:
    encoder = _encoder(stream)
    packets = []
    for number, picture in enumerate(scene(stream.pictures, stream.size)):
        frame = av.VideoFrame.from_image(picture).reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    units = tuple(clips.Unit(tuple(clips.split_nals(bytes(packet))), packet.is_keyframe) for packet in packets)
    parameters = tuple(nal for nal in units[0].nals if clips.nal_kind(stream.codec, nal) in PARAMETERS[stream.codec])
    return clips.Clip(stream.codec, stream.fps, units, parameters)


def _encoder(stream: Stream) -> av.VideoCodecContext:
    """As cameras encode: CABAC, deblocking, one reference, no pictures out of order."""
    encoder = av.CodecContext.create(clips.CODECS[stream.codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = stream.size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, stream.fps)
    encoder.framerate = Fraction(stream.fps)
    encoder.thread_count = 1
    encoder.colorspace = encoder.color_range = 1  # ITU-R BT.709, limited range
    encoder.bit_rate = stream.bit_rate
    keys = f"keyint={stream.gop}:min-keyint={stream.gop}:scenecut=0:repeat-headers=1"
    more = ":cabac=1:deblock=0,0" if stream.codec == "h264" else ":deblock=0,0:log-level=none:pools=1:frame-threads=1"
    name = "x264-params" if stream.codec == "h264" else "x265-params"
    encoder.options = {"preset": PRESETS[stream.codec], "tune": "zerolatency", name: keys + more}
    return encoder


def scene(count: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """The number's strip in the middle; above and below it still ground, leaves that never rest, a box that moves."""
    random = np.random.default_rng(7)
    width, height = size
    ground = _ground(random, size)
    still = [_picture(ground + random.normal(0, 1.5, (height, width, 1))) for _ in range(8)]
    leaves = [_picture(110 + _grain(random, (width // 3, height // 4))) for _ in range(8)]
    box = still[0].resize((width // 6, height // 4))
    strip = (height * 6 // 16, height * 10 // 16)
    for number, picture in enumerate(clips.numbered(count, size)):
        shown = still[number % len(still)]
        for top, bottom in ((0, strip[0]), (strip[1], height)):
            picture.paste(shown.crop((0, top, width, bottom)), (0, top))
        picture.paste(leaves[number % len(leaves)], (width // 2, 0))
        picture.paste(box, (number * 4 % (width - box.width), height - box.height))
        yield picture


def _ground(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    coarse = random.integers(60, 190, (height // 60, width // 60, 3)).astype(np.uint8)
    shapes = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.float32)
    return shapes + _grain(random, size)


def _grain(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """As gravel, bricks and leaves have it."""
    width, height = size
    grain = Image.fromarray(random.integers(0, 255, (height, width)).astype(np.uint8))
    return np.asarray(grain.filter(ImageFilter.GaussianBlur(2)), np.float32)[..., None].repeat(3, axis=2) - 127


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    ready(Stream(**{**told, "size": tuple(told["size"])}))
