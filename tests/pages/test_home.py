"""The home page in a browser: a card a camera, kept as things are."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from agent.errors import CaptionUnavailable, Failure
from agent.plugin import Answer
from agent.values import CameraState
from agent.web import words
from agent.web.rendering import shelf
from agent.web.shapes import CameraFacts
from tests.fakes.browser import PHONE, Tabs, axe, picture, settle
from tests.fakes.furnished import CAMERAS, Furnished, furnished

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = """<img src=x onerror="document.title='owned'"><b>bold</b> & "co" """
FILL = "one => getComputedStyle(one, '::before').backgroundColor"
GAPS = """all => all.map(words => {
  const shown = [...words.children].filter(one => one.offsetHeight)
  return shown.at(-1).offsetTop - shown.at(-2).offsetTop - shown.at(-2).offsetHeight
})"""
JUMPS = """() => {
  window.jumps = 0
  new PerformanceObserver(list => list.getEntries().forEach(entry => window.jumps += entry.value))
    .observe({type: "layout-shift", buffered: true})
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def home(tmp_path: Path) -> AsyncIterator[Furnished]:
    async with furnished(tmp_path) as home:
        yield home


@pytest.fixture
def tabs(home: Furnished, tabs: Tabs) -> Tabs:
    """Closed before the home is, or they would complain."""
    return tabs


def card(page: Page, camera: str = "front_door") -> Locator:
    return page.locator(f'[data-camera="{camera}"]')


async def opened(page: Page, home: Furnished) -> Page:
    """With its stream open."""
    async with page.expect_response("**/api/v1/stream"):
        await page.goto(home.site.url)
    return page


async def test_what_a_camera_sees_comes_in_by_itself(page: Page, home: Furnished):
    first = await home.past("front_door", datetime.now(UTC) - timedelta(minutes=3))
    await opened(page, home)
    front = card(page)
    await expect(front.locator(".caption")).to_have_text(first.caption)
    await expect(front.locator("time")).to_have_text("3 min ago")
    second = await home.past(
        "front_door", caption="Somebody rings.", answers={"person": Answer(value=True, confidence=0.97)}
    )
    await expect(front.locator(".caption")).to_have_text("Somebody rings.")
    await expect(front.locator(".answers")).to_have_text("person yes 97 %")
    await expect(front.locator(".latency")).to_have_text(words.milliseconds(second.latency_ms.total))
    await expect(front.locator(f'img[src*="{second.id}/picture"]')).to_be_visible()
    await expect(front.locator("a.picture")).to_have_attribute("href", f"/observations/{second.id}")


async def test_its_age_ticks(page: Page, home: Furnished):
    await home.past("front_door", datetime.now(UTC) - timedelta(seconds=80))
    await page.clock.install(time=datetime.now(UTC))
    await page.goto(home.site.url)
    await expect(card(page).locator("time")).to_have_text("1 min ago")
    await page.clock.run_for(60_000)
    await expect(card(page).locator("time")).to_have_text("2 min ago")


async def test_ages_are_told_by_the_machines_clock(tabs: Tabs, home: Furnished):
    """A tablet on the wall whose clock is off by hours."""
    await home.past("front_door", datetime.now(UTC) - timedelta(seconds=100))
    page = await tabs.open()
    await page.clock.install(time=datetime.now(UTC) + timedelta(hours=5))
    await page.goto(home.site.url)
    await page.clock.run_for(2000)
    await expect(card(page).locator("time")).to_have_text("1 min ago")


async def test_what_a_model_says_later_is_text_too(page: Page, home: Furnished):
    await opened(page, home)
    title = await page.title()
    await home.past("front_door", caption=HOSTILE, answers={"person": Answer(value=HOSTILE)})
    await expect(card(page).locator(".caption")).to_have_text(HOSTILE)
    await expect(card(page).locator(".answers b")).to_have_text(HOSTILE)
    assert await page.title() == title


async def test_a_camera_that_breaks_says_so_and_why_and_recovers(page: Page, home: Furnished):
    await home.past("front_door", datetime.now(UTC) - timedelta(minutes=12))
    await opened(page, home)
    await expect(card(page).locator(".state")).to_have_text("Looks every 30 s")
    home.breaks(
        "front_door", CameraState.GONE, Failure.UNREACHABLE, "The camera can't be reached. Look after its cable."
    )
    await expect(card(page).locator(".state")).to_have_text("Can't be reached")
    await expect(card(page).locator(".problem")).to_have_text("The camera can't be reached. Look after its cable.")
    await expect(card(page).locator("time")).to_have_text("12 min ago")
    await picture(page, "home-offline")
    home.site.house.cameras["front_door"].report(CameraState.LIVE, "")
    await home.past("front_door", caption="All is well.")
    await expect(card(page).locator(".state")).to_have_text("Looks every 30 s")
    await expect(card(page).locator(".problem")).to_be_hidden()


async def test_look_now_looks_and_shows_it(page: Page, home: Furnished):
    await opened(page, home)
    gate = home.site.desk.captioner.gate
    gate.clear()
    button = card(page).get_by_role("button", name="Look now")
    await button.press("Enter")
    busy = card(page).locator("button[aria-busy=true]")
    await expect(busy).to_have_text("1 s …")
    assert await busy.evaluate("button => button === document.activeElement"), "the focus is lost"
    gate.set()
    await expect(card(page).locator(".caption")).to_have_text(home.shown["front_door"].caption)
    await expect(button).to_be_visible()
    await expect(page.locator("#said")).to_have_text(f"Front door: {home.shown['front_door'].caption}")


async def test_a_look_that_fails_says_why_in_its_card(page: Page, home: Furnished):
    await opened(page, home)

    def fail(_request):
        raise CaptionUnavailable(Failure.ENGINE, "The model server is not running.")

    home.site.desk.captioner.say = fail
    await card(page).get_by_role("button", name="Look now").click()
    await expect(card(page).locator(".answer")).to_have_text("The model server is not running.")
    await expect(card(page, "garage").locator(".answer")).to_be_empty()


async def test_a_failure_is_said_once_and_goes_with_the_next_look(tabs: Tabs, page: Page, home: Furnished):
    tabs.expect(r"/look.*ERR_FAILED|ERR_FAILED.*/look")
    words = "The camera can't be reached. Look after its cable."
    await opened(page, home)
    home.breaks("front_door", CameraState.GONE, Failure.UNREACHABLE, words)
    told = card(page).get_by_text(words).locator("visible=true")
    await expect(told).to_have_count(1)
    await card(page).get_by_role("button", name="Look now").click()
    await expect(card(page).locator(".answer")).to_have_text(words)
    await expect(told).to_have_count(1)
    await page.route("**/look", lambda route: route.abort())
    await card(page).get_by_role("button", name="Look now").click()
    await expect(card(page).locator(".answer")).to_have_text("camscribe can't be reached. Is it running?")
    await expect(told).to_have_count(1)
    home.site.house.cameras["front_door"].report(CameraState.LIVE, "")
    await home.past("front_door", caption="All is well.")
    await expect(card(page).locator(".caption")).to_have_text("All is well.")
    await expect(card(page).locator(".answer")).to_be_empty()


async def test_an_answer_is_shown_with_the_frame_that_it_is_about(tabs: Tabs, home: Furnished):
    above = await home.past("nursery")
    home.site.desk.captioner.say = lambda _request: "It is blue."
    for size, scheme in (((1280, 800), "light"), (PHONE, "dark")):
        page = await tabs.open(size=size, scheme=scheme)
        await opened(page, home)
        nursery = card(page, "nursery")
        await nursery.get_by_role("textbox").fill("What colour is the car?")
        await nursery.get_by_role("button", name="Ask").click()
        frame = nursery.get_by_role("img", name="The picture that was asked about")
        await expect(frame).to_have_js_property("naturalWidth", 320)
        assert above.id not in await frame.get_attribute("src")
        await expect(frame).to_be_in_viewport(ratio=1)
        await expect(nursery.get_by_role("link", name="see what it saw")).to_be_in_viewport(ratio=1)
        assert above.id in await nursery.locator(".picture img").get_attribute("src")
        await nursery.get_by_role("switch").uncheck()
        await expect(nursery.locator(".state")).to_have_text("Switched off; looks only when asked")
        await expect(frame).to_be_visible()
        await picture(page, f"home-asked-{size[0]}-{scheme}")
        await axe(page)
        await nursery.get_by_role("switch").check()
        await expect(nursery.locator(".state")).to_have_text("Looks when asked")


async def test_something_else_can_be_asked(page: Page, home: Furnished):
    await opened(page, home)
    asked = []

    def say(request):
        asked.append(request.prompt)
        return "It is blue."

    home.site.desk.captioner.say = say
    field = card(page).get_by_role("textbox", name="Ask Front door something")
    await field.fill("  What colour is the car?  ")
    await card(page).get_by_role("button", name="Ask").click()
    await expect(card(page).locator(".answer")).to_contain_text("What colour is the car?It is blue.")
    await expect(card(page).locator(".caption")).to_be_empty()  # no news of how the camera sees it
    await expect(field).to_have_value("")
    assert asked == ["What colour is the car?"]
    await card(page).locator(".answer a").click()
    await expect(page.locator(".said")).to_have_text("It is blue.")
    await expect(page.get_by_text("with a question of somebody's own")).to_be_visible()


async def test_a_camera_is_switched_off_and_on(page: Page, home: Furnished):
    await home.past("front_door")
    await opened(page, home)
    switch = card(page).get_by_role("switch", name="Front door looks")
    await switch.uncheck()
    await expect(card(page).locator(".state")).to_have_text("Switched off; looks only when asked")
    assert not home.site.house.cameras["front_door"].enabled
    await home.site.house.command("front_door", "enabled", "ON")  # somebody else
    await expect(switch).to_be_checked()
    await expect(card(page).locator(".state")).to_have_text("Looks every 30 s")


async def test_all_cameras_are_paused_at_once(tabs: Tabs, page: Page, home: Furnished):
    tabs.expect(r"/look.*409|409.*/look")
    await opened(page, home)
    switch = page.get_by_role("switch", name="Pause all cameras")
    await switch.press("Space")
    await expect(page.locator("#paused")).to_be_visible()
    await expect(card(page, "driveway").locator(".state")).to_have_text("Paused")
    assert home.site.house.state.paused
    await card(page).get_by_role("button", name="Look now").click()
    await expect(card(page).locator(".answer")).to_contain_text("All cameras are paused")
    await picture(page, "home-paused")
    await axe(page)
    await home.site.house.command(None, "paused", "OFF")
    await expect(switch).not_to_be_checked()
    await expect(page.locator("#paused")).to_be_hidden()


async def test_a_new_camera_gets_its_card_and_a_removed_one_loses_it(page: Page, home: Furnished):
    await opened(page, home)
    await card(page).get_by_role("textbox").fill("Half a quest")
    home.add("shed", name="Shed", every=10.0)
    await expect(card(page, "shed").locator(".state")).to_have_text("Looks every 10 s")
    await home.past("shed", caption="Tools.")
    await expect(card(page, "shed").locator(".caption")).to_have_text("Tools.")
    del home.site.house.cameras["garage"]
    home.site.house.touch()
    await expect(card(page, "garage")).to_have_count(0)
    await expect(card(page).get_by_role("textbox")).to_have_value("Half a quest")


async def test_a_lost_connection_is_said_and_made_up_for(tabs: Tabs, page: Page, home: Furnished):
    tabs.expect(r"stream|ERR_INTERNET_DISCONNECTED|ERR_CONNECTION|/look.*ERR_FAILED|ERR_FAILED.*/look")
    await home.past("front_door", caption="Before.")
    await opened(page, home)
    await expect(page.locator("#rate")).to_have_text("1")
    home.site.stream.end()  # every listener is sent away, and nobody is let in
    await expect(page.locator("#lost")).to_have_text("The connection is lost; trying again …", timeout=15_000)
    assert {await dot.evaluate(FILL) for dot in await page.locator(".state").all()} == {"rgba(0, 0, 0, 0)"}
    await expect(page.locator("#engine")).to_have_text("Engine ready")
    bottom = await page.locator("#lost").evaluate("line => line.getBoundingClientRect().bottom")
    assert bottom <= await page.locator("main").evaluate("main => main.getBoundingClientRect().top"), "it covers things"
    await page.route("**/look", lambda route: route.abort())
    await card(page).get_by_role("button", name="Look now").click()
    await expect(card(page).locator(".answer")).to_have_text("camscribe can't be reached. Is it running?")
    await picture(page, "home-lost", whole=False)
    await page.unroute("**/look")
    await home.past("front_door", caption="Meanwhile.")
    home.site.stream._ended = False
    await expect(page.locator("#lost")).to_be_hidden(timeout=15_000)
    await expect(card(page).locator(".answer")).to_be_empty()
    assert await page.locator("#engine").evaluate(FILL) != "rgba(0, 0, 0, 0)"
    await expect(card(page).locator(".caption")).to_have_text("Meanwhile.")


async def test_nothing_jumps_when_pictures_come(tabs: Tabs, home: Furnished):
    for camera in home.site.house.cameras:
        await home.past(camera)
    for size in ((1280, 800), PHONE):
        page = await tabs.open(size=size)
        await page.add_init_script(f"({JUMPS})()")
        await settle(page, home.site.url)
        newest = [await home.past(camera) for camera in home.site.house.cameras]
        await expect(card(page).locator(f'img[src*="{newest[0].id}/picture"]')).to_be_visible()
        assert await page.evaluate("window.jumps") < 0.01


async def test_odd_pictures_and_texts_look_right(tabs: Tabs, home: Furnished):
    from PIL import Image

    from tests.fakes.furnished import Scene

    long = "a very long sentence about a garden with a tree and a shed, " * 20
    await home.past("front_door", caption=f"{long}Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenfabrik.")
    await home.past("driveway", caption="رجل يقف أمام الباب ويحمل طردًا كبيرًا.")
    await home.past("garage", scene=Scene("A dot.", Image.new("RGB", (1, 1), (200, 30, 30))))
    home.add("portrait", name="x" * 90, area="An area with a rather long name " * 3)
    await home.past("portrait", scene=Scene("Tall.", Image.new("RGB", (90, 320), (30, 90, 200))))
    for size in ((1280, 800), PHONE):
        page = await tabs.open(size=size, scheme="dark")
        await settle(page, home.site.url)
        await picture(page, f"home-odd-{size[0]}")
        heights = await page.locator(".picture:has(img)").evaluate_all(
            "all => all.map(one => one.offsetWidth / one.offsetHeight)"
        )
        assert all(abs(ratio - 16 / 9) < 0.05 for ratio in heights), heights
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        none = await card(page, "nursery").locator(".picture").evaluate("one => one.offsetHeight")
        assert none <= 120 or size != PHONE, "nothing takes as much room as a picture"
        assert max(await page.locator(".camera .words").evaluate_all(GAPS)) < 16, (
            "a card has gaps for a neighbour's sake"
        )
        direction = card(page, "driveway").locator(".caption")
        assert await direction.evaluate("one => getComputedStyle(one).direction") == "rtl"


async def test_thirty_cameras_are_live_without_dropped_frames(tabs: Tabs, tmp_path: Path):
    cameras = {f"camera_{number}": {**CAMERAS["front_door"], "name": f"Camera {number}"} for number in range(30)}
    async with furnished(tmp_path / "thirty", cameras) as home:
        for camera in cameras:
            await home.past(camera)
        page = await tabs.open()
        await settle(page, home.site.url)
        await page.evaluate("""() => {
          window.slow = []
          new PerformanceObserver(list => window.slow.push(...list.getEntries().flatMap(frame => [
            ...frame.scripts.map(script => script.duration),
            frame.startTime + frame.duration - frame.styleAndLayoutStart,
          ]))).observe({type: "long-animation-frame"})
        }""")  # what the page itself takes of a frame: the machine has other things to do
        for _ in range(2):
            newest = [await home.past(camera) for camera in cameras]
        shown = card(page, "camera_0").locator(f'img[src*="{newest[0].id}/picture"]')
        await expect(shown).to_be_visible(timeout=20_000)
        last = card(page, "camera_29")
        await expect(last.locator("a.picture")).to_have_attribute("href", f"/observations/{newest[29].id}")
        assert await page.evaluate("window.slow.filter(ms => ms > 50)") == []
        await last.scroll_into_view_if_needed()
        await expect(last.locator(f'img[src*="{newest[29].id}/picture"]')).to_be_visible()


async def test_script_and_server_say_the_same(page: Page, home: Furnished):
    """static/words.js and agent/web/words.py."""
    info, camera = home.site.house.state.cameras["front_door"], home.site.house.cameras["front_door"]
    facts = CameraFacts.of(info, camera)
    failing = [None, {"kind": Failure.ENGINE_TIMEOUT, "message": "x"}, {"kind": Failure.STOPPED, "message": "x"}]
    times = [(30.0, None), (5400.0, None), (None, "* * * * *"), (None, None)]
    variants = [
        (
            facts.model_copy(
                update={
                    "enabled": enabled,
                    "online": online,
                    "state": state,
                    "failing": failed and dict(failed),
                    "every": every,
                    "cron": cron,
                }
            ),
            paused,
        )
        for enabled, online, paused in itertools.product((True, False), repeat=3)
        for state in CameraState
        for failed in failing
        for every, cron in times
    ]
    variants = [(CameraFacts.model_validate(one.model_dump(warnings=False)), paused) for one, paused in variants]
    ours = [[state.kind, state.words] for state in (words.state(one, paused=paused) for one, paused in variants)]
    await page.goto(home.site.url)
    told = [[json.loads(one.model_dump_json()), paused] for one, paused in variants]
    assert await said(page, "words.js", "([one, paused]) => stateOf(one, paused)", told) == ours
    engines = ["ready", "starting", "failed: No model: none.", "ready (a fallback answers): it is late", "stopped"]
    ours = [[one.kind, one.words] for one in map(words.engine, engines)]
    assert await said(page, "words.js", "one => engineState(one)", engines) == ours
    ms = [0, 7, 999, 1000, 1244, 9994, 10_000, 99_900, 100_000, 3_600_000]
    assert await said(page, "api.js", "one => milliseconds(one)", ms) == [words.milliseconds(one) for one in ms]


async def said(page: Page, module: str, function: str, of: Sequence[object]) -> list[object]:
    """What a function of a page's module says of each. Its own scripts may import it, so may we."""
    url = f"/static/{module}?v={shelf().assets[module].version}"
    names = "stateOf, engineState" if module == "words.js" else "milliseconds"
    return await page.evaluate(
        f"async ([url, of]) => {{ const {{{names}}} = await import(url); return of.map({function}) }}", [url, of]
    )
