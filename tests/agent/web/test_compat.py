"""The prototype's two endpoints, as its page and its own tests ask them, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx

from agent.config import parse
from agent.config.grammar import CompatSettings
from agent.controls import Controls
from agent.errors import CaptionUnavailable, Failure
from agent.figures import Figures
from agent.house import House
from agent.registry import Registry
from agent.visitor import MOST
from agent.web import uploads
from agent.web.compat import MOST_HERE, make_compat
from agent.web.server import WebServer
from agent.web.services import Services
from tests.fakes.looking import Desk, NoConfig, ScriptedCaptioner, desk
from tests.fakes.visiting import bad_pictures, jpeg, text, visitor
from tests.fakes.waiting import eventually

PAGE = "http://localhost:5173"
LLAMA, TORCH = "/vlm/process_frame_llamacpp", "/vlm/process_frame"
GOOD = text(jpeg())
PREFLIGHT = {
    "Accept": "*/*",
    "Access-Control-Request-Headers": "content-type",
    "Access-Control-Request-Method": "POST",
    "Origin": PAGE,
    "Referer": PAGE + "/",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-site",
}
"""As Chromium sends it before the page's fetch, and then the fetch:"""
FETCH = {
    "Accept": "*/*",
    "Content-Type": "application/json",
    "Origin": PAGE,
    "Referer": PAGE + "/",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-site",
}


class Named(ScriptedCaptioner):
    """With a model of Transformers'."""

    model = "smolvlm-500m"

    async def caption(self, request):
        caption = await super().caption(request)
        return caption.__class__(**{**{f: getattr(caption, f) for f in caption.__slots__}, "model": self.model})


class Compat:
    def __init__(self, desk: Desk, house: House, torch: Named, client: httpx.AsyncClient) -> None:
        self.desk, self.house, self.torch, self.client = desk, house, torch, client

    async def fetch(self, path: str = LLAMA, **body: Any) -> httpx.Response:
        """As the page does."""
        return await self.client.post(path, json={"image": GOOD, **body}, headers=FETCH)


@cache
def plugins(folder: Path | None) -> Registry:
    return Registry.discover(folder)


@asynccontextmanager
async def compat(folder: Path, **captioners: Any) -> AsyncIterator[Compat]:
    wanted = captioners or {"vlm": {"use": "transformers", "preset": "smolvlm-500m"}}
    async with desk(folder) as made:
        cameras = {"door": {"source": "demo"}}
        given = {"data_dir": str(folder), "model": {"preset": "tiny"}, "captioners": wanted, "cameras": cameras}
        config = await asyncio.to_thread(parse, given, discover=plugins)
        controls = Controls(config.data_dir, keep=False)
        house = House("0", made.queue, lambda: ("ready", ""), controls, made.clock, made.counters)
        guest = visitor(made, house, lambda: config.captioners)
        torch = Named(NoConfig(), made.context)
        torch.say = lambda _request: "A dog, says Transformers."
        made.start("vlm", torch)
        guest._engines.put("vlm", torch)
        services = Services(
            config=lambda: config,
            house=house,
            journal=made.journal,
            counters=made.counters,
            clock=made.clock,
            figures=Figures(made.clock, made.counters),
            visitor=guest,
            status=dict,
        )
        app = await asyncio.to_thread(make_compat, services, CompatSettings(port=0))
        server = WebServer(app, "127.0.0.1", 0, made.clock)
        serving = asyncio.create_task(server.run())
        try:
            url = await eventually(lambda: server.url)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
                yield Compat(made, house, torch, client)
        finally:
            serving.cancel()
            await asyncio.wait({serving})
            guest.close()


def detail(response: httpx.Response, status: int) -> str:
    """The whole error is its detail, and the page may read it."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"detail"}
    return response.json()["detail"]


async def test_the_answer_has_the_prototypes_form(tmp_path: Path):
    async with compat(tmp_path) as page:
        began = datetime.now()  # noqa: DTZ005 (the prototype's timestamps are local, and don't say so)
        page.desk.clock.jump((datetime.now(UTC) - page.desk.clock.now().wall).total_seconds())
        response = await page.fetch(prompt="What is it?", custom_query="What?", response_length="medium", language="en")
        assert response.status_code == 200, response.text
        answer = response.json()
        assert {key: answer[key] for key in ("status", "caption", "model")} == {
            "status": "success",
            "caption": "A cat.",
            "model": "smolvlm-llamacpp",
        }
        assert set(answer) == {"status", "caption", "model", "timestamp", "latency_ms"}
        assert isinstance(answer["latency_ms"], float)
        at = datetime.fromisoformat(answer["timestamp"])
        assert at.tzinfo is None
        assert abs(at - began) < timedelta(seconds=20)
        other = (await page.fetch(TORCH)).json()
        assert (other["caption"], other["model"]) == ("A dog, says Transformers.", "smolvlm-500m")
        asked = page.desk.captioner.requests + page.torch.requests
        assert [request.prompt for request in asked] == ["What is it?", "Describe this image briefly."]
        assert (await page.fetch(image=text(jpeg(), url=False), prompt="")).status_code == 200
        assert page.desk.captioner.requests[-1].prompt == "Describe this image briefly."


async def test_a_browser_asks_whether_it_may_and_then_does(tmp_path: Path):
    async with compat(tmp_path) as page:
        for path in (LLAMA, TORCH):
            may = await page.client.options(path, headers=PREFLIGHT)
            assert may.status_code == 200
            assert may.headers["access-control-allow-origin"] == PAGE
            assert may.headers["access-control-allow-methods"] == "POST"
            assert may.headers["access-control-allow-headers"] == "content-type"
            assert "Origin" in may.headers["vary"]
            near = await page.client.options(
                path, headers={**PREFLIGHT, "Access-Control-Request-Private-Network": "true"}
            )
            assert near.headers["access-control-allow-private-network"] == "true"
            fetched = await page.fetch(path)
            assert fetched.headers["access-control-allow-origin"] == PAGE
            assert "Origin" in fetched.headers["vary"]
            for answer in (may, near, fetched):
                assert "access-control-allow-credentials" not in answer.headers
                assert "set-cookie" not in answer.headers


async def test_pages_of_other_origins_are_kept_out_and_the_log_names_them_once(tmp_path: Path, caplog):
    caplog.set_level(logging.INFO, "camscribe.web")
    origins = ("http://localhost:5174", "https://localhost:5173", "null", "http://evil.example", "*")
    async with compat(tmp_path) as page:
        for origin in origins:
            may = await page.client.options(LLAMA, headers={**PREFLIGHT, "Origin": origin})
            simple = {**FETCH, "Origin": origin, "Content-Type": "text/plain"}  # sent without asking first
            did = await page.client.post(LLAMA, content=json.dumps({"image": GOOD}), headers=simple)
            for answer in (may, did):
                assert origin in detail(answer, 403)
                assert "access-control-allow-origin" not in answer.headers
        said = [record.getMessage() for record in caplog.records if "kept out" in record.getMessage()]
        assert [origin in line for origin, line in zip(origins, said, strict=True)] == [True] * len(origins)
        assert page.desk.captioner.requests == []


async def test_another_name_for_this_machine_is_refused_and_its_addresses_are_not(tmp_path: Path):
    async with compat(tmp_path) as page:
        for host in ("evil.example", "evil.example:5001", "localhost.evil.example", ""):
            answer = await page.client.post(LLAMA, json={"image": GOOD}, headers={"Host": host})
            assert "web.names" in detail(answer, 421)
        for host in ("localhost:5001", "127.0.0.1", "192.168.1.5:5001", "[::1]:5001"):
            answer = await page.client.post(LLAMA, json={"image": GOOD}, headers={"Host": host})
            assert answer.status_code == 200


async def test_without_a_browser_no_origin_is_needed(tmp_path: Path):
    async with compat(tmp_path) as page:
        assert (await page.client.post(LLAMA, json={"image": GOOD})).json()["status"] == "success"


async def test_there_is_nothing_else(tmp_path: Path):
    paths = ("/", "/vlm", "/vlm/process_frame/", "/docs", "/openapi.json", "/api/v1/cameras", "/x" * 99)
    async with compat(tmp_path) as page:
        for path in paths:
            for method in ("GET", "POST"):
                assert "POST /vlm/process_frame" in detail(await page.client.request(method, path), 404)
        assert "POST" in detail(await page.client.get(LLAMA), 405)
        assert "POST" in detail(await page.client.put(LLAMA), 405)


async def test_bad_pictures_have_a_detail_that_the_page_may_read(tmp_path: Path):
    status = {"damaged": 400, "too_large": 413, "format": 400}
    pictures = await asyncio.to_thread(lambda: [(text(data), kind) for _, data, kind in bad_pictures()])
    async with compat(tmp_path) as page:
        for image, kind in [*pictures, ("no base64!", "damaged")]:
            answer = await page.fetch(image=image)
            assert detail(answer, status[kind])
            assert answer.headers["access-control-allow-origin"] == PAGE
        too_much = await page.client.post(LLAMA, content=b" " * (uploads.MOST_BODY + 1), headers=FETCH)
        assert "12 MiB" in detail(too_much, 413)
        for body in (b"", b"{", b"[]", b"{}", b'{"image": null}', b'{"image": "%s", "prompt": 1}' % GOOD.encode()):
            assert detail(await page.client.post(LLAMA, content=body, headers=FETCH), 422)
        assert "prompt" in detail(await page.fetch(prompt="x" * 4001), 422)
        assert page.desk.captioner.requests == []


async def test_a_captioner_that_can_not_has_its_own_status_and_says_why(tmp_path: Path):
    async with compat(tmp_path) as page:
        for kind, status in (
            (Failure.ENGINE, 503),
            (Failure.ENGINE_TIMEOUT, 504),
            (Failure.BUDGET, 429),
            (Failure.REFUSED, 400),
            (Failure.NO_ANSWER, 502),
        ):
            page.desk.captioner.say = partial(can_not, kind)
            assert detail(await page.fetch(), status) == "This is why."


def can_not(kind: Failure, _request: object) -> str:
    raise CaptionUnavailable(kind, "This is why.")


async def test_a_bug_is_told_as_one_and_no_more(tmp_path: Path, monkeypatch, caplog):
    def bug(*_more: object) -> None:
        raise ZeroDivisionError("secret")

    async with compat(tmp_path) as page:
        caplog.set_level(logging.CRITICAL + 1)
        monkeypatch.setattr("agent.web.compat._answer", bug)
        answer = await page.fetch()
        assert detail(answer, 500) == "camscribe has a bug there; its log has more."
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert page.desk.counters.value("bugs_total", part="web") == 1


async def test_where_there_is_no_such_captioner_or_all_is_paused_it_is_unavailable(tmp_path: Path):
    async with compat(tmp_path, second={"preset": "tiny"}) as page:
        assert "use: transformers" in detail(await page.fetch(TORCH), 503)
        await page.house._pause("ON")
        assert "paused" in detail(await page.fetch(), 503)


async def test_of_ten_at_once_some_are_told_to_come_back(tmp_path: Path):
    async with compat(tmp_path) as page:
        page.desk.captioner.gate.clear()
        asked = [asyncio.create_task(page.fetch()) for _ in range(10)]
        await eventually(lambda: sum(task.done() for task in asked) == 10 - MOST_HERE, 10)
        page.desk.captioner.gate.set()
        answers = await asyncio.gather(*asked)
        busy = [answer for answer in answers if answer.status_code == 429]
        assert len(busy) == 10 - MOST_HERE
        for answer in busy:
            assert detail(answer, 429)
            assert answer.headers["retry-after"] == "1"
        assert sum(answer.status_code == 200 for answer in answers) == MOST_HERE < MOST
