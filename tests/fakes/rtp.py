"""RTP and SDP for the fake camera: access units as packets (RFC 6184, RFC 7798), and the session's description."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

from tests.fakes.clips import Clip, Unit

PAYLOAD = 1400
VIDEO, AUDIO = 96, 0
CLOCK = 90_000


def fragments(codec: str, nal: bytes) -> Iterator[bytes]:
    """One NAL unit as RTP payloads: as it is, or in fragmentation units."""
    if len(nal) <= PAYLOAD:
        yield nal
        return
    if codec == "h264":
        head, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 0x1F, nal[1:]
    else:
        head, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 0x3F, nal[2:]
    for at in range(0, len(body), PAYLOAD):
        first, last = at == 0, at + PAYLOAD >= len(body)
        yield head + bytes([first << 7 | last << 6 | kind]) + body[at : at + PAYLOAD]


def packets(codec: str, unit: Unit, sequence: int, timestamp: int, *, ssrc: int = 0x5CE7E) -> list[bytes]:
    """One picture as RTP packets, the last one marked."""
    payloads = [part for nal in unit.nals for part in fragments(codec, nal)]
    return [
        struct.pack(
            ">BBHII",
            0x80,
            VIDEO | (number == len(payloads) - 1) << 7,
            (sequence + number) & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            ssrc,
        )
        + payload
        for number, payload in enumerate(payloads)
    ]


def describe(
    clip: Clip,
    base: str,
    *,
    parameters: bool = True,
    video: bool = True,
    audio: bool = False,
    backchannel: bool = False,
    relative: bool = False,
) -> str:
    """The SDP of a stream whose tracks are ``base``/video, ``base``/audio and ``base``/backchannel (what it plays)."""
    prefix = "" if relative else f"{base}/"
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    if video:
        name = "H264" if clip.codec == "h264" else "H265"
        lines += [f"m=video 0 RTP/AVP {VIDEO}", f"a=rtpmap:{VIDEO} {name}/{CLOCK}"]
        if sets := _parameter_sets(clip) if parameters else "packetization-mode=1" if name == "H264" else "":
            lines.append(f"a=fmtp:{VIDEO} {sets}")
        lines.append(f"a=control:{prefix}video")
    if audio:
        lines += [f"m=audio 0 RTP/AVP {AUDIO}", "a=rtpmap:0 PCMU/8000", f"a=control:{prefix}audio"]
    if backchannel:
        lines += ["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a=control:{prefix}backchannel", "a=sendonly"]
    return "\r\n".join([*lines, ""])


def _parameter_sets(clip: Clip) -> str:
    coded = [base64.b64encode(nal).decode() for nal in clip.parameters]
    if clip.codec == "h264":
        return f"packetization-mode=1;sprop-parameter-sets={','.join(coded)}"
    return ";".join(f"sprop-{name}={value}" for name, value in zip(("vps", "sps", "pps"), coded, strict=True))
