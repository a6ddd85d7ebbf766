"""What holds for each page, in dark and light, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.fakes.browser import DESKTOP, PHONE, Tabs, Traffic, axe, picture, settle, unreached, walk
from tests.fakes.home import Home, run_home

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAVIEST = 150_000
"""Bytes of a page, without cameras' pictures."""
PAGES = ("home", "live", "timeline", "observation", "performance", "login", "missing")
WINDOWS = {"desktop": DESKTOP, "phone": PHONE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Home]:
    """One that wants a password."""
    async with run_home(tmp_path_factory.mktemp("guarded"), 1, password="a password of some length") as home:
        yield home


@pytest.fixture(params=PAGES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=WINDOWS)
def window(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest_asyncio.fixture(loop_scope="module")
async def address(name: str, home: Home, guarded: Home, tabs: Tabs) -> str:
    if name == "missing":
        tabs.expect(r"/no/such/page\b.*404|404.*/no/such/page")
    paths = {
        "home": "/",
        "observation": f"/observations/{(await home.latest())['id']}",
        "missing": "/no/such/page",
    }
    return (guarded if name == "login" else home).url + paths.get(name, f"/{name}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_whole_and_sound(tabs: Tabs, address: str, name: str, scheme, window: str):
    page = await tabs.open(size=WINDOWS[window], scheme=scheme)
    traffic = await settle(page, address)
    await picture(page, f"page-{name}-{window}-{scheme}")
    _weighed(traffic)
    await _is_a_document(page)
    await _fits(page)
    await axe(page)


async def test_everything_is_reached_by_keyboard(tabs: Tabs, address: str, name: str, window: str):
    page = await tabs.open(size=WINDOWS[window])
    await settle(page, address)
    stops = await walk(page)
    assert await unreached(page, stops) == []
    assert [stop.what for stop in stops if not stop.marked] == [], "the focus is not seen"
    assert [f"{stop.what}: {stop.instead}" for stop in stops if stop.instead] == [], "not seen when it has the focus"
    assert stops[0].what == 'a "To the content"'


@pytest.mark.parametrize("home", [30], indirect=True, ids=["thirty cameras"])
async def test_thirty_cameras(tabs: Tabs, home: Home, window: str):
    page = await tabs.open(size=WINDOWS[window])
    traffic = await settle(page, home.url)
    await picture(page, f"page-home-thirty-{window}-light")
    _weighed(traffic)
    await _fits(page)
    await axe(page)


def _weighed(traffic: Traffic) -> None:
    sizes = traffic.sizes()
    total = sum(sizes.values())
    print(f"{total / 1000:.1f} kB: {sizes}")
    assert 0 < total <= HEAVIEST, f"{total} bytes: {sizes}"


async def _is_a_document(page: Page) -> None:
    facts = await page.evaluate("""() => ({
      lang: document.documentElement.lang,
      title: document.title,
      titles: [...document.querySelectorAll("h1")].filter(h1 => h1.checkVisibility()).map(h1 => h1.innerText),
      main: document.querySelectorAll("main").length,
      mode: document.compatMode,
    })""")
    assert (facts["lang"], facts["main"], facts["mode"]) == ("en", 1, "CSS1Compat")
    assert facts["title"].endswith("camscribe")
    assert len(facts["titles"]) == 1, facts["titles"]
    assert facts["titles"][0].strip()


async def _fits(page: Page) -> None:
    """Nothing is scrolled sideways, and nothing that can't be scrolled stands out of the window."""
    out = await page.evaluate("""() => {
      const width = document.documentElement.clientWidth
      const wide = [...document.body.querySelectorAll("*")].filter(one => one.getBoundingClientRect().right > width + 1)
      const scrolled = one => one && (getComputedStyle(one).overflowX !== "visible" || scrolled(one.parentElement))
      return {
        scrolls: document.scrollingElement.scrollWidth > width,
        wide: wide.filter(one => !scrolled(one.parentElement)).map(one => one.outerHTML.slice(0, 100)),
      }
    }""")
    assert out == {"scrolls": False, "wide": []}
