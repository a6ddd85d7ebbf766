"""POST /api/v1/captions: good and bad pictures, over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from agent.errors import CaptionUnavailable, Failure
from agent.visitor import MOST
from agent.web import uploads
from tests.fakes.looking import desk
from tests.fakes.visiting import bad_pictures, jpeg, text, visitor
from tests.fakes.waiting import eventually
from tests.fakes.website import Website, website

GOOD = text(jpeg())
URL = "/api/v1/captions"


def problem(response: httpx.Response, status: int) -> str:
    """Its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    return response.json()["detail"]


async def post(site: Website, image: Any = GOOD, **more: Any) -> httpx.Response:
    return await site.client.post(URL, json={"image": image, **more})


async def test_a_picture_is_captioned_and_forgotten(tmp_path: Path):
    async with website(tmp_path) as site:
        response = await post(site, prompt="What is it?", max_tokens=9, captioner="default")
        assert response.status_code == 200, response.text
        seen = response.json()
        assert (seen["caption"], seen["camera"], seen["prompt"]) == ("A cat.", "live-page", "What is it?")
        assert seen["picture"]["path"] is None
        assert site.desk.captioner.requests[0].max_tokens == 9
        assert (await post(site, text(jpeg(), url=False))).json()["caption"] == "A cat."
        assert await site.desk.recorded() == []
        assert set(site.house.state.cameras) == {"door", "yard"}
        assert (await site.client.get(f"/api/v1/observations/{seen['id']}")).status_code == 404


async def test_why_a_caption_failed_is_an_answer(tmp_path: Path):
    def down(_request: object) -> str:
        raise CaptionUnavailable(Failure.ENGINE, "It is down.")

    async with website(tmp_path) as site:
        site.desk.captioner.say = down
        response = await post(site)
        assert (response.status_code, response.json()["error"]) == (200, {"kind": "engine", "message": "It is down."})


async def test_each_bad_picture_is_refused_with_what_is_wrong_and_the_next_good_one_is_served(tmp_path: Path):
    status = {"damaged": 400, "too_large": 413, "format": 415}
    pictures = await asyncio.to_thread(bad_pictures)
    async with website(tmp_path) as site:
        for name, data, kind in pictures:
            detail = problem(await post(site, await asyncio.to_thread(text, data)), status[kind])
            assert len(detail) < 200, name
        assert "base64" in problem(await post(site, "data:image/png,abc"), 400)
        assert "base64" in problem(await post(site, "not base64!"), 400)
        assert site.desk.captioner.requests == []
        assert (await post(site)).status_code == 200


@pytest.mark.parametrize("announced", [True, False])
async def test_a_huge_body_is_refused_before_it_is_read_to_its_end(tmp_path: Path, announced: bool):
    sent = 0

    async def body():
        nonlocal sent
        yield b'{"image": "'
        for _ in range(200):
            sent += 1
            yield b"A" * 100_000

    async with website(tmp_path) as site:
        headers = {"Content-Type": "application/json"}
        if announced:
            response = await site.client.post(URL, content=b"A" * (uploads.MOST_BODY + 1), headers=headers)
        else:
            response = await site.client.post(URL, content=body(), headers=headers)
            assert sent * 100_000 > uploads.MOST_BODY
        assert "12 MiB" in problem(response, 413)
        assert (await post(site)).status_code == 200


async def test_what_it_does_not_know_it_does_not_look_at(tmp_path: Path):
    """To refuse a hundred thousand keys one by one would stop everything for half a minute."""
    many = {"image": GOOD, **{str(number): 1 for number in range(100_000)}}
    async with website(tmp_path) as site:
        assert (await site.client.post(URL, json=many)).status_code == 200
        assert (await site.client.patch("/api/v1/home", json=many)).status_code == 413


async def test_a_request_that_is_none_is_refused_with_a_sentence(tmp_path: Path):
    async with website(tmp_path) as site:
        for body, said in (
            ({}, "image: Field required"),
            ({"image": 3}, "image: "),
            ({"image": GOOD, "prompt": ""}, "prompt: "),
            ({"image": GOOD, "prompt": " "}, "prompt: "),
            ({"image": GOOD, "prompt": "x" * 4001}, "prompt: "),
            ({"image": GOOD, "max_tokens": 0}, "max_tokens: "),
            ([], ""),
        ):
            detail = problem(await site.client.post(URL, json=body), 422)
            assert detail.startswith(said)
            assert len(detail) < 500
        for raw in (b"", b"{", b'{"image": "\xff"}', b'{"image": "' + GOOD.encode() + b'", "prompt": "\\ud800"}'):
            problem(await site.client.post(URL, content=raw, headers={"Content-Type": "application/json"}), 422)
        assert "no captioner 'x'" in problem(await post(site, captioner="x"), 409)
        good = json.dumps({"image": GOOD}).encode()
        plain = await site.client.post(URL, content=good, headers={"Content-Type": "text/plain"})
        assert "application/json" in problem(plain, 415)
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        assert "compressed" in problem(await site.client.post(URL, content=gzip.compress(good), headers=headers), 415)
        assert site.desk.captioner.requests == []


async def test_of_ten_at_once_the_rest_is_told_to_come_back_and_a_client_that_goes_frees_its_place(tmp_path: Path):
    async with website(tmp_path) as site:
        site.desk.captioner.gate.clear()
        asked = [asyncio.create_task(post(site)) for _ in range(10)]
        await eventually(lambda: sum(task.done() for task in asked) == 10 - MOST, 10)
        busy = [task.result() for task in asked if task.done()]
        assert {response.headers["retry-after"] for response in busy} == {"1"}
        assert "4 pictures are being captioned already" in problem(busy[0], 429)
        await eventually(lambda: site.desk.captioner.requests and len(site.desk.queue) == MOST - 1, 10)
        for task in asked:
            task.cancel()  # their connections close
        await asyncio.wait(asked)
        await eventually(lambda: len(site.desk.queue) == 0, 10)
        await eventually(lambda: site.desk.counters.value("captions_failed_total", kind="stopped") == 1, 10)
        site.desk.captioner.gate.set()
        assert (await post(site)).json()["caption"] == "A cat."


async def test_a_body_that_never_ends_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "READ_WITHIN", 0.1)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async with desk(tmp_path) as house:
        guest = visitor(house)
        slow = Request({"type": "http", "method": "POST", "headers": []}, receive)
        asked = [asyncio.create_task(uploads.captioned(slow, guest, json.loads)) for _ in range(MOST)]
        await eventually(lambda: guest._inside == MOST)
        for told in await asyncio.gather(*asked, return_exceptions=True):
            assert (told.status, told.detail) == (408, "The picture did not arrive within 0.1 s.")
        assert guest._inside == 0
        assert (await guest.caption(jpeg())).caption == "A cat."
        guest.close()


async def test_a_cameras_look_goes_on_beside_ten_bad_pictures(tmp_path: Path):
    pictures = await asyncio.to_thread(lambda: [text(data) for _, data, _ in bad_pictures()])
    async with website(tmp_path) as site:
        bad = asyncio.gather(*(post(site, image) for image in pictures))
        look = await asyncio.wait_for(site.client.post("/api/v1/cameras/door/look"), 5)
        assert look.json()["caption"] == "A cat."
        assert {response.status_code for response in await bad} <= {400, 413, 415, 429}


async def test_paused_is_paused_here_too(tmp_path: Path):
    async with website(tmp_path) as site:
        await site.client.patch("/api/v1/home", json={"paused": True})
        assert "paused" in problem(await post(site), 409)


async def test_who_can_be_asked(tmp_path: Path):
    async with website(tmp_path) as site:
        assert (await site.client.get("/api/v1/captioners")).json() == {
            "captioners": [
                {
                    "name": "default",
                    "use": "llama_server",
                    "model": "ScriptedCaptioner",
                    "state": "ready",
                    "running": True,
                }
            ]
        }
        described = (await site.client.get("/openapi.json")).json()["paths"][URL]["post"]
        assert "image" in described["requestBody"]["content"]["application/json"]["schema"]["properties"]
        assert {"400", "413", "415", "422", "429"} <= set(described["responses"])
