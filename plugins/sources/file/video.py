"""One video file, played over and over: in real time, or a frame a look."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from agent.plugin import Failure, FrameUnavailable, Moment, Pixels
from plugins.sources.file.names import shown
from plugins.sources.file.shot import Pace, Shot
from plugins.sources.still import fit

UNSPECIFIED_COLOURS = 2
ALONE = {
    "protocol_whitelist": "pipe",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,mpegvideo,h264,hevc,mjpeg,flv,asf,ogg,dhav,wav",
}
"""A playlist in the guise of a video may not make FFmpeg open other files or addresses; and still pictures, which it
takes for videos too, are not read past the limits they have here."""
MOST_PIXELS = 34_000_000


class _Ended(Exception):
    """There is no frame after the last one."""


class Video:
    """Kept open from look to look; opened afresh when the file was replaced. All of it on one thread."""

    def __init__(self, path: Path, pace: Pace) -> None:
        self._path = path
        self._pace = pace
        self._file: BinaryIO | None = None
        self._playing: _Playing | None = None
        self._identity: tuple[int, int, int] | None = None
        self._began = 0.0

    def shoot(self, long_edge: int, timeout: float) -> Shot:
        try:
            playing, frame = self._frame(time.monotonic() + timeout)
            pixels = _pixels(frame, playing.pixel_aspect, long_edge)
        except (av.FFmpegError, _Ended, ValueError, OSError) as error:
            self.close()
            raise _problem(self._path, error) from error
        except FrameUnavailable:
            self.close()
            raise
        return Shot(pixels, Moment.now(), f"{shown(self._path.name)} at {playing.position(frame):.1f} s")

    def _frame(self, deadline: float) -> tuple[_Playing, av.VideoFrame]:
        playing = self._open()
        if self._pace is Pace.REAL:
            return playing, playing.at(time.monotonic() - self._began, deadline)
        try:
            return playing, playing.next()
        except _Ended:  # opened afresh rather than rewound: not every file can be
            self.close()
            playing = self._open()
            return playing, playing.next()

    def close(self) -> None:
        if self._playing:
            self._playing.container.close()
        if self._file:
            self._file.close()
        self._playing = self._file = None

    def _open(self) -> _Playing:
        status = self._path.stat()
        identity = status.st_ino, status.st_size, status.st_mtime_ns
        if self._playing and identity == self._identity:
            return self._playing
        grown = self._identity is not None and status.st_ino == self._identity[0] and status.st_size > self._identity[1]
        self.close()
        # As a file object: FFmpeg would take some names for patterns or addresses.
        self._file = self._path.open("rb")
        self._playing = _Playing(self._path, self._file)
        self._identity = identity
        if not grown:  # a recording that goes on does not begin anew at each look
            self._began = time.monotonic()
        return self._playing


class _Playing:
    """An open video and where it stands."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.container = av.open(file, "r", options=ALONE)
        if not self.container.streams.video:
            raise FrameUnavailable(Failure.NO_VIDEO, f"{shown(path)} holds no video track.")
        self._path = path
        self._stream = self.container.streams.video[0]
        self._stream.codec_context.thread_count = 1  # FFmpeg's own threads would wait for Python's lock to log
        self._stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        self._first = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        self._frames: Iterator[av.VideoFrame] = self.container.decode(self._stream)

    @property
    def pixel_aspect(self) -> Fraction:
        return self._stream.sample_aspect_ratio or Fraction(1)

    def position(self, frame: av.VideoFrame) -> float:
        return max(0.0, (frame.time or 0.0) - self._first)

    def next(self) -> av.VideoFrame:
        for frame in self._frames:
            return frame
        raise _Ended

    def at(self, elapsed: float, deadline: float) -> av.VideoFrame:
        """The frame that is on ``elapsed`` seconds after the first start."""
        target = elapsed % self._length()
        self._rewind(target)
        on: av.VideoFrame | None = None
        for frame in self._frames:
            self._in_time(deadline)
            if on is not None and self.position(frame) > target:
                break
            on = frame
        if on is None:
            raise _Ended
        return on

    def _rewind(self, seconds: float) -> None:
        """To the key frame at or before that position."""
        base = self._stream.time_base or Fraction(1)
        self.container.seek(round((self._first + seconds) / base), stream=self._stream)
        self._frames = self.container.decode(self._stream)

    def _length(self) -> float:
        seconds = (self.container.duration or 0) / av.time_base
        if self._stream.duration and self._stream.time_base:
            seconds = float(self._stream.duration * self._stream.time_base)
        if seconds <= 0:
            raise FrameUnavailable(
                Failure.SOURCE,
                f"{shown(self._path)} does not say how long it plays. Use pace: step, or put it into an .mp4 or .mkv.",
            )
        return seconds

    def _in_time(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise FrameUnavailable(
                Failure.TIMEOUT, f"Decoding {shown(self._path)} took too long. Give the camera a longer timeout."
            )


def _pixels(frame: av.VideoFrame, pixel_aspect: Fraction, long_edge: int) -> Pixels:
    width, height = fit(frame.width * float(pixel_aspect), frame.height, long_edge)
    unnamed_hd = frame.colorspace == UNSPECIFIED_COLOURS and frame.height >= 720
    scaled = frame.reformat(
        width, height, "rgb24", src_colorspace="ITU709" if unnamed_hd else None, interpolation="AREA"
    )
    return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), frame.rotation // 90), np.uint8)


def _problem(path: Path, error: Exception) -> FrameUnavailable:
    if isinstance(error, FileNotFoundError):
        return FrameUnavailable(Failure.NOT_FOUND, f"There is no file {shown(path)}.")
    if isinstance(error, PermissionError):
        return FrameUnavailable(Failure.SOURCE, f"{shown(path)} can't be read: {error.strerror}.")
    return FrameUnavailable(
        Failure.DAMAGED, f"{shown(path)} is neither a picture nor a video that can be read; does it play elsewhere?"
    )
