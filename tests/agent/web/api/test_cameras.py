from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.errors import Failure, FrameUnavailable
from tests.fakes.waiting import eventually
from tests.fakes.website import Website


async def test_cameras_are_told_in_the_configs_order(site: Website) -> None:
    seen = await site.see("yard", caption="A dog.")
    await site.see("yard", caption=None)
    cameras = (await site.client.get("/api/v1/cameras")).json()["cameras"]
    assert [(camera["id"], camera["name"]) for camera in cameras] == [("door", "Door"), ("yard", "Yard")]
    assert cameras[0]["last"] is None
    assert cameras[1]["last"] == seen.model_dump(mode="json")
    assert cameras[1]["failing"]["kind"] == "timeout"
    assert cameras[1] == (await site.client.get("/api/v1/cameras/yard")).json()


@pytest.mark.parametrize("name", ["attic", "Door", "..", "%2e%2e", "door%00", "x" * 5000])
@pytest.mark.parametrize("what", ["", "/picture"])
async def test_an_unknown_camera_is_a_problem(site: Website, name: str, what: str) -> None:
    answer = await site.client.get(f"/api/v1/cameras/{name}{what}")
    assert answer.status_code == (400 if "%" in name else 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert len(answer.text) < 500


async def test_a_look_is_answered_with_its_observation(site: Website) -> None:
    answer = await site.client.post("/api/v1/cameras/door/look")
    assert answer.status_code == 200
    look = answer.json()
    assert (look["camera"], look["caption"], look["reason"], look["ad_hoc"]) == ("door", "A cat.", "http", False)
    (kept,) = await site.journal.recent(5)
    assert look == kept.model_dump(mode="json")


async def test_another_prompt_is_asked_alone(site: Website) -> None:
    answer = await site.client.post("/api/v1/cameras/door/look", json={"prompt": "Is it open?"})
    assert (answer.json()["prompt"], answer.json()["ad_hoc"]) == ("Is it open?", True)


async def test_a_look_that_failed_is_an_answer(site: Website) -> None:
    def give() -> Any:
        raise FrameUnavailable(Failure.UNREACHABLE, "Nobody is there.")

    site.house.cameras["door"].source.give = give
    answer = await site.client.post("/api/v1/cameras/door/look")
    assert (answer.status_code, answer.json()["error"]) == (
        200,
        {"kind": "unreachable", "message": "Nobody is there."},
    )


@pytest.mark.parametrize("body", [{"prompt": ""}, {"prompt": "x" * 4001}, {"prompts": "x"}, [], "x", {"prompt": 1}])
async def test_a_prompt_that_is_none_is_refused(site: Website, body: Any) -> None:
    answer = await site.client.post("/api/v1/cameras/door/look", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "x" * 100 not in answer.text


async def test_too_many_looks_at_once_are_refused(site: Website) -> None:
    site.desk.captioner.gate.clear()
    asked = [
        asyncio.create_task(site.client.post("/api/v1/cameras/door/look", json={"prompt": f"Number {number}"}))
        for number in range(8)
    ]
    await eventually(lambda: len(site.house.cameras["door"].pending()) == 8)
    answer = await site.client.post("/api/v1/cameras/door/look", json={"prompt": "One more"})
    assert answer.status_code == 409
    assert "Too many looks" in answer.json()["detail"]
    site.desk.captioner.gate.set()
    assert {(await each).status_code for each in asked} == {200}


async def test_what_is_set_is_told(site: Website) -> None:
    wanted = {"enabled": False, "every": "5m", "prompt": "Who is there?", "captioner": ["default"]}
    camera = (await site.client.patch("/api/v1/cameras/door", json=wanted)).json()
    assert [camera[key] for key in wanted] == [False, 300.0, "Who is there?", ["default"]]
    assert camera == (await site.client.get("/api/v1/cameras/door")).json()
    assert (await site.client.patch("/api/v1/cameras/door", json={})).json() == camera


@pytest.mark.parametrize(
    ("wanted", "status", "told"),
    [
        ({"every": "soon"}, 409, "30s, 5m or 1h"),
        ({"captioner": ["nobody"]}, 409, "There is no captioner 'nobody'"),
        ({"captioner": []}, 422, "captioner"),
        ({"enabled": "perhaps"}, 422, "enabled"),
        ({"prompt": "   "}, 409, "prompt"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
async def test_what_cant_be_set_is_refused(site: Website, wanted: Any, status: int, told: str) -> None:
    answer = await site.client.patch("/api/v1/cameras/door", json=wanted)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True)


async def test_the_last_picture_is_that_of_the_last_good_look(site: Website) -> None:
    assert (await site.client.get("/api/v1/cameras/door/picture")).status_code == 404
    seen = await site.see("door")
    await site.see("door", caption=None)
    answer = await site.client.get("/api/v1/cameras/door/picture")
    assert answer.content == await site.journal.picture(seen)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, no-cache"
    tag = answer.headers["etag"]
    again = await site.client.get("/api/v1/cameras/door/picture", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
