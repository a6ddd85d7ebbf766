"""What a decoder needs to know about a stream."""

from __future__ import annotations

from dataclasses import dataclass

import av

MOST_PIXELS = 64_000_000


@dataclass(frozen=True, slots=True)
class Codec:
    name: str
    extradata: bytes | None

    def decoder(self) -> av.VideoCodecContext:
        decoder = av.CodecContext.create(self.name, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.extradata = self.extradata
        decoder.thread_count = 1  # frame threads would hold pictures back
        decoder.options = {"max_pixels": str(MOST_PIXELS)}
        return decoder
