from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from agent.web import server, stream
from tests.fakes.waiting import eventually
from tests.fakes.website import Website


async def heard(events: AsyncIterator[Any], kind: str) -> tuple[int | None, Any]:
    """The next of that kind."""
    async with asyncio.timeout(10):
        async for event, id_, data in events:
            if event == kind:
                return id_, data
    raise AssertionError(f"the stream ended without {kind}")


async def test_it_begins_with_the_home_and_its_cameras(site: Website) -> None:
    events = site.events()
    _, home = await heard(events, "home")
    assert home == (await site.client.get("/api/v1/home")).json()
    told = [(await heard(events, "camera"))[1] for _ in range(2)]
    whole = (await site.client.get("/api/v1/cameras")).json()["cameras"]
    assert told == [{key: value for key, value in camera.items() if key != "last"} for camera in whole]


async def test_an_observation_is_told_as_it_is_in_the_journal(site: Website) -> None:
    events = site.events()
    await heard(events, "home")
    seen = await site.see("door", caption="A person \u2028 in red.\n\nevent: home")
    id_, data = await heard(events, "observation")
    assert (id_, data) == (site.journal.latest_seq, seen.model_dump(mode="json"))


async def test_a_camera_is_told_when_it_is_set_and_not_when_it_looks(site: Website) -> None:
    events = site.events()
    for _ in range(2):
        await heard(events, "camera")
    await site.see("door")
    await site.client.patch("/api/v1/cameras/yard", json={"every": "7s"})
    _, told = await heard(events, "camera")
    assert (told["id"], told["every"]) == ("yard", 7.0)


async def test_who_comes_back_gets_what_it_missed_once_and_in_order(site: Website) -> None:
    events = site.events()
    await heard(events, "home")
    await site.see(caption="Number 0")
    last, _ = await heard(events, "observation")
    await events.aclose()
    for number in range(1, 150):
        await site.see(caption=f"Number {number}")
    events = site.events(last)
    told = [await heard(events, "observation") for _ in range(149)]
    await site.see(caption="Number 150")
    told.append(await heard(events, "observation"))
    assert [data["caption"] for _, data in told] == [f"Number {number}" for number in range(1, 151)]
    assert all(after == before + 1 for (before, _), (after, _) in pairwise(told))


async def test_nothing_is_missed_or_told_twice_by_who_comes_back_while_things_happen(site: Website) -> None:
    async def happen() -> None:
        for number in range(120):
            await site.see(caption=f"Number {number}")

    happening = asyncio.create_task(happen())
    last, captions = 0, []
    while len(captions) < 120:
        events = site.events(last)
        for _ in range(min(9, 120 - len(captions))):
            id_, data = await heard(events, "observation")
            assert id_
            last = id_
            captions.append(data["caption"])
        await events.aclose()
    await happening
    assert captions == [f"Number {number}" for number in range(120)]


@pytest.mark.parametrize("last", [10**6, 0])
async def test_too_much_missed_is_a_gap(site: Website, last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_REPLAYED", 3)
    for _ in range(5):
        await site.see()
    events = site.events(last)
    await heard(events, "gap")
    await site.see(caption="Live again.")
    assert (await heard(events, "observation"))[1]["caption"] == "Live again."


@pytest.mark.parametrize("last", ["-1", "x", str(2**63)])
async def test_an_id_that_is_none_is_refused(site: Website, last: str) -> None:
    answer = await site.client.get("/api/v1/stream", headers={"Last-Event-ID": last})
    assert answer.status_code == 422


async def test_a_camera_that_has_gone_is_told(site: Website) -> None:
    events = site.events()
    await heard(events, "home")
    del site.house.cameras["yard"]
    site.house.touch()
    assert (await heard(events, "removed"))[1] == {"camera": "yard"}


async def test_a_listener_who_goes_is_forgotten_and_the_next_starts_at_now(site: Website) -> None:
    events = site.events()
    await heard(events, "home")
    assert site.stream.listeners == 1
    await events.aclose()
    async with asyncio.timeout(10):
        while site.stream.listeners:
            await asyncio.sleep(0.01)
            await site.see(caption="Into the void")
    events = site.events()
    await heard(events, "home")
    await site.see(caption="Heard.")
    assert (await heard(events, "observation"))[1]["caption"] == "Heard."


async def test_a_slow_listener_is_dropped_and_the_others_hear_everything(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STALLED_AFTER", 0.5)
    monkeypatch.setattr(stream, "MOST_WAITING", 50)
    slow = socket.create_connection(httpx.URL(site.url).netloc.decode().split(":"))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    events = site.events()
    await heard(events, "home")
    await eventually(lambda: site.stream.listeners == 2)
    number = 0
    async with asyncio.timeout(60):
        while site.stream.listeners > 1:
            await site.see(caption=f"Number {number}", prompt="x" * 60_000)
            assert (await heard(events, "observation"))[1]["caption"] == f"Number {number}"
            number += 1
    slow.close()
    assert number > 3
    counters = site.desk.counters
    # Whichever comes first.
    dropped = counters.value("listeners_dropped_total", reason="slow")
    assert dropped + counters.value("web_connections_cut_total", reason="stalled") >= 1


async def test_there_is_an_end_to_how_many_listen(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_LISTENERS", 1)
    events = site.events()
    await heard(events, "home")
    answer = await site.client.get("/api/v1/stream")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


async def test_silence_is_broken_by_a_heartbeat(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.1)
    async with asyncio.timeout(10), site.client.stream("GET", "/api/v1/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store, no-transform"
        async for line in response.aiter_lines():
            if line == ": still here":
                break
