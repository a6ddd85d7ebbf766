"""Observations over HTTP: found, paged through, looked at, deleted."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
from PIL import Image

from agent.values import Answer, Geometry, Observation, PictureFacts, SentFacts
from agent.web.api.observations import THUMBNAILS
from tests.fakes.observations import observation
from tests.fakes.website import Website

ABOUT = "/api/v1/observations"
PARTS = ("", "/picture", "/thumbnail", "/sent")
SENT = b"\xff\xd8 what the model got \xff\xd9"


def jpeg(width: int, height: int, shade: int) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).point(lambda value: value ^ shade).convert("RGB").save(
        made, "JPEG"
    )
    return made.getvalue()


async def seen(site: Website, picture: bytes, sent: bytes | None = SENT, **facts: Any) -> Observation:
    """With the facts of its pictures as they are."""
    made = observation(**facts)
    image = Image.open(io.BytesIO(picture))
    shown = PictureFacts(width=image.width, height=image.height, sha256=hashlib.sha256(picture).hexdigest())
    about = SentFacts(width=96, height=96, geometry=Geometry.SQUARE, sha256=hashlib.sha256(sent or b"").hexdigest())
    made = made.model_copy(update={"picture": shown, "sent": about})
    return await site.journal.record(made, picture, sent)


async def found(site: Website, **params: Any) -> list[str]:
    answer = await site.client.get(ABOUT, params=params)
    assert answer.status_code == 200, answer.text
    return [each["caption"] for each in answer.json()["observations"]]


def told(made: Sequence[Observation]) -> list[Any]:
    return [each.model_dump(mode="json") for each in made]


def assert_problem(answer: httpx.Response, status: int, *words: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    for word in words:
        assert word in answer.json()["detail"]
    assert len(answer.text) < 1500


async def test_pages_follow_one_another_to_the_end(site: Website) -> None:
    made = [await site.see(caption=f"Look {number}.") for number in range(7)][::-1]
    pages, cursor = [], None
    while True:
        params = {"limit": 3, **({"before": cursor} if cursor else {})}
        page = (await site.client.get(ABOUT, params=params)).json()
        pages.append(page["observations"])
        if (cursor := page["next"]) is None:
            break
        await site.see(caption="Meanwhile.")  # what is new moves no page
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [each for page in pages for each in page] == told(made)
    full = (await site.client.get(ABOUT, params={"limit": 9})).json()
    assert (len(full["observations"]), full["next"]) == (9, None)


async def test_an_empty_journal_is_an_empty_page(site: Website) -> None:
    assert (await site.client.get(ABOUT)).json() == {"observations": [], "next": None}
    assert (await site.client.get("/api/v1/days")).json() == {"days": []}


async def test_each_filter_narrows(site: Website) -> None:
    person, count = {"person": Answer(value=True)}, {"person": Answer(value=False), "cars": Answer(value=2)}
    await site.see("door", caption="A red car.", answers=person)
    await site.see("yard", caption="A red dog: runs.", answers=count)
    await site.see("attic", caption=None)
    middle = site.desk.clock.now().wall
    await site.see("door", caption="Redwood.", answers={"where": Answer(value="at: the door")})
    assert await found(site, camera="yard") == ["A red dog: runs."]
    assert await found(site, camera=["door", "attic", "door"]) == ["Redwood.", None, "A red car."]
    assert await found(site, q="red") == ["Redwood.", "A red dog: runs.", "A red car."]
    assert await found(site, q="red ca") == ["A red car."]
    assert await found(site, outcome="error") == [None]
    assert await found(site, outcome="caption", camera="attic") == []
    assert await found(site, answer="person:yes") == ["A red car."]
    assert await found(site, answer=["person:no", "cars:2"]) == ["A red dog: runs."]
    assert await found(site, answer="where:at: the door") == ["Redwood."]
    assert await found(site, **{"from": middle.isoformat()}) == ["Redwood."]
    assert len(await found(site, to=middle.isoformat())) == 3
    assert await found(site, camera="door", q="red", answer="person:yes", to=middle.isoformat()) == ["A red car."]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"from": "2026-11-22T18:00:00"}, "from: write the time with its zone"),
    ({"to": "2026-11-22"}, "to: write the time with its zone"),
    ({"from": "yesterday"}, "from: "),
    ({"from": "2026-11-23T00:00:00Z", "to": "2026-11-22T00:00:00Z"}, "'from' is later than 'to'"),
    ({"limit": 0}, "limit: "),
    ({"limit": 201}, "limit: "),
    ({"before": "17"}, "before: "),
    ({"before": "s"}, "before: "),
    ({"before": "s-1"}, "before: "),
    ({"before": "s" + "9" * 30}, "before: "),
    ({"before": "s1 OR 1=1"}, "before: "),
    ({"q": "x" * 201}, "q: "),
    ({"answer": "person"}, "answer"),
    ({"answer": ":yes"}, "answer"),
    ({"answer": ["a:b"] * 11}, "answer"),
    ({"camera": "x" * 101}, "camera"),
    ({"camera": ["x"] * 101}, "camera"),
    ({"outcome": "good"}, "outcome: "),
    ({"cam": "door"}, "cam: "),
]
HOSTILE = ('"', "a OR b", "NEAR(a", "%", "_", "*", "^a", "caption:a", "red\0car", "'; --", "\U0001f600", "(" * 200)


async def test_what_cant_be_asked_is_refused(site: Website) -> None:
    for params, words in REFUSED:
        assert_problem(await site.client.get(ABOUT, params=params), 422, words)


async def test_a_hostile_search_is_only_a_search(site: Website) -> None:
    await site.see(caption="A red car.")
    for q in HOSTILE:
        for path in (ABOUT, "/api/v1/days", f"{ABOUT}/export"):
            answer = await site.client.get(path, params={"q": q})
            assert answer.status_code == 200, (q, answer.text)
    assert (await site.client.get(f"{ABOUT}?q=%ff%ed%a0%80&camera=%00")).status_code == 200
    assert len(await found(site)) == 1


async def test_one_is_told_as_it_was_recorded(site: Website) -> None:
    made = await site.see(caption="<script>alert(1)</script>")
    answer = await site.client.get(f"{ABOUT}/{made.id}")
    assert answer.json() == made.model_dump(mode="json")
    assert answer.headers["content-type"] == "application/json"


async def test_an_unknown_one_is_a_problem(site: Website) -> None:
    for what in PARTS:
        assert_problem(await site.client.get(f"{ABOUT}/{observation().id}{what}"), 404, "There is no such")


async def test_what_is_no_id_is_refused(site: Website) -> None:
    for name in ("1", "x" * 36, "%2e%2e%2f%2e%2e%2fjournal.sqlite3", "..%5c..", "%00", "export.json", "-1"):
        for what in PARTS:
            answer = await site.client.get(f"{ABOUT}/{name}{what}")
            assert answer.status_code in {400, 404, 422}
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await site.client.delete(f"{ABOUT}/{name}")).status_code in {400, 404, 422}


async def test_its_pictures_are_those_that_were_kept(site: Website) -> None:
    picture = jpeg(1280, 720, 1)
    made = await seen(site, picture)
    assert made.picture is not None
    assert made.sent is not None
    tags = set()
    for what, content, sha256 in (("picture", picture, made.picture.sha256), ("sent", SENT, made.sent.sha256)):
        answer = await site.client.get(f"{ABOUT}/{made.id}/{what}")
        assert answer.content == content
        assert answer.headers["etag"] == f'"{sha256}"'
        tags.add(answer.headers["etag"])
        assert_lasting(answer)
    small = await site.client.get(f"{ABOUT}/{made.id}/thumbnail")
    assert_lasting(small)
    image = Image.open(io.BytesIO(small.content))
    assert (image.format, image.size) == ("JPEG", (320, 180))
    assert len(small.content) < 20_000
    assert len(tags | {small.headers["etag"]}) == 3


def assert_lasting(answer: httpx.Response) -> None:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_who_has_a_picture_already_is_told_so(site: Website) -> None:
    made = await seen(site, jpeg(64, 48, 2))
    for what in PARTS[1:]:
        tag = (await site.client.get(f"{ABOUT}/{made.id}{what}")).headers["etag"]
        again = await site.client.get(f"{ABOUT}/{made.id}{what}", headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        other = await site.client.get(f"{ABOUT}/{made.id}{what}", headers={"If-None-Match": '"other"'})
        assert other.status_code == 200


async def test_a_thumbnail_keeps_the_shape_and_is_never_larger(site: Website) -> None:
    for size, small in (((200, 100), (200, 100)), ((480, 640), (240, 320)), ((1280, 16), (320, 4))):
        made = await seen(site, jpeg(*size, 3))
        answer = await site.client.get(f"{ABOUT}/{made.id}/thumbnail")
        assert Image.open(io.BytesIO(answer.content)).size == small


async def test_a_look_without_pictures_has_none(site: Website) -> None:
    made = await site.see(caption=None)
    for what in ("picture", "thumbnail", "sent"):
        assert_problem(await site.client.get(f"{ABOUT}/{made.id}/{what}"), 404)
    assert (await site.client.get(f"{ABOUT}/{made.id}")).status_code == 200


async def test_a_spoiled_picture_counts_as_none(site: Website) -> None:
    made = await seen(site, jpeg(64, 48, 4))
    assert made.picture is not None
    assert made.picture.path is not None
    path = site.journal.data_dir / "pictures" / made.picture.path
    size = (await asyncio.to_thread(path.stat)).st_size
    await asyncio.to_thread(path.write_bytes, b"\0" * size)
    assert_problem(await site.client.get(f"{ABOUT}/{made.id}/thumbnail"), 404)
    assert site.desk.counters.value("bugs_total") == 0


async def test_a_deleted_one_is_gone_with_its_pictures(site: Website) -> None:
    made, kept = [await seen(site, jpeg(64, 48, shade)) for shade in (5, 6)]
    places = [f"{ABOUT}/{made.id}{what}" for what in PARTS]
    for place in places:
        assert (await site.client.get(place)).status_code == 200
    gone = await site.client.delete(f"{ABOUT}/{made.id}")
    assert (gone.status_code, gone.content) == (204, b"")
    for place in places:
        assert_problem(await site.client.get(place), 404)
        assert_problem(await site.client.get(place, headers={"If-None-Match": "*"}), 404)
    assert_problem(await site.client.delete(f"{ABOUT}/{made.id}"), 404)
    assert (await site.client.get(ABOUT)).json()["observations"] == told([kept])


async def test_those_that_match_are_deleted(site: Website) -> None:
    for number in range(130):
        await site.see("door" if number % 2 else "yard", caption=f"Look {number % 3}.")
    answer = await site.client.delete(ABOUT, params={"camera": "door", "q": "1"})
    assert (answer.status_code, answer.json()) == (200, {"deleted": 22})
    assert len(await found(site, limit=200)) == 108
    assert await found(site, camera="door", q="1") == []
    assert (await site.client.delete(ABOUT, params={"camera": "nobody"})).json() == {"deleted": 0}


async def test_without_a_filter_nothing_is_deleted(site: Website) -> None:
    await site.see()
    unfiltered: list[dict[str, str]] = [{}, {"q": ""}, {"q": " \t\0"}, {"cam": "door"}, {"limit": "9"}]
    for params in [*unfiltered, {"cam": "x", "outcome": "caption"}]:
        assert_problem(await site.client.delete(ABOUT, params=params), 422)
    assert len(await found(site)) == 1


async def test_days_are_counted_under_the_same_filters(site: Website) -> None:
    for camera in ("door", "yard", "door"):
        await site.see(camera)
    today = site.desk.clock.now().wall.astimezone().date()
    days = (await site.client.get("/api/v1/days", params={"camera": "door"})).json()["days"]
    assert [(day["day"], day["count"]) for day in days] in ([(f"{today}", 2)], [(f"{today - timedelta(1)}", 2)])
    later = datetime.now().astimezone() + timedelta(hours=1)
    assert (await site.client.get("/api/v1/days", params={"from": later.isoformat()})).json() == {"days": []}
    assert_problem(await site.client.get("/api/v1/days", params={"limit": "9"}), 422, "limit")


async def test_only_so_many_thumbnails_are_kept() -> None:
    made = type(THUMBNAILS)(most=3)
    for number in range(5):
        assert await made.make(str(number), jpeg(400, 300, number))
    made.get("2")
    await made.make("5", jpeg(400, 300, 9))
    assert [bool(made.get(str(number))) for number in range(6)] == [False, False, True, False, True, True]
