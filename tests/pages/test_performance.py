"""The performance page in a real browser: whole before its script, live with it, told to everybody."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.fakes.browser import DESKTOP, PHONE, Tabs, axe, picture, settle
from tests.fakes.figured import failure, lived_in, look, sample
from tests.fakes.website import Website, website

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAMERAS = ("front_door", "driveway", "garage", "yard")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Website]:
    """That has run for a day."""
    async with website(tmp_path_factory.mktemp("figures"), CAMERAS, figures=lived_in(CAMERAS)) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def young(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Website]:
    """That has just been started."""
    async with website(tmp_path_factory.mktemp("young")) as site:
        yield site


async def pause(page: Page) -> None:
    """Its time stands still until the test lets it pass."""
    await page.clock.install()


@pytest.mark.parametrize(
    ("window", "size", "scheme"),
    [("hour", DESKTOP, "light"), ("day", DESKTOP, "dark"), ("day", PHONE, "light"), ("hour", PHONE, "dark")],
    ids=["hour-desktop-light", "day-desktop-dark", "day-phone-light", "hour-phone-dark"],
)
async def test_a_day_is_seen_at_a_glance(tabs: Tabs, site: Website, window, size, scheme):
    page = await tabs.open(size=size, scheme=scheme)
    traffic = await settle(page, f"{site.url}/performance?window={window}")
    await picture(page, f"performance-{window}-{'phone' if size == PHONE else 'desktop'}-{scheme}")
    assert 0 < sum(traffic.sizes().values()) < 150_000
    await axe(page)
    for name in ("latency", "queue", "memory"):
        drawn = page.locator(f"#{name} svg[role=img]")
        assert await drawn.get_attribute("aria-label")
        assert (await drawn.bounding_box())["height"] > 150
        assert await page.locator(f"#{name} path").first.get_attribute("d")
    assert await page.locator("#latency .gap").count() == (2 if window == "day" else 0)  # in the drawing and its key
    for kind in ("overtaken by a fresher one", "too old when their turn came", "too old for an output"):
        await expect(page.get_by_text(kind, exact=False).first).to_be_visible()


async def test_it_is_whole_without_its_script(tabs: Tabs, site: Website):
    tabs.expect(r"/static/\S+ \(csp\)")  # that is how the browser is kept from it
    page = await tabs.open(java_script_enabled=False)
    await page.goto(f"{site.url}/performance")
    await expect(page.locator("#latency path.part-image")).to_be_visible()
    await page.get_by_role("link", name="Last day").click()
    assert page.url.endswith("/performance?window=day")
    await page.get_by_role("combobox", name="Camera").select_option("Yard")
    await page.get_by_role("button", name="Show").click()
    assert page.url.endswith("?window=day&camera=yard")
    assert await page.locator(".each tbody tr").count() == 1
    await page.get_by_role("link", name="Last hour").click()
    assert page.url.endswith("?window=hour&camera=yard")


async def test_one_camera_is_chosen_and_left_again(page: Page, site: Website):
    await page.goto(f"{site.url}/performance")
    await page.get_by_role("link", name="Garage").click()
    await page.wait_for_url("**/performance?window=hour&camera=garage")
    await expect(page.get_by_text("Means of the looks of Garage")).to_be_visible()
    await page.get_by_role("combobox", name="Camera").select_option("All cameras")
    await page.wait_for_url("**/performance?window=hour&camera=")
    assert await page.locator(".each tbody tr").count() == len(CAMERAS)


async def test_the_moment_that_is_pointed_at_is_told_in_every_drawing(page: Page, site: Website):
    await page.goto(f"{site.url}/performance")
    usual = await page.locator("#latency [data-key=total]").inner_text()
    await page.locator("#latency .plot").hover(position={"x": 300, "y": 60})
    when = await page.locator("#latency .when").inner_text()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\N{EN DASH}\d\d:\d\d:\d\d", when)
    assert await page.locator("#memory .when").inner_text() == when
    assert await page.locator("#latency .cursor").get_attribute("x") != "-1"
    assert re.fullmatch(r"\d+ MB", await page.locator("#memory [data-key=memory-0]").inner_text())
    await page.mouse.move(5, 5)
    await expect(page.locator("#latency .when")).to_have_text("the whole hour")
    await expect(page.locator("#latency [data-key=total]")).to_have_text(usual)


async def test_the_moment_is_chosen_by_keyboard_and_said(page: Page, site: Website):
    await page.goto(f"{site.url}/performance")
    slider = page.get_by_role("slider", name="The moment whose values are told")
    await slider.focus()
    await page.keyboard.press("ArrowLeft")
    said = await slider.get_attribute("aria-valuetext")
    assert re.match(r"\d\d:\d\d:\d\d: Getting the frame \d+ ms, .*Mean look", said)
    await page.keyboard.press("ArrowLeft")
    assert await slider.get_attribute("aria-valuetext") != said
    await page.keyboard.press("Escape")
    await expect(page.locator("#latency .when")).to_have_text("the whole hour")


async def test_each_drawing_is_a_table_as_well(page: Page, site: Website):
    await page.goto(f"{site.url}/performance")
    for name, head in (("latency", "Model writes"), ("queue", "Dropped: overtaken"), ("memory", "camscribe")):
        await page.locator(f"#{name} summary").click()
        table = page.locator(f"#{name} table")
        await expect(table.get_by_role("columnheader", name=head)).to_be_visible()
        assert await table.locator("tbody tr").count() == 12


async def test_it_is_live(tabs: Tabs, young: Website):
    page = await tabs.open()
    await pause(page)
    await page.goto(f"{young.url}/performance")
    await expect(page.get_by_text("Since the start at")).to_be_visible()
    await expect(page.locator(".tiles dd").first).to_have_text("0")
    summary = page.locator("#latency summary")
    await summary.click()
    young.figures.looked(look("door", image=300, generate=120))
    young.figures.looked(failure("yard"))
    young.figures._take(sample(1))
    await page.clock.run_for(11_000)
    await expect(page.locator(".tiles dd").first).to_have_text("2")
    await expect(page.locator(".tiles")).to_contain_text("1 failed")
    await expect(page.locator(".each tbody tr").first).to_contain_text(
        "Model reads picture and prompt: 300 ms of 420 ms"
    )
    assert await page.locator("#latency details").get_attribute("open") is not None
    assert await summary.evaluate("summary => summary === document.activeElement")


async def test_an_end_of_camscribe_is_said_and_its_return_too(tabs: Tabs, young: Website):
    tabs.expect("/performance")
    page = await tabs.open()
    await pause(page)
    await page.goto(f"{young.url}/performance")
    await page.route("**/performance", lambda route: route.abort())
    await page.clock.run_for(11_000)
    await expect(page.locator("#lost")).to_have_text("The connection is lost; trying again …")
    await page.unroute("**/performance")
    await page.clock.run_for(11_000)
    await expect(page.locator("#lost")).to_be_hidden()


async def test_names_that_are_markup_stay_text(page: Page, young: Website):
    hostile = "<img src=x onerror=alert(1)>\"'&"
    young.figures.looked(look(hostile, image=300))
    young.house.cameras["door"].settings = young.house.cameras["door"].settings.model_copy(update={"name": hostile})
    await page.goto(f"{young.url}/performance")
    await expect(page.get_by_role("link", name=hostile)).to_have_count(2)
    assert await page.locator("main img").count() == 0
    await page.get_by_role("link", name=hostile).last.click()
    await expect(page.get_by_text(f"Means of the looks of {hostile}")).to_be_visible()
