"""Observations as a file to take away."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from agent.errors import JournalUnavailable
from agent.values import Answer
from agent.web import export
from tests.fakes.website import Website

EXPORT = "/api/v1/observations/export"


async def table(site: Website, **params: Any) -> list[dict[str, str]]:
    answer = await site.client.get(EXPORT, params={"format": "csv", **params})
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_json_is_an_array_of_all_of_them(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 4)
    made: list[Any] = []
    for count in range(10):
        answer = await site.client.get(EXPORT)
        assert json.loads(answer.text) == made
        assert answer.headers["content-type"] == "application/json"
        assert len(await table(site)) == count
        made.insert(0, (await site.see(caption=f"Look {count}.")).model_dump(mode="json"))


async def test_it_is_a_file_with_a_date_in_its_name(site: Website) -> None:
    for format_, media in (("json", "application/json"), ("csv", "text/csv; charset=utf-8")):
        answer = await site.client.get(EXPORT, params={"format": format_})
        today = site.desk.clock.now().wall.astimezone().date()
        name = f"camscribe-observations-{today}.{format_}"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["content-type"] == media


async def test_filters_hold_for_it(site: Website) -> None:
    for camera in ("door", "yard", "door"):
        await site.see(camera)
    assert len((await site.client.get(EXPORT, params={"camera": "door"})).json()) == 2
    assert [row["camera"] for row in await table(site, camera="yard")] == ["yard"]
    for wrong in ({"format": "xml"}, {"limit": "9"}, {"from": "2026-11-22T00:00"}):
        assert (await site.client.get(EXPORT, params=wrong)).status_code == 422


async def test_a_row_tells_all_of_an_observation(site: Website) -> None:
    answers = {"person": Answer(value=True, confidence=0.97), "cars": Answer(value=-2), "where": Answer(value=None)}
    good = await site.see(caption='"A red car",\nhe said; größer.', answers=answers, prompt="What?")
    failed = await site.see(caption=None)
    second, first = await table(site)
    assert (first["id"], first["caption"], first["prompt"]) == (good.id, good.caption, "What?")
    assert first["taken_at"] == good.model_dump(mode="json")["taken_at"]
    assert (first["answers.person"], first["answers.person.confidence"]) == ("yes", "0.97")
    assert (first["answers.cars"], first["answers.cars.confidence"]) == ("-2", "")
    assert first["truncated"] == "no"
    assert first["picture.sha256"] == good.picture.sha256 if good.picture else ""
    assert (second["id"], second["caption"], second["error.kind"]) == (failed.id, "", "timeout")
    assert second["error.message"] == "It did not answer."
    assert (second["answers.person"], second["picture.width"]) == ("", "")


async def test_no_text_is_a_formula(site: Website) -> None:
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "\n@x"]
    for start in starts:
        await site.see(caption=start, answers={"note": Answer(value=start)}, prompt=f"{start} there")
    for row, start in zip(await table(site), reversed(starts), strict=True):
        assert (row["caption"], row["answers.note"], row["prompt"]) == (f"'{start}", f"'{start}", f"'{start} there")
    for caption, told in (
        ("A = b - c.", "A = b - c."),
        ("\ufeff=1", "'=1"),
        ("\x00\u200b@x", "'@x"),
        ("A dog; =cmd|calc", "A dog; '=cmd|calc"),
        ("Zwei Hunde; ein Auto.", "Zwei Hunde; ein Auto."),
    ):
        await site.see("yard", caption=caption)
        assert (await table(site, camera="yard"))[0]["caption"] == told


async def test_what_is_deleted_under_way_is_left_out(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    made = [await site.see(caption=f"Look {number}.") for number in range(6)]
    pages = await export.pages(site.journal, export.Filter())
    seen = [each.caption for each in await anext(pages)]
    await site.journal.delete(made[2].id)
    async for page in pages:
        seen += [each.caption for each in page]
    assert seen == ["Look 5.", "Look 4.", "Look 3.", "Look 1.", "Look 0."]


async def test_a_journal_that_cant_be_read_is_a_problem_and_no_file(
    site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> Any:
        raise JournalUnavailable("The disk is full.")

    monkeypatch.setattr(site.journal, "find", broken)
    answer = await site.client.get(EXPORT)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
