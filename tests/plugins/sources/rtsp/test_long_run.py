"""A minute of looks, each 5 s, from processes of their own: whatever happens, no picture is old and none is damaged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.fakes.gst_camera import gst_camera
from tests.fakes.looker import Looker, looker
from tests.fakes.rtsp_camera import RtspCamera, rtsp_camera

SECONDS = 60.0
STILL = 12.0
OLDEST = 0.5
WORST_BLOCK = 15.0
"""Of 255, in the mean of one block of 16 x 16: a whole picture is well below, a damaged one well above."""
KINDS = [(codec, transport) for codec in ("h264", "hevc") for transport in ("tcp", "udp")]


async def cameras(stack: AsyncExitStack) -> Mapping[str, RtspCamera]:
    async def camera(codec: str) -> RtspCamera:
        # A key frame is a dozen packets, as from a camera's small stream.
        return await stack.enter_async_context(
            rtsp_camera(fps=25, gop=25, numbers=600, codec=codec, bit_rate=1_000_000)
        )

    h264, hevc, doomed = await asyncio.gather(camera("h264"), camera("hevc"), camera("h264"))
    return {"h264": h264, "hevc": hevc, "doomed": doomed, "gst": await stack.enter_async_context(gst_camera())}


def complaints(looks: Sequence[Mapping[str, Any]], camera: RtspCamera) -> list[str]:
    """What is wrong with the pictures that were handed out."""
    found = []
    for look in looks:
        if "error" in look:
            continue
        age = (look["at"] - camera.epoch - (look["number"] or 0) / camera.fps) % camera.loop_seconds
        if look["number"] is None or look["damage"] > WORST_BLOCK:
            found.append(f"damaged ({look['how']}, {look['damage']})")
        elif age > OLDEST:
            found.append(f"{age:.2f} s old ({look['how']})")
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_pictures_stay_fresh_and_whole_for_a_minute() -> None:
    async with AsyncExitStack() as stack:
        served = await cameras(stack)
        watched: dict[str, tuple[RtspCamera, dict[str, str]]] = {}
        for codec, transport in KINDS:
            for how, query in (("clean", {}), ("lossy", {"fault": "loss", "share": 0.02})):
                options = {"url": served[codec].url(**query), "transport": transport}
                watched[f"{how} {codec} {transport}"] = (served[codec], options)
        for transport in ("tcp", "udp"):
            watched[f"restarted {transport}"] = (
                served["doomed"],
                {"url": served["doomed"].url(), "transport": transport},
            )
            watched[f"gst {transport}"] = (served["gst"], {"url": served["gst"].url(), "transport": transport})
        still = {
            f"stopped {codec} {transport}": (served[codec], {"url": served[codec].url(), "transport": transport})
            for codec, transport in KINDS
        }
        steady = await stack.enter_async_context(looker(_options(watched), seconds=SECONDS))
        stopped = await stack.enter_async_context(looker(_options(still), seconds=SECONDS))
        await asyncio.gather(
            steady.listen(), stopped.listen(), _stand_still(stopped), _kill_and_restart(served["doomed"])
        )

    print(describe([*steady.looks, *stopped.looks], {**watched, **still}))
    wrong = {}
    for name, (camera, _) in {**watched, **still}.items():
        looks = [*steady.of(name), *stopped.of(name)]
        if found := complaints(looks, camera):
            wrong[name] = found
        good = sum("error" not in look for look in looks)
        least = {"lossy": 7, "restarted": 8, "stopped": 8}.get(name.split()[0], len(looks))
        if len(looks) < (SECONDS - STILL) / 5 or good < least:
            wrong.setdefault(name, []).append(f"only {good} of {len(looks)} looks gave a picture")
    assert wrong == {}
    for look in [*steady.looks, *stopped.looks]:
        assert look["at"] - look["began"] < 10.5 or look["camera"].startswith("stopped")


def _options(watched: Mapping[str, tuple[RtspCamera, dict[str, str]]]) -> dict[str, dict[str, str]]:
    return {name: options for name, (_, options) in watched.items()}


async def _stand_still(stopped: Looker) -> None:
    await asyncio.sleep(20)
    await stopped.stand_still(STILL)


async def _kill_and_restart(camera: RtspCamera) -> None:
    await asyncio.sleep(20)
    await camera.kill()
    await asyncio.sleep(6)
    await camera.restart()


def describe(looks: Sequence[Mapping[str, Any]], watched: Mapping[str, tuple[RtspCamera, dict[str, str]]]) -> str:
    """For whoever has to find out why."""
    lines = []
    for name, (camera, _) in watched.items():
        words = []
        for look in looks:
            if look["camera"] != name:
                continue
            if "error" in look:
                words.append(look["kind"])
            elif look["number"] is None:
                words.append("unreadable")
            else:
                age = (look["at"] - camera.epoch - look["number"] / camera.fps) % camera.loop_seconds
                words.append(f"{age:.2f}/{look['damage']:.0f}")
        lines.append(f"{name:18} {' '.join(words)}")
    return "\n".join(lines)
