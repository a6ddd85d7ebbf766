"""Logging in and out in a real browser, and what other pages that it has open can't do meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from agent.web.access.store import Store
from tests.fakes.browser import DESKTOP, PHONE, Tabs, axe, picture
from tests.fakes.gate import PASSWORD, USER, hashed_password
from tests.fakes.website import Website, website

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path) -> AsyncIterator[Website]:
    store = Store(tmp_path / "data")
    kept = await asyncio.to_thread(hashed_password)
    await asyncio.to_thread(store.change, lambda none: none.with_user(USER, kept))
    async with website(tmp_path) as found:
        yield found


async def log_in(page: Page, site: Website, path: str = "/") -> None:
    await page.goto(site.url + path)
    await page.get_by_label("User name").fill(USER)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(site.url + path)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
async def test_in_and_out(site: Website, tabs: Tabs, scripts: bool):
    tabs.expect(r"/login.*status of 401|status of 401.*/login")
    if not scripts:
        tabs.expect(r"/static/.*\.js.*\(csp\)")
    page = await tabs.open(java_script_enabled=scripts)
    await page.goto(f"{site.url}/timeline?q=parcel")
    await expect(page).to_have_url(f"{site.url}/login?next=/timeline%3Fq%3Dparcel")
    await page.get_by_label("User name").fill(USER)
    await page.get_by_label("Password").fill("wr0ng")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("This user name or this password is wrong.")
    await expect(page.get_by_label("User name")).to_have_value(USER)
    await expect(page.get_by_label("Password")).to_be_focused()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{site.url}/timeline?q=parcel")
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    await page.get_by_role("contentinfo").get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{site.url}/login")
    assert await page.context.cookies() == []
    await page.goto(site.url)
    await expect(page).to_have_url(f"{site.url}/login")


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
async def test_the_way_out_stands_in_the_head(site: Website, tabs: Tabs, size, scheme):
    page = await tabs.open(size=size, scheme=scheme)
    await log_in(page, site)
    out = page.get_by_role("banner").get_by_role("button", name=f"Log out {USER}")
    box = await out.bounding_box()
    assert box
    assert size[0] - 120 < box["x"] + box["width"] <= size[0]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await picture(page, f"head-{size[0]}-{scheme}", whole=False)
    await axe(page)
    await out.click()
    await expect(page).to_have_url(f"{site.url}/login")


async def test_who_tries_too_often_keeps_the_name(site: Website, tabs: Tabs):
    tabs.expect(r"/login.*status of 4(01|29)|status of 4(01|29).*/login")
    page = await tabs.open()
    await page.goto(f"{site.url}/login")
    await page.get_by_label("User name").fill(USER)
    while "Too many" not in (await page.get_by_role("alert").all_inner_texts() or [""])[0]:
        await page.get_by_label("Password").fill("wr0ng")
        await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"^Too many tries\. Wait \d+ seconds?, then try again\.$")
    )
    await expect(page.get_by_label("User name")).to_have_value(USER)
    await expect(page.get_by_label("Password")).to_be_focused()
    await picture(page, "login-too-often")


@asynccontextmanager
async def another_site(html: str) -> AsyncIterator[str]:
    """The address of a page of another site, on another port of this machine."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + html.encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/"


async def test_a_link_from_another_site_asks_nobody_again(site: Website, tabs: Tabs):
    tabs.expect(r"/timeline.*status of 401|status of 401.*/timeline")
    page = await tabs.open()
    await log_in(page, site)
    async with another_site(f'<a href="{site.url}/timeline?q=parcel">See it</a>') as address:
        await page.goto(address)
        await page.get_by_role("link").click()
        await expect(page).to_have_url(f"{site.url}/timeline?q=parcel")


ATTACK = """async url => {
  const tried = {}
  const asked = async (name, options) => {
    try { tried[name] = (await fetch(url + "/api/v1/home", options)).type } catch { tried[name] = "refused" }
  }
  await asked("read", {credentials: "include"})
  await asked("read blindly", {mode: "no-cors", credentials: "include"})
  await asked("pause", {method: "PATCH", credentials: "include", body: '{"paused": true}'})
  await asked("post blindly", {method: "POST", mode: "no-cors", credentials: "include", body: "{}"})
  for (const [name, path] of [["img", "/static/icon.svg"], ["script", "/static/api.js"], ["iframe", "/"]]) {
    const element = document.createElement(name)
    tried[name] = await new Promise(told => {
      element.onload = () => told(name === "iframe" ? String(element.contentDocument) : "loaded")
      element.onerror = () => told("refused")
      element.src = url + path
      document.body.append(element)
    })
  }
  return tried
}"""


async def test_another_site_can_do_nothing(site: Website, tabs: Tabs):
    for expected in (
        "CORS policy",
        "net::ERR_FAILED",
        "status of 403",
        "NotSameOrigin",
        "frame-ancestors",
        "BLOCKED_BY_RESPONSE",
    ):
        tabs.expect(expected)
    page = await tabs.open()
    await log_in(page, site)
    async with another_site("<!doctype html><title>Cats</title><body>") as address:
        await page.goto(address)
        tried: Any = await page.evaluate(ATTACK, site.url)
    assert site.desk.counters.value("web_refused_total", reason="origin") >= len(tried), "it is not Chromium alone"
    assert tried.pop("iframe") == "null"
    assert {name: what for name, what in tried.items() if what not in ("refused", "opaque")} == {}
    assert not site.house.state.paused
    for path in ("/logout", "/login"):
        form = f'<form method="post" action="{site.url}{path}"><input name="user" value="{USER}">'
        async with another_site(f"{form}<button>Cats</button></form>") as address:
            await page.goto(address)
            async with page.expect_response(site.url + path) as answered:
                await page.get_by_role("button").click()
            assert (await answered.value).status == 403
    await page.goto(site.url)
    await expect(page.get_by_role("banner").get_by_role("button", name="Log out")).to_be_visible()
