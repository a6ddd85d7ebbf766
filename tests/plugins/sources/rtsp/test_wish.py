"""What a look accepts of what the camera's thread offers."""

from __future__ import annotations

import asyncio
import threading

import av
import pytest

from agent.plugin import Failure, FrameUnavailable, Moment
from plugins.sources.rtsp.codec import Codec
from plugins.sources.rtsp.packets import Coded, Group
from plugins.sources.rtsp.wish import Wish

NOW = Moment.now()


def coded(seconds: float) -> Coded:
    taken = NOW.plus(seconds)
    return Coded(av.Packet(10), taken, taken.monotonic + 0.04, 0.04)


def offer(wish: Wish, group: Group, picture: Coded) -> None:
    thread = threading.Thread(target=wish.offer, args=(group, picture))
    thread.start()
    thread.join()


@pytest.mark.parametrize("key_frame", [True, False])
async def test_picture_that_began_to_arrive_before_the_look_is_not_fresh(*, key_frame: bool) -> None:
    wish = Wish(NOW.monotonic, key_frame=key_frame)
    early, late = (Group(coded(seconds), Codec("h264", None)) for seconds in (-0.01, 0.01))
    offer(wish, early, early.key)
    offer(wish, late, late.key)
    assert await asyncio.wait_for(wish.granted, 5) == (late, late.key)


@pytest.mark.parametrize("key_frame", [True, False])
async def test_other_picture_is_taken_only_where_no_key_frame_is_waited_for(*, key_frame: bool) -> None:
    wish = Wish(NOW.monotonic, key_frame=key_frame)
    group, following = Group(coded(-1), Codec("h264", None)), coded(1)
    offer(wish, group, following)
    await asyncio.sleep(0)
    assert wish.granted.done() is not key_frame


async def test_refusal_ends_the_wait() -> None:
    wish = Wish(NOW.monotonic, key_frame=True)
    wish.refuse(FrameUnavailable(Failure.NOT_FOUND, "gone"))
    with pytest.raises(FrameUnavailable):
        await wish.granted
