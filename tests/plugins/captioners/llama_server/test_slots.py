"""The slots are lent one caption each."""

from __future__ import annotations

import asyncio

import pytest

from agent.plugin import CaptionUnavailable, Failure
from plugins.captioners.llama_server.slots import Slots


async def test_never_more_are_lent_than_there_are_and_who_waits_gets_the_first_free_one():
    slots, at_once, most = Slots(3), 0, 0

    async def caption(number: int) -> int:
        nonlocal at_once, most
        async with slots.lent(bytes([number]), 10) as slot:
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)
            at_once -= 1
            return slot.id

    used = await asyncio.gather(*(caption(number) for number in range(50)))
    assert most == 3
    assert set(used) == {0, 1, 2}


async def test_picture_goes_back_to_the_slot_that_holds_it():
    slots = Slots(3)
    homes = {}
    for picture in (b"a", b"b", b"c"):
        async with slots.lent(picture, 1) as slot:
            homes[picture] = slot.id
    assert sorted(homes.values()) == [0, 1, 2]
    for picture in (b"c", b"a", b"b"):
        async with slots.lent(picture, 1) as slot:
            assert slot.id == homes[picture]


async def test_new_picture_takes_the_slot_that_was_left_alone_the_longest():
    slots = Slots(2)
    for picture in (b"a", b"b", b"a"):
        async with slots.lent(picture, 1):
            await asyncio.sleep(0.001)
    async with slots.lent(b"new", 1) as slot, slots.lent(b"a", 1) as other:
        assert (slot.id, other.id) == (1, 0)


async def test_slot_that_was_left_in_the_middle_is_the_last_to_be_used():
    slots = Slots(2)
    async with slots.lent(b"a", 1) as left:
        left.asked = True  # and no answer came
    async with slots.lent(b"a", 1) as other:
        assert other.id != left.id
        async with slots.lent(b"a", 1) as again:
            assert again.id == left.id


async def test_whoever_finds_none_free_in_time_is_told_so_and_takes_none_away():
    slots = Slots(1)
    async with slots.lent(b"a", 1):
        with pytest.raises(CaptionUnavailable, match=r"busy with other pictures for 0\.01 s") as caught:
            async with slots.lent(b"b", 0.01):
                pytest.fail("it was lent twice")
        assert caught.value.kind is Failure.ENGINE_TIMEOUT
    async with slots.lent(b"c", 0.1) as slot:
        assert slot.id == 0


async def test_cancelled_in_the_middle_it_comes_back():
    slots = Slots(1)

    async def hold() -> None:
        async with slots.lent(b"a", 1):
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with slots.lent(b"b", 0.1):
        pass
