"""Every kind of bad RTSP camera at once, one address each, and what a good client makes of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from agent.plugin import CameraState
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera

SMALL = (320, 240)
S = CameraState


@dataclass(frozen=True)
class Bad:
    """``fault`` is the fake camera's query. With the client's real time limits, and 75 s of time:"""

    fault: Mapping[str, object] = field(default_factory=dict)
    shows: frozenset[CameraState] = frozenset()
    """One of these states must be seen at some time …"""
    ends: frozenset[CameraState] = frozenset({S.LIVE})
    """… and one of these at the end."""

    @property
    def comes_back(self) -> bool:
        return S.LIVE in self.ends


def _fault(name: str, *shows: CameraState, ends: CameraState = S.LIVE, **more: object) -> Bad:
    return Bad({"fault": name, **more}, frozenset(shows or {ends}), frozenset({ends}))


BAD: Mapping[str, Bad] = {
    "closes": _fault("close", S.GONE, after=3, times=1),
    "resets": _fault("reset", S.GONE, after=3, times=1),
    "silent_at_options": _fault("mute", at="OPTIONS", ends=S.SILENT),
    "silent_at_describe": _fault("mute", at="DESCRIBE", ends=S.SILENT),
    "silent_at_play": _fault("mute", at="PLAY", ends=S.SILENT),
    "never_lets_in": Bad({}, frozenset({S.GONE}), frozenset({S.GONE})),
    "freezes": _fault("freeze", S.SILENT, after=3, times=1),
    "half_a_packet": _fault("half", S.SILENT, after=3, times=1),
    "one_byte_a_second": _fault("trickle", ends=S.SILENT),
    "garbage": _fault("garbage", ends=S.SILENT),
    "corrupts": _fault("corrupt", share=0.02),
    "corrupts_everything": _fault("corrupt", share=1, ends=S.DAMAGED),
    "loses": _fault("loss", share=0.02),
    "resizes": _fault("resize", after=3),
    "no_key_frame_at_first": _fault("nokey", **{"for": 10}),
    "no_key_frame": _fault("nokey", ends=S.NO_KEY_FRAMES),
    "unauthorized": _fault("status", code=401, ends=S.UNAUTHORIZED),
    "not_found": _fault("status", code=404, ends=S.NOT_FOUND),
    "busy_three_times": _fault("status", S.SILENT, S.BUSY, code=503, times=3),
    "no_parameter_sets": _fault("nosps"),
    "clock_leaps": _fault("tsjump", after=3),
    "sound_only": _fault("audio", ends=S.NOT_FOUND),
    "ends_sessions": _fault("session", seconds=10),
    "killed": Bad({}, frozenset({S.GONE})),
    "noise": _fault("noise", S.SILENT, after=3, times=1),
    "slow": _fault("slow", S.BEHIND, pace=0.5, times=1),
}


@dataclass(frozen=True)
class BadCameras:
    urls: Mapping[str, str]
    """By their names in BAD."""
    doomed: RtspCamera
    """The server behind ``killed``, for the test to kill and to restart."""


@asynccontextmanager
async def bad_cameras(size: tuple[int, int] = SMALL) -> AsyncIterator[BadCameras]:
    """All of BAD, served."""
    async with (
        rtsp_camera(fps=25, gop=25, size=size, bit_rate=600_000) as camera,
        rtsp_camera(fps=25, gop=25, size=size, bit_rate=600_000) as doomed,
    ):
        with full_backlog() as port:
            urls = {name: camera.url(of=name, **bad.fault) for name, bad in BAD.items()}
            urls |= {"killed": doomed.url(), "never_lets_in": f"rtsp://127.0.0.1:{port}/live"}
            yield BadCameras(urls, doomed)


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose listener accepts nobody and has no room left: the kernel drops every further SYN."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(10):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.5)
            try:
                client.connect(address)
            except TimeoutError:
                yield address[1]
                return
        raise RuntimeError("this kernel never fills a backlog")
