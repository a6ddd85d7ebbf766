"""What is measured: methods, streams, how many cameras, how long."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmarks.ingest.streams import Stream
from plugins.sources.rtsp import RtspConfig

Table = Literal["main", "pair", "more"]


@dataclass(frozen=True, slots=True)
class Way:
    """A method of getting pictures, with its options."""

    title: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """Why it can't be measured here."""
        if self.module == "ffmpeg" and shutil.which("ffmpeg") is None:
            return "not measured: no ffmpeg"
        lacking = [name for name in self.options if self.module == "camscribe" and name not in RtspConfig.model_fields]
        return f"not measured: no option {lacking[0]}" if lacking else None


WAYS = {
    "camscribe": Way("camscribe", "camscribe"),
    "opencv": Way("OpenCV, a reader thread each", "opencv", {"threads": 1}),
    "ffmpeg": Way("ffmpeg at 5 pictures/s each", "ffmpeg"),
    "opencv-read": Way("OpenCV, converting all it reads", "opencv", {"threads": 1, "retrieve": "all"}),
    "opencv-threads": Way("OpenCV, decoder threads unset", "opencv", {"threads": 0}),
    "on-demand": Way("camscribe, connect: on_demand", "camscribe", {"connect": "on_demand"}),
}
COMPARED = ("camscribe", "opencv", "ffmpeg")
CAMERAS = (1, 8, 16)
SECONDS = 45.0


USUAL = Stream()
HEVC = Stream(codec="hevc", bit_rate=3_000_000, pictures=500)


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    way: str
    cameras: int
    seconds: float
    every: float = 5.0
    stream: Stream = USUAL
    transport: str = "tcp"
    table: Table = "main"
    label: str = ""
    """What is unusual about it, in the table of the unusual."""

    @property
    def title(self) -> str:
        return f"{self.cameras} camera{'s' * (self.cameras > 1)}, {self.label + ', ' * bool(self.label)}{self.name}"

    @property
    def name(self) -> str:
        return WAYS[self.way].title


def main_cases(cameras: Sequence[int] = CAMERAS, ways: Sequence[str] = COMPARED) -> list[Case]:
    return [Case(way, count, SECONDS) for count in cameras for way in ways]


def pair(rounds: int = 2, seconds: float = 30) -> list[Case]:
    """The two side by side at 2 cameras: in turns, so that what else the machine does falls on both."""
    return [Case(way, 2, seconds, table="pair") for _ in range(rounds) for way in ("camscribe", "opencv")]


def quick() -> list[Case]:
    return [Case("camscribe", 1, 20), Case("camscribe", 8, 40), *pair(seconds=15)]


def more() -> list[Case]:
    """What is unusual: long groups, small streams, H.265, UDP, few looks, and OpenCV used otherwise."""
    usual = Case("camscribe", 8, 30, table="more")
    slow = replace(usual, seconds=60, every=30.0, label="a look each 30 s")
    small = replace(usual, stream=Stream(size=(640, 360), bit_rate=600_000), label="640x360, 0.6 Mbit/s")
    hevc = replace(usual, cameras=1, stream=HEVC, label="H.265, 3 Mbit/s")
    long = replace(usual, cameras=1, every=3.0, stream=Stream(gop=250), label="GOP 250 (10 s), a look each 3 s")
    udp = replace(usual, transport="udp", label="UDP")
    two = replace(usual, cameras=2)
    return [
        long,
        small,
        replace(small, way="opencv"),
        hevc,
        replace(hevc, way="opencv"),
        udp,
        slow,
        replace(slow, way="on-demand"),
        replace(two, way="opencv-read"),
        replace(two, way="opencv-threads"),
    ]
