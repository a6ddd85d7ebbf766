"""The live page: Chromium's webcam plays known scenes, and what stands on the page is true of them."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page, Request, expect

from agent.schedule import local_zone
from tests.fakes.browser import DESKTOP, PHONE, Tabs, axe, chromium, picture, unreached, walk
from tests.fakes.endpoint import Endpoint, run_endpoint
from tests.fakes.home import Home, run_home
from tests.fakes.scenes import known_scenes
from tests.fakes.tiny_model import MMPROJ, permuted_vocabulary, reworded
from tests.fakes.waiting import eventually
from tests.fakes.webcam import RATE, film

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 0.6
"""Each scene of the film."""
SCENES = known_scenes(4, size=(480, 360))
TRUTHS = [truth for truth, _ in SCENES]
REMEMBER_TRACKS = """() => {
  window.tracks = []
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await real(wanted)
    window.tracks.push(...stream.getTracks())
    return stream
  }
  const stop = MediaStreamTrack.prototype.stop
  MediaStreamTrack.prototype.stop = function () {
    stop.call(this)
    sessionStorage.stopped = Number(sessionStorage.stopped ?? 0) + 1
  }
}"""
PLAY_ON = """() => new Promise(done => {
  const video = document.getElementById("video")
  const count = left => left ? video.requestVideoFrameCallback(() => count(left - 1)) : done()
  count(5)
})"""
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden})
  document.dispatchEvent(new Event("visibilitychange"))
}"""


class Other(NamedTuple):
    """A second captioner: the tiny model in other words."""

    model: Path
    mapping: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    path = tmp_path_factory.mktemp("webcam") / "scenes.y4m"
    async with chromium(film(path, [scene for _, scene in SCENES], SECONDS)) as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint() -> AsyncIterator[Endpoint]:
    async with run_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Other:
    path, mapping = permuted_vocabulary(tmp_path_factory.mktemp("model"), 3)
    return Other(path, mapping)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory, endpoint: Endpoint, other: Other) -> AsyncIterator[Home]:
    captioners = {
        "other": {"use": "llama_server", "model": str(other.model), "mmproj": str(MMPROJ)},
        "remote": {"use": "openai", "url": endpoint.url, "model": "somebody's"},
    }
    async with run_home(tmp_path_factory.mktemp("home"), 1, captioners=captioners) as home:
        yield home


@pytest.fixture(autouse=True)
def endpoint_as_new(endpoint: Endpoint) -> None:
    endpoint.says, endpoint.seconds, endpoint.most = "Nothing of note.", 0.0, 0
    endpoint.asked.clear()


class Asking:
    """The questions that a page puts to camscribe."""

    def __init__(self, page: Page) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.under_way = self.most = 0
        page.on("request", self._begun)
        page.on("requestfinished", self._done)
        page.on("requestfailed", self._done)

    def _begun(self, request: Request) -> None:
        if request.url.endswith("/api/v1/captions"):
            self.bodies.append(json.loads(request.post_data or "{}"))
            self.times.append(time.monotonic())
            self.under_way += 1
            self.most = max(self.most, self.under_way)

    def _done(self, request: Request) -> None:
        self.under_way -= request.url.endswith("/api/v1/captions")


async def live(tabs: Tabs, home: Home, backend: str | None = None, *, start: bool = True, **options: Any) -> Page:
    page = await tabs.open(**{"permissions": ["camera"], **options})
    if backend:
        await page.add_init_script(f"localStorage.setItem('live.backend', {json.dumps(backend)})")
    await page.goto(f"{home.url}/live")
    await expect(page.locator(".backend")).to_have_count(3)
    if start:
        await page.get_by_role("button", name="Start the camera").click()
    return page


async def shown(page: Page, image: str) -> str:
    """The truth about the picture that an <img> or <video> shows."""
    script = """element => {
      const canvas = document.createElement("canvas")
      canvas.width = 48
      canvas.height = 36
      canvas.getContext("2d").drawImage(element, 0, 0, 48, 36)
      return canvas.toDataURL("image/png")
    }"""
    return truth_of(base64.b64decode((await page.locator(image).evaluate(script)).partition(",")[2]))


def truth_of(file: bytes) -> str:
    """Of the scene that the picture is nearest to."""
    with Image.open(io.BytesIO(file)) as made:
        seen = np.asarray(made.convert("RGB").resize((48, 36)), np.float32)
    far = [np.abs(seen - np.asarray(scene.resize((48, 36)), np.float32)).mean() for _, scene in SCENES]
    return TRUTHS[int(np.argmin(far))]


async def test_captions_are_those_of_the_scenes_as_they_change(tabs: Tabs, home: Home):
    page = await live(tabs, home)
    captions = page.locator("#history [data-caption]")
    for truth in TRUTHS:
        await expect(captions.filter(has_text=truth).first).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Stop").click()  # while it runs, what is looked at next is another row
    said = await captions.all_inner_texts()
    assert len(said) >= 4
    for row, caption in enumerate(said, 1):
        assert await shown(page, f"#history li:nth-child({row}) img") == caption
    assert await page.locator("#caption").inner_text() == await shown(page, "#thumbnail") == said[0]


async def test_how_long_it_takes_is_told_part_by_part(tabs: Tabs, home: Home):
    page = await live(tabs, home)
    await expect(page.locator("#pace")).to_have_text(re.compile(r"^real time \d+ ms$"), timeout=20_000)
    parts = await page.locator("#speed tbody td:nth-child(2)").all_inner_texts()
    assert len(parts) == 8
    bars = await page.locator("#chart path").evaluate_all("all => all.map(one => one.getAttribute('d').length)")
    assert sum(length > 0 for length in bars) >= 4
    await page.get_by_role("button", name="Stop").click()
    assert await page.locator("#pace").is_hidden()  # nothing is real time while nothing comes
    total = await page.locator("#last-total").inner_text()
    await page.locator("#chart").focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#which")).not_to_have_text("last")
    await page.keyboard.press("Tab")
    await expect(page.locator("#last-total")).to_have_text(total)


@pytest.mark.parametrize("seconds", [0.0, 1.2])
async def test_frames_never_pile_up(tabs: Tabs, home: Home, endpoint: Endpoint, seconds: float):
    endpoint.seconds = seconds
    page = await live(tabs, home, "remote", start=False)
    asking = Asking(page)
    sent: list[tuple[str, str]] = []
    await page.get_by_role("button", name="Start the camera").click()
    wanted = 16 if seconds == 0 else 4
    while len(asking.bodies) < wanted:
        async with page.expect_request("**/api/v1/captions", timeout=10_000) as asked:
            pass
        if seconds:
            body = json.loads((await asked.value).post_data or "{}")
            sent.append((truth_of(base64.b64decode(body["image"].partition(",")[2])), await shown(page, "#video")))
    assert (asking.most, endpoint.most) == (1, 1)
    # The film has no more pictures to ask about.
    assert asking.times[wanted - 1] - asking.times[0] >= (wanted - 1) / RATE * 0.9
    # What was there when the question before was put would be two scenes ago.
    for of_sent, of_shown in sent:
        assert (TRUTHS.index(of_shown) - TRUTHS.index(of_sent)) % 4 in (0, 1)


async def test_pictures_are_small(tabs: Tabs, home: Home, endpoint: Endpoint):
    page = await live(tabs, home, "remote", start=False)
    asking = Asking(page)
    await page.get_by_role("button", name="Start the camera").click()
    await eventually(lambda: asking.bodies)
    file = base64.b64decode(asking.bodies[0]["image"].removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(file)) as made:
        assert (made.format, made.size) == ("JPEG", (480, 360))
    assert len(file) < 100_000


async def test_another_back_end_takes_over(tabs: Tabs, home: Home, other: Other):
    page = await live(tabs, home)
    rows = page.locator(".backend")
    await expect(rows.nth(0)).to_contain_text("ready")
    assert "llama.cpp, default" in await rows.nth(0).inner_text()
    assert "OpenAI-compatible" in await rows.nth(2).inner_text()
    await expect(page.locator("#history li")).not_to_have_count(0)
    await rows.nth(1).click()
    mapping = other.mapping
    theirs = {reworded(truth, mapping) for truth in TRUTHS}
    await page.wait_for_function(
        "theirs => theirs.includes(document.getElementById('caption').textContent)", arg=list(theirs), timeout=30_000
    )
    await page.get_by_role("button", name="Stop").click()
    assert await page.locator("#caption").inner_text() == reworded(await shown(page, "#thumbnail"), mapping)
    assert "ready" in await rows.nth(1).inner_text()
    assert await page.locator("#chart .switch").count() == 1
    await page.reload()
    await expect(page.get_by_role("radio", name="other")).to_be_checked()


async def test_a_model_that_is_loaded_first_is_waited_for(tabs: Tabs, home: Home):
    page = await live(tabs, home, "remote", start=False)
    told = {"name": "remote", "use": "openai", "model": "m", "state": "starting: 34 %", "running": True}

    async def loading(route):
        await route.fulfill(json={"captioners": [told]})

    await page.route("**/api/v1/captioners", loading)
    failed = {"error": {"kind": "engine", "message": "The model is still loading: 34 %."}}

    async def not_yet(route):
        await route.fulfill(json=failed)

    await page.route("**/api/v1/captions", not_yet)
    await page.get_by_role("button", name="Start the camera").click()
    await expect(page.locator("#chip")).to_contain_text("loading the model, 34 %")
    assert await page.locator("#notice").is_hidden()
    await page.unroute_all()
    await expect(page.locator("#caption")).to_have_text("Nothing of note.")
    await expect(page.locator("#chip")).to_have_text("live")


async def test_the_last_twenty_captions_are_kept(tabs: Tabs, home: Home, endpoint: Endpoint):
    endpoint.says = "Caption {count}."
    page = await live(tabs, home, "remote")
    await expect(page.get_by_text("Caption 22.").first).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Stop").click()
    said = await page.locator("#history [data-caption]").all_inner_texts()
    newest = int(said[0].split()[1].rstrip("."))
    assert said == [f"Caption {newest - back}." for back in range(20)]
    times = await page.locator("#history time").evaluate_all("all => all.map(one => one.dateTime)")
    assert times == sorted(times, reverse=True)
    shown = await page.locator("#history time").all_inner_texts()
    assert shown == [f"{datetime.fromisoformat(time).astimezone(local_zone()):%H:%M:%S}" for time in times]


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> &lt;b&gt; \u202e[x](javascript:1)'


async def test_what_a_model_says_is_text(tabs: Tabs, home: Home, endpoint: Endpoint):
    endpoint.says = HOSTILE
    page = await live(tabs, home, "remote")
    await expect(page.locator("#caption")).to_contain_text("<img src=x")
    await expect(page.locator("#history li")).to_have_count(1)
    assert await page.locator("#caption").evaluate("element => element.children.length") == 0
    assert await page.locator("#history [data-caption]").evaluate("element => element.children.length") == 0
    assert await page.locator("img[src=x]").count() == 0
    assert await page.title() == "Live · camscribe"


async def test_the_prompt_goes_with_the_next_picture_and_is_remembered(tabs: Tabs, home: Home, endpoint: Endpoint):
    page = await live(tabs, home, "remote")
    await eventually(lambda: endpoint.asked)
    assert endpoint.asked[0].prompt == "Describe what you see in one short sentence."
    assert endpoint.asked[0].max_tokens == 60
    await page.get_by_label("Prompt").fill("Is there a dog?")
    await page.get_by_label("Longest answer").select_option("30")
    await eventually(lambda: endpoint.asked[-1].prompt == "Is there a dog?" and endpoint.asked[-1].max_tokens == 30)
    await page.reload()
    await expect(page.get_by_label("Prompt")).to_have_value("Is there a dog?")
    await page.get_by_role("button", name="Back to the first").click()
    await expect(page.get_by_label("Prompt")).to_have_value("Describe what you see in one short sentence.")


async def test_a_no_of_the_server_is_told_and_waited_out(tabs: Tabs, home: Home, endpoint: Endpoint):
    tabs.expect("status of 409")
    page = await live(tabs, home, "remote")
    await expect(page.locator("#pace")).to_be_visible(timeout=20_000)
    (await home.client.patch("/api/v1/home", json={"paused": True})).raise_for_status()
    try:
        await expect(page.locator("#notice")).to_contain_text("paused")
        await expect(page.locator("#notice")).to_contain_text("Trying again in 1 s.")
        await expect(page.locator("#chip")).to_have_text("waiting")
        assert await page.locator("#pace").is_hidden()
    finally:
        await home.client.patch("/api/v1/home", json={"paused": False})
    await expect(page.locator("#notice")).to_be_hidden()
    await expect(page.locator("#chip")).to_have_text("live")


@pytest.mark.parametrize("status", [429, 503])
async def test_who_is_told_to_come_back_later_does(tabs: Tabs, home: Home, status: int):
    tabs.expect(f"status of {status}")
    page = await live(tabs, home, "remote", start=False)
    asking = Asking(page)
    problem = json.dumps({"title": "No", "status": status, "detail": "Too many."})

    async def refuse(route):
        headers = {"Retry-After": "2", "Content-Type": "application/problem+json"}
        await route.fulfill(status=status, headers=headers, body=problem)

    await page.route("**/api/v1/captions", refuse, times=1)
    await page.get_by_role("button", name="Start the camera").click()
    await expect(page.locator("#notice")).to_have_text("Too many. Trying again in 2 s.")
    await expect(page.locator("#caption")).to_have_text("Nothing of note.")
    assert 1.9 < asking.times[1] - asking.times[0] < 4


async def test_who_is_not_logged_in_any_more_gets_to_the_login(tabs: Tabs, home: Home):
    tabs.expect("status of 401")
    page = await live(tabs, home, "remote", start=False)

    async def refuse(route):
        await route.fulfill(status=401, headers={"Content-Type": "application/problem+json"}, body="{}")

    async def login(route):
        await route.fulfill(content_type="text/html", body="<title>Login</title>")

    await page.route("**/api/v1/captions", refuse)
    await page.route("**/login?*", login)
    await page.get_by_role("button", name="Start the camera").click()
    await page.wait_for_url("**/login?next=%2Flive")


async def test_nothing_is_asked_while_nobody_looks(tabs: Tabs, home: Home, endpoint: Endpoint):
    page = await tabs.open(permissions=["camera"])
    await page.clock.install()
    await page.add_init_script(f"({REMEMBER_TRACKS})()")
    await page.add_init_script("localStorage.setItem('live.backend', 'remote')")
    asking = Asking(page)
    await page.goto(f"{home.url}/live")
    await page.get_by_role("button", name="Start the camera").click()
    await eventually(lambda: len(asking.bodies) > 3)
    await page.evaluate(HIDE, True)
    await eventually(lambda: asking.under_way == 0)
    there = len(asking.bodies)
    await page.evaluate(PLAY_ON)
    await page.clock.run_for(30_000)
    assert len(asking.bodies) == there
    await page.evaluate(HIDE, False)
    await eventually(lambda: len(asking.bodies) > there + 1)
    await page.evaluate(HIDE, True)
    await page.clock.run_for(61_000)
    assert await page.evaluate("tracks.map(track => track.readyState)") == ["ended"]
    await page.evaluate(HIDE, False)
    await expect(page.locator("#notice")).to_contain_text("nobody saw this page")
    await expect(page.get_by_role("button", name="Start the camera")).to_be_visible()


async def test_the_camera_goes_off_with_the_page(tabs: Tabs, home: Home):
    page = await tabs.open(permissions=["camera"])
    await page.add_init_script(f"({REMEMBER_TRACKS})()")
    await page.goto(f"{home.url}/live")
    assert await page.evaluate("tracks.length") == 0  # it is asked for on a click only
    await page.get_by_role("button", name="Start the camera").click()
    await page.get_by_role("button", name="Stop").click()
    assert await page.evaluate("tracks.map(track => track.readyState)") == ["ended"]
    await expect(page.get_by_role("button", name="Start the camera")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Stop")).to_be_focused()
    assert await page.evaluate("tracks.map(track => track.readyState)") == ["ended", "live"]
    await page.goto(f"{home.url}/static/icon.svg")
    assert await page.evaluate("Number(sessionStorage.stopped)") == 2


# The camera is refused


async def refused(page: Page) -> str:
    await expect(page.locator("#refusal")).to_be_visible()
    await expect(page.get_by_role("button", name="Start the camera")).to_be_enabled()
    return await page.locator("#refusal").inner_text()


async def test_who_said_no_is_told_where_to_say_yes(tabs: Tabs, home: Home):
    page = await live(tabs, home, permissions=[])
    assert "not allowed" in await refused(page)
    await axe(page)
    await page.context.grant_permissions(["camera"])
    await page.get_by_role("button", name="Start the camera").click()
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await expect(page.locator("#refusal")).to_be_hidden()


async def test_without_https_it_is_told_how_to_get_it(tabs: Tabs, home: Home):
    tabs.expect("http://camscribe.test")
    page = await tabs.open(permissions=["camera"])

    async def pass_on(route):
        address = route.request.url.replace("http://camscribe.test", home.url)
        await route.fulfill(response=await route.fetch(url=address, headers={}))

    await page.route("http://camscribe.test/**", pass_on)
    await page.goto("http://camscribe.test/live")
    await expect(page.locator("#refusal")).to_be_visible()  # before anybody has tried
    await expect(page.locator("#start")).to_be_hidden()
    told = await page.locator("#refusal").inner_text()
    assert "only over HTTPS" in told
    assert "docs/web.md" in told


@pytest.mark.parametrize(
    ("name", "message", "told"),
    [
        ("NotReadableError", "Could not start video source", "in use"),
        ("OverconstrainedError", "", "isn't there any more"),
        ("NotAllowedError", "Permission denied by system", "The system keeps the browser"),
        ("TypeError", "odd", "The browser says: odd"),
    ],
)
async def test_each_refusal_has_its_sentence(tabs: Tabs, home: Home, name: str, message: str, told: str):
    page = await live(tabs, home, start=False)
    await page.evaluate(
        """error => {
          navigator.mediaDevices.getUserMedia = async () => { throw new DOMException(error.message, error.name) }
        }""",
        {"name": name, "message": message},
    )
    await page.get_by_role("button", name="Start the camera").click()
    assert told in await refused(page)


async def test_a_camera_that_is_gone_is_replaced_by_another(tabs: Tabs, home: Home):
    page = await tabs.open(permissions=["camera"])
    await page.add_init_script("localStorage.setItem('live.camera', 'gone')")
    await page.goto(f"{home.url}/live")
    await page.get_by_role("button", name="Start the camera").click()
    await expect(page.get_by_role("button", name="Stop")).to_be_visible()
    await page.evaluate(
        "document.getElementById('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    assert "went away" in await refused(page)


async def test_a_device_without_a_camera_says_so(home: Home):
    async with chromium(["--use-fake-device-for-media-stream=device-count=0"]) as bare:
        tabs = Tabs(bare)
        page = await live(tabs, home)
        assert "No camera found" in await refused(page)
        await tabs.close()


async def test_one_of_two_cameras_can_be_chosen(home: Home):
    async with chromium(["--use-fake-device-for-media-stream=device-count=2"]) as double:
        tabs = Tabs(double)
        page = await live(tabs, home, size=PHONE)
        camera = page.get_by_label("Camera", exact=True)
        await expect(camera.locator("option")).to_have_count(2)
        await expect(page.get_by_role("button", name="Turn")).to_be_visible()
        there = await camera.input_value()
        await camera.select_option(index=1)
        track = "document.getElementById('video').srcObject?.getVideoTracks()[0].getSettings().deviceId"
        await page.wait_for_function(f"there => ({track} ?? there) !== there", arg=there)
        await page.reload()
        await page.get_by_role("button", name="Start the camera").click()
        await page.wait_for_function(f"there => ({track} ?? there) !== there", arg=there)
        await tabs.close()


# How it looks, and for whom


async def test_it_is_fit_to_be_seen(tabs: Tabs, home: Home):
    page = await live(tabs, home, start=False)
    await axe(page)
    await picture(page, "live-off")
    await page.get_by_role("button", name="Start the camera").click()
    await expect(page.locator("#history li").nth(2)).to_be_visible(timeout=20_000)
    await expect(page.locator("#pace")).to_be_visible(timeout=20_000)
    for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await axe(page)
            await picture(page, f"live-{device}-{scheme}")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_it_can_be_used_by_keyboard_alone(tabs: Tabs, home: Home):
    page = await live(tabs, home)
    await expect(page.locator("#caption")).not_to_have_text("")
    await page.get_by_role("button", name="Copy").wait_for()
    stops = await walk(page)
    assert await unreached(page, stops) == []
    assert all(stop.marked and not stop.instead for stop in stops), stops


async def test_screen_readers_hear_a_caption_at_most_every_few_seconds(tabs: Tabs, home: Home):
    page = await tabs.open(permissions=["camera"])
    await page.clock.install()
    await page.goto(f"{home.url}/live")
    await page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    await page.evaluate(
        """() => {
          window.heard = []
          const said = document.getElementById("said")
          new MutationObserver(() => said.textContent && heard.push(said.textContent)).observe(said, {childList: true})
        }"""
    )
    await page.get_by_role("button", name="Start the camera").click()
    await expect(page.locator("#history li").nth(0)).to_be_visible(timeout=20_000)
    await page.clock.run_for(100)
    await expect(page.locator("#history li").nth(3)).to_be_visible(timeout=20_000)
    await page.clock.run_for(4000)
    assert len(heard := await page.evaluate("heard")) == 1
    assert heard[0] in TRUTHS
    await page.clock.run_for(2000)
    assert len(await page.evaluate("heard")) == 2
