from __future__ import annotations

import asyncio
import logging

import httpx
import pytest

from tests.fakes.website import Website


async def test_a_bug_is_told_in_the_log_and_not_to_the_caller(site: Website, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> tuple[str, str]:
        raise RuntimeError("secret-marker")

    site.house._engine = broken
    with caplog.at_level(logging.ERROR):
        answer = await site.client.get("/api/v1/home")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret-marker" not in answer.text
    assert "secret-marker" in caplog.text
    assert site.desk.counters.value("bugs_total", part="web") == 1


async def test_what_to_do_is_said(site: Website) -> None:
    answer = await site.client.get("/api/v1/observations", params={"from": "2026-11-29"})
    assert (answer.status_code, "such as 2026-11-29T00:00:00Z" in answer.json()["detail"]) == (422, True)
    answer = await site.client.patch("/api/v1/home", content=b'{"paused": true}', headers={"Content-Type": "x/y"})
    assert (answer.status_code, "application/json" in answer.json()["detail"]) == (422, True)


async def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_bug(
    site: Website, caplog: pytest.LogCaptureFixture
) -> None:
    url = httpx.URL(site.url)
    for path in ("/login", "/api/v1/home", "/api/v1/captions"):
        _, writer = await asyncio.open_connection(url.host, url.port)
        head = f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: 9\r\n"
        writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nu".encode())
        await writer.drain()
        writer.close()
    assert (await site.client.get("/healthz")).status_code == 200
    assert site.desk.counters.value("bugs_total") == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/home", 405), ("GET", "/docs", 404), ("GET", "/redoc", 404)],
)
async def test_what_is_not_there_is_a_problem(site: Website, method: str, path: str, status: int) -> None:
    answer = await site.client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
