"""Packets that never came: which pictures lack them, and that no such picture is handed out."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from fractions import Fraction
from itertools import product

import av
import av.logging
import numpy as np
import pytest

from agent.plugin import Failure, FrameUnavailable
from plugins.sources.rtsp.codec import Codec, Damaged
from plugins.sources.rtsp.decode import decode_newest, to_pixels
from plugins.sources.rtsp.loss import Ear, LossWatch
from tests.fakes.clips import encode, numbered, read_number
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera
from tests.fakes.waiting import eventually
from tests.plugins.sources.rtsp.watching import BRISK, Watched, watching

SIZE, GOP, RATE, NUMBERS = (480, 360), 10, 1_500_000, 400
MISSED = "RTP: missed 1 packets\n"


def say(line: str) -> None:
    av.logging.log(av.logging.WARNING, "rtsp", line)


def test_gap_hurts_the_picture_it_was_noticed_in_and_the_next() -> None:
    with LossWatch() as watch:
        assert not watch.hurt()
        say(MISSED)
        assert [watch.hurt() for _ in range(3)] == [True, True, False]


def test_every_gap_counts_though_its_line_is_the_same() -> None:
    with LossWatch() as watch:
        for _ in range(3):
            say(MISSED)
            assert watch.hurt()
            assert watch.hurt()
            assert not watch.hurt()


def test_other_lines_hurt_nothing() -> None:
    with LossWatch() as watch:
        for line in ("max delay reached. need to consume packet", "jitter buffer full", "method PLAY failed: 404"):
            say(line)
        assert not watch.hurt()


def test_cameras_do_not_hear_each_other() -> None:
    hurt: dict[str, bool] = {}
    both = threading.Barrier(2, timeout=10)

    def camera(name: str, *, loses: bool) -> None:
        with LossWatch() as watch:
            both.wait()
            if loses:
                say(MISSED)
            both.wait()
            hurt[name] = watch.hurt()

    threads = [
        threading.Thread(target=camera, args=(name,), kwargs={"loses": name == "bad"}) for name in ("bad", "good")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert hurt == {"bad": True, "good": False}


def test_inner_ear_hears_and_gives_back() -> None:
    with LossWatch() as watch:
        with Ear(watch._sign) as inner:
            say(MISSED)
            assert inner.heard()
        assert not watch.hurt()
        say(MISSED)
        assert watch.hurt()


def test_nothing_the_library_says_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.NOTSET)
    with LossWatch():
        say("rtsp://viewer:secret@192.168.1.20/live is at fault")
    av.logging.log(av.logging.ERROR, "rtsp", "rtsp://viewer:secret@192.168.1.20/live again")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def clean_pictures(codec: str) -> list[np.ndarray]:
    """What a decoder makes of the camera's pictures when nothing is lost."""
    clip = encode(numbered(NUMBERS, SIZE), codec=codec, fps=25, gop=GOP, bit_rate=RATE)
    decoder = Codec(codec, None).decoder()
    frames = []
    for number, unit in enumerate(clip.units):
        packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.nals))
        packet.pts = packet.dts = number
        frames += decoder.decode(packet)
    frames += decoder.decode(None)
    return [to_pixels(frame, Fraction(1), 1280) for frame in frames]


def is_clean(pixels: np.ndarray, clean: list[np.ndarray]) -> bool:
    """Whole by its strip, and everywhere else what a clean decode gives."""
    number = read_number(pixels)
    if number is None:
        return False
    return float(np.abs(pixels.astype(np.int16) - clean[number]).mean()) < 1.0


@pytest.fixture(scope="module")
def clean() -> dict[str, list[np.ndarray]]:
    return {codec: clean_pictures(codec) for codec in ("h264", "hevc")}


def camera_of(codec: str) -> AbstractAsyncContextManager[RtspCamera]:
    return rtsp_camera(fps=25, gop=GOP, size=SIZE, codec=codec, bit_rate=RATE, numbers=NUMBERS)


class Census:
    """Every picture of a stream, decoded where it may be shown."""

    def __init__(self, watched: Watched) -> None:
        self.shown: list[np.ndarray] = []
        self.refused = 0
        watched.source._offer = self._take  # type: ignore[method-assign]

    def _take(self, _connection: object, group: object, _coded: object) -> None:
        try:
            frame, shape, _ = decode_newest(group)  # type: ignore[arg-type]
        except Damaged:
            self.refused += 1
        else:
            self.shown.append(to_pixels(frame, shape, 1280))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_no_picture_after_a_gap_is_offered(codec: str, clean: dict[str, list[np.ndarray]]) -> None:
    """Each 7th picture loses a packet, so that every place in a group of 10 has its turn."""
    async with camera_of(codec) as camera, AsyncExitStack() as stack:
        streams = {}
        for transport, packet in product(("tcp", "udp"), ("0", "1", "-1", "all")):
            url = camera.url(fault="gap", each=7, packet=packet)
            watched = await stack.enter_async_context(watching(url, transport=transport))
            streams[transport, packet] = Census(watched)
        await eventually(lambda: all(len(census.shown) > 30 for census in streams.values()), 60)
        for which, census in streams.items():
            assert census.refused == 0, f"{which}: the gap was known before the decoder was asked"
            damaged = [read_number(pixels) for pixels in census.shown if not is_clean(pixels, clean[codec])]
            assert damaged == [], which
            numbers = [read_number(pixels) for pixels in census.shown]
            first, last = numbers[0] or 0, numbers[-1] or 0
            refused = set(range(first, last)) - set(numbers)
            assert [number for number in refused if not near_a_gap(number)] == [], which


def near_a_gap(number: int) -> bool:
    """In its group a picture was hurt before it, or right before the group, or is right after it."""
    return any(n % 7 == 1 for n in range(number // GOP * GOP - 1, number + 2))


@pytest.mark.parametrize("by", [-5000, 5000])
async def test_stream_whose_packets_are_numbered_anew_is_live_again_soon(by: int) -> None:
    pace = replace(BRISK, read_timeout=2.0)
    async with (
        rtsp_camera(fps=25, gop=10, size=(320, 240)) as camera,
        watching(camera.url(fault="renumber", by=by, after=1, times=1), pace=pace) as watched,
    ):
        await watched.source.take(10)
        await asyncio.sleep(1)
        frame = await watched.take_until_it_works(10)
        assert read_number(frame.pixels) is not None


async def looks(camera: RtspCamera, watched: Watched, clean: list[np.ndarray], seconds: float) -> list[str]:
    """One look each 5 s; what came of each."""
    told = []
    until = time.monotonic() + seconds
    while (began := time.monotonic()) < until:
        try:
            frame = await watched.source.take(20)
        except FrameUnavailable as error:
            told.append(f"none: {error.kind}")
        else:
            now = time.monotonic()
            assert is_clean(frame.pixels, clean), f"a damaged picture was handed out: {frame.how}"
            assert camera.age(read_number(frame.pixels) or 0) <= 0.5
            told.append(f"{now - began:.1f}")
        assert time.monotonic() - began < 20.5
        await asyncio.sleep(max(0.0, began + 5 - time.monotonic()))
    return told


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("share", "least"), [(0.02, 6), (0.001, 11)])
async def test_a_minute_of_lost_packets_hands_out_no_damaged_picture(
    share: float, least: int, clean: dict[str, list[np.ndarray]]
) -> None:
    async with AsyncExitStack() as stack:
        tasks = {}
        for codec in ("h264", "hevc"):
            camera = await stack.enter_async_context(camera_of(codec))
            for transport in ("tcp", "udp"):
                url = camera.url(fault="loss", share=share)
                watched = await stack.enter_async_context(watching(url, transport=transport))
                tasks[codec, transport] = asyncio.create_task(looks(camera, watched, clean[codec], 60))
        await asyncio.wait(tasks.values())
        told = {which: task.result() for which, task in tasks.items()}
        print(share, told)
        for which, looked in told.items():
            assert {look for look in looked if look.startswith("none")} <= {f"none: {Failure.DAMAGED}"}, which
            assert len([look for look in looked if not look.startswith("none")]) >= least, which
