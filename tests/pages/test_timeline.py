"""The timeline and the page of one observation in a browser."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from agent.errors import Failure
from agent.plugin import Answer, Observation
from tests.fakes.browser import PHONE, Tabs, axe, picture, settle
from tests.fakes.furnished import Furnished, furnished

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def home(tmp_path: Path) -> AsyncIterator[Furnished]:
    async with furnished(tmp_path) as home:
        yield home


@pytest.fixture
def tabs(home: Furnished, tabs: Tabs) -> Tabs:
    """Closed before the home is, or they would complain."""
    return tabs


def seen(page: Page, one: Observation) -> Locator:
    return page.locator(f'[data-id="{one.id}"]')


async def watched(page: Page, home: Furnished, query: str = "") -> Page:
    """With its stream open."""
    async with page.expect_response("**/api/v1/stream"):
        await page.goto(f"{home.site.url}/timeline{query}")
    return page


async def some(home: Furnished, count: int, camera: str = "garage", **facts) -> list[Observation]:
    """Oldest first, the newest just now."""
    now = datetime.now(UTC)
    return [await home.past(camera, now - timedelta(seconds=count - number), **facts) for number in range(count)]


async def test_the_day_is_seen_at_a_glance(tabs: Tabs, home: Furnished):
    now = datetime.now(UTC)
    for hours in range(12, 0, -1):
        await home.past("front_door", now - timedelta(hours=hours))
        await home.past("driveway", now - timedelta(hours=hours - 0.4))
    await home.past_failure("garage", Failure.UNREACHABLE, "The camera can't be reached. Look after its cable.", now)
    for size, scheme in (((1280, 800), "light"), (PHONE, "dark")):
        page = await tabs.open(size=size, scheme=scheme)
        await settle(page, f"{home.site.url}/timeline?day=all")
        await picture(page, f"timeline-{size[0]}-{scheme}")
        await axe(page)
        strips = "all => all.map(one => one.offsetHeight - one.querySelector('img').offsetHeight)"
        assert max(await page.locator(".seen .picture:has(img)").evaluate_all(strips)) == 0, "grey beside a picture"


async def test_what_is_filtered_can_be_bookmarked(page: Page, home: Furnished):
    person = await home.past("front_door", caption="A man waves.", answers={"person": Answer(value=True)})
    nobody = await home.past("front_door", caption="A red car.", answers={"person": Answer(value=False)})
    garage = await home.past("garage", caption="A bicycle.")
    await page.goto(f"{home.site.url}/timeline")
    await expect(page.locator(".seen")).to_have_count(3)
    await page.get_by_label("Answer").select_option("person:yes")
    await expect(page).to_have_url(f"{home.site.url}/timeline?day=today&answer=person%3Ayes")
    await expect(page.locator(".seen")).to_have_count(1)
    await expect(seen(page, person)).to_be_visible()
    await page.get_by_role("link", name="Without filters").click()
    await page.locator("summary", has_text="All cameras").click()
    await page.get_by_role("checkbox", name="Garage").check()
    await page.get_by_role("checkbox", name="Driveway").check()
    await page.get_by_role("button", name="Show").click()
    await expect(page).to_have_url(f"{home.site.url}/timeline?day=today&camera=driveway&camera=garage")
    await expect(seen(page, garage)).to_be_visible()
    await expect(page.locator(".seen")).to_have_count(1)
    await page.goto(f"{home.site.url}/timeline")
    await page.get_by_role("searchbox", name="Search").fill("red")
    await page.keyboard.press("Enter")
    await expect(page.locator(".seen")).to_have_count(1)
    await expect(seen(page, nobody)).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("searchbox", name="Search")).to_have_value("red")
    await expect(page.locator(".seen")).to_have_count(1)


async def test_it_works_without_scripts(tabs: Tabs, home: Furnished):
    tabs.expect(r"/static/.*\(csp\)")  # how Chromium calls it that they are off
    made = await some(home, 70)
    page = await tabs.open(java_script_enabled=False)
    await page.goto(f"{home.site.url}/timeline")
    await expect(page.locator(".seen")).to_have_count(60)
    await page.get_by_role("link", name="Earlier ones").click()
    await expect(page.locator(".seen")).to_have_count(10)
    await expect(seen(page, made[0])).to_be_visible()
    await page.get_by_role("searchbox", name="Search").fill("nothing like that")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_text("Nothing was found")).to_be_visible()
    await expect(page.locator("button.delete")).to_have_count(0)


async def test_days_are_leafed_through(page: Page, home: Furnished):
    now = datetime.now(UTC)
    before = await home.past("garage", now - timedelta(days=3))
    today = await home.past("garage", now)
    await page.goto(f"{home.site.url}/timeline")
    await page.get_by_role("link", name="Earlier:").click()  # over two days without anything
    await expect(seen(page, before)).to_be_visible()
    await expect(seen(page, today)).to_have_count(0)
    await page.get_by_role("link", name="Later: Today").click()
    await expect(seen(page, today)).to_be_visible()
    await page.get_by_label("Day", exact=True).select_option("all")
    await expect(page.locator(".seen")).to_have_count(2)


async def test_more_come_as_one_scrolls(page: Page, home: Furnished):
    made = await some(home, 150)
    await page.goto(f"{home.site.url}/timeline?day=all")
    await expect(page.locator(".seen")).to_have_count(60)
    while await page.locator("#more").is_visible():
        await page.locator("#more").scroll_into_view_if_needed()
        await page.mouse.wheel(0, 4000)
        await page.wait_for_timeout(50)
    order = await page.locator(".seen").evaluate_all("all => all.map(one => one.dataset.id)")
    assert order == [one.id for one in reversed(made)]
    hours = await page.locator(".hour").evaluate_all("all => all.map(one => one.dataset.hour)")
    assert len(hours) == len(set(hours))


async def test_new_ones_come_in_above(page: Page, home: Furnished):
    await watched(page, home)
    await expect(page.get_by_text("Nothing yet today")).to_be_visible()
    first = await home.past("garage")
    await expect(seen(page, first)).to_be_visible()
    await expect(page.get_by_text("Nothing yet today")).to_have_count(0)
    second = await home.past("front_door")
    await expect(page.locator(".seen").first).to_have_attribute("data-id", second.id)
    await expect(page.locator("#count")).to_have_text("2")


async def test_who_reads_further_down_is_not_disturbed(page: Page, home: Furnished):
    await some(home, 60)
    await watched(page, home)
    await page.mouse.wheel(0, 900)
    await page.wait_for_function("scrollY > 800")
    middle = page.locator(".seen").nth(20)
    place = await middle.bounding_box()
    new = await home.past("garage")
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    assert await middle.bounding_box() == place
    await expect(seen(page, new)).to_have_count(0)
    await page.get_by_role("button", name="1 new").click()
    await expect(seen(page, new)).to_be_in_viewport()


async def test_only_what_the_filters_find_comes_in(page: Page, home: Furnished):
    await watched(page, home, "?camera=garage&q=cat")
    await home.past("front_door", caption="A cat.")
    await home.past("garage", caption="A dog.")
    wanted = await home.past("garage", caption="A cat in a garage.")
    await expect(seen(page, wanted)).to_be_visible()
    await expect(page.locator(".seen")).to_have_count(1)


async def test_one_is_deleted_after_a_question(page: Page, home: Furnished):
    made = await some(home, 3)
    await page.goto(f"{home.site.url}/timeline")
    button = seen(page, made[1]).get_by_role("button", name="Delete")
    await button.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete this observation?")
    await expect(dialog).to_contain_text("Garage")
    await expect(dialog.get_by_role("button", name="Keep")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(button).to_be_focused()
    await button.click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.locator(".seen")).to_have_count(2)
    await expect(seen(page, made[0]).get_by_role("button", name="Delete")).to_be_focused()
    await expect(page.locator("#said")).to_have_text("Deleted.")
    assert await home.site.journal.get(made[1].id) is None
    assert await home.site.journal.get(made[0].id) is not None


async def test_all_that_the_filters_find_is_deleted_and_no_more(page: Page, home: Furnished):
    garage = await some(home, 70)
    front = await some(home, 2, "front_door")
    await page.goto(f"{home.site.url}/timeline?camera=garage")
    await page.get_by_role("button", name="Delete these").click()
    dialog = page.get_by_role("dialog", name="Delete 70 observations?")
    await expect(dialog).to_be_visible()
    await picture(page, "timeline-delete", whole=False)
    await axe(page)
    later = await home.past("garage")  # seen while one thinks about it
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.locator(".seen")).to_have_count(1)
    assert await home.site.journal.get(later.id) is not None
    assert await home.site.journal.get(front[0].id) is not None
    assert await home.site.journal.get(garage[0].id) is None


async def test_nothing_left_is_said_as_on_a_fresh_page(page: Page, home: Furnished):
    failed = [await home.past_failure("garage", Failure.UNREACHABLE, "Its cable.", datetime.now(UTC)) for _ in range(3)]
    await home.past("garage", caption="A cat.")

    async def all_is_as_on_a_fresh_page() -> None:
        await expect(page.get_by_text("Nothing was found")).to_be_visible()
        await expect(page.get_by_text("Try other words")).to_be_visible()
        await expect(page.locator("#count")).to_have_text("0")
        await expect(page.get_by_role("button", name="Delete these")).to_be_hidden()
        assert await page.get_by_label("Day", exact=True).evaluate("day => day.selectedOptions[0].text") == "Today (0)"

    await watched(page, home, "?outcome=error")
    await page.get_by_role("button", name="Delete these").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_have_accessible_name("Delete 3 observations?")
    await dialog.get_by_role("button", name="Delete").click()
    await all_is_as_on_a_fresh_page()
    assert await home.site.journal.get(failed[0].id) is None
    await watched(page, home, "?outcome=error")
    async with page.expect_response("**/timeline?outcome=error"):
        await home.past("garage", caption="A dog.")  # it has no place here
    await page.wait_for_timeout(200)
    await all_is_as_on_a_fresh_page()
    await picture(page, "timeline-nothing")
    await watched(page, home, "?q=cat")
    await page.locator(".seen").get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete").click()
    await all_is_as_on_a_fresh_page()
    one = await home.past("garage", caption="A second cat.")
    await expect(seen(page, one)).to_be_visible()
    await expect(page.get_by_text("Nothing was found")).to_have_count(0)
    await expect(page.get_by_role("button", name="Delete these")).to_be_visible()
    await page.get_by_label("Outcome").select_option("error")
    await expect(page).to_have_url(f"{home.site.url}/timeline?q=cat&day=today&outcome=error")


async def test_a_deletion_that_fails_is_said_in_the_dialog(tabs: Tabs, page: Page, home: Furnished):
    tabs.expect("503")
    (made,) = await some(home, 1)
    await page.goto(f"{home.site.url}/timeline")
    problem = {"type": "about:blank", "title": "x", "status": 503, "detail": "The disk is full."}
    await page.route(
        f"**/api/v1/observations/{made.id}",
        lambda route: route.fulfill(status=503, body=json.dumps(problem), content_type="application/problem+json"),
    )
    await seen(page, made).get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("alert")).to_have_text("The disk is full.")
    await page.get_by_role("button", name="Keep").click()
    await expect(seen(page, made)).to_be_visible()


async def test_it_is_taken_away_as_a_file(page: Page, home: Furnished, tmp_path: Path):
    made = await some(home, 3)
    await some(home, 2, "front_door")
    await page.goto(f"{home.site.url}/timeline?camera=garage")
    files = {}
    for name in ("JSON", "CSV"):
        async with page.expect_download() as download:
            await page.get_by_role("link", name=name, exact=True).click()
        files[name] = tmp_path / name
        await (await download.value).save_as(files[name])
    assert [one["id"] for one in json.loads(files["JSON"].read_text())] == [one.id for one in reversed(made)]
    rows = list(csv.DictReader(files["CSV"].read_text(encoding="utf-8-sig").splitlines()))
    assert [row["id"] for row in rows] == [one.id for one in reversed(made)]


async def test_one_observation_with_all_that_belongs_to_it(tabs: Tabs, home: Furnished):
    made = await some(home, 3, "front_door")
    for size, scheme in (((1280, 800), "dark"), (PHONE, "light")):
        page = await tabs.open(size=size, scheme=scheme)
        await settle(page, f"{home.site.url}/observations/{made[1].id}")
        await expect(page.locator(".said")).to_have_text(made[1].caption)
        await expect(page.locator(".big img")).to_have_js_property("naturalWidth", made[1].picture.width)
        await page.get_by_text("The record as JSON").click()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the JSON widens the page"
        assert await page.locator("pre").evaluate("pre => pre.scrollWidth > pre.clientWidth")
        await picture(page, f"observation-{size[0]}-{scheme}")
        await axe(page)
        await page.get_by_role("link", name="Earlier").click()
        await expect(page).to_have_url(f"{home.site.url}/observations/{made[0].id}")
        await page.get_by_role("link", name="Later").click()
        await page.get_by_role("link", name="Later").click()
        await expect(page).to_have_url(f"{home.site.url}/observations/{made[2].id}")


async def test_what_the_model_got_is_shown_when_it_is_asked_for(tabs: Tabs, page: Page, home: Furnished):
    tabs.expect(r"/sent.*404|404.*/sent")
    kept, gone = await home.past("front_door", sent=home.sent), await home.past("front_door")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/sent") else None)
    await settle(page, f"{home.site.url}/observations/{kept.id}")
    assert asked == []
    await page.get_by_text("What the model got").click()
    await expect(page.locator("#sent img")).to_have_js_property("naturalWidth", 96)
    assert asked == [f"{home.site.url}/api/v1/observations/{kept.id}/sent"]
    await page.goto(f"{home.site.url}/observations/{gone.id}")
    await page.get_by_text("What the model got").click()
    await expect(page.get_by_text("It was not kept, or it has been removed.")).to_be_visible()


async def test_an_observation_is_deleted_from_its_own_page(page: Page, home: Furnished):
    made = await some(home, 2)
    await page.goto(f"{home.site.url}/observations/{made[1].id}")
    await page.get_by_role("button", name="Delete this observation").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page).to_have_url(f"{home.site.url}/observations/{made[0].id}")
    assert await home.site.journal.get(made[1].id) is None
