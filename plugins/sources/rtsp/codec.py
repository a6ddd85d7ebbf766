"""What a decoder needs to know about a stream, and a decoder that lets no damage pass that it knows of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from plugins.sources.rtsp.loss import Ear

MOST_PIXELS = 64_000_000
_DAMAGE = re.compile(
    r"error while decoding MB|slice end not reached|Reference \d|[Mm]issing reference|reference picture missing"
    r"|Could not find ref|CABAC_MAX_BIN|undecodable NALU|no frame!|mismatching checksum|incorrect MD5|Invalid NAL unit"
)
"""What decoders say of pictures that are not whole. Not what they say of odd but honest cameras (``mmco: …``)."""
_PLANAR = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
_HOLES = 16


class Damaged(Exception):
    """The picture, or one it builds on, is not whole."""


@dataclass(frozen=True, slots=True)
class Codec:
    name: str
    extradata: bytes | None

    def decoder(self) -> Decoder:
        decoder = av.CodecContext.create(self.name, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.extradata = self.extradata
        decoder.thread_count = 1  # frame threads would hold pictures back
        # Pictures may carry a checksum; hardly any camera sends one. Not "explode": it gives up odd honest streams.
        decoder.options = {"max_pixels": str(MOST_PIXELS), "err_detect": "crccheck"}
        return Decoder(decoder)


class Decoder:
    def __init__(self, context: av.VideoCodecContext) -> None:
        self.context = context

    def decode(self, packet: av.Packet[Any] | None) -> list[VideoFrame]:
        """None is the end: what is held back comes out. Raises Damaged."""
        with Ear(_DAMAGE) as ear:
            try:
                frames = self.context.decode(packet)
            except av.error.EOFError:
                return []
            except av.FFmpegError as error:
                raise Damaged from error
        if ear.heard() or any(frame.is_corrupt or has_holes(frame) for frame in frames):
            raise Damaged
        return frames


def has_holes(frame: VideoFrame) -> bool:
    """Blocks that nothing was decoded into: FFmpeg's H.265 decoder leaves them as zeros and says nothing.

    No colour has zero for both blue and red difference, however bright, so no honest picture is taken for one.
    """
    if frame.format.name not in _PLANAR:
        return False
    blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[::8, : plane.width : 8]
        for plane in frame.planes[1:3]
    )
    return int(np.count_nonzero((blue | red) == 0)) >= _HOLES
