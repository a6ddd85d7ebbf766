"""The rig itself: what it has to notice, it does."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.fakes.browser import PHONE, Tabs, axe, settle, unreached, walk

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "http://127.0.0.1:9/"
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title></head><body><main><h1>A page</h1>'
)


async def show(page: Page, body: str, script: str = "", style: str = "") -> None:
    """A small page under the CSP that the real ones have."""

    async def answer(route):
        path = route.request.url.removeprefix(URL)
        kinds = {"": ("text/html", HEAD), "script.js": ("text/javascript", script), "style.css": ("text/css", style)}
        kind, text = kinds.get(path, ("text/plain", None))
        if text is None:
            await route.fulfill(status=404, body="", content_type=kind)
            return
        if path == "":
            text += (
                f'{body}</main><link rel="stylesheet" href="style.css"><script src="script.js"></script></body></html>'
            )
        await route.fulfill(body=text, content_type=kind, headers={"Content-Security-Policy": CSP})

    await page.route(f"{URL}**", answer)
    await settle(page, URL)


@pytest.mark.parametrize(
    ("body", "script", "told"),
    [
        ("<script>1</script>", "", "CSP forbids inline: script-src-elem"),
        ('<p style="color: red">x</p>', "", "CSP forbids inline: style-src-attr"),
        ('<p onclick="1">x</p>', "", "CSP forbids inline: script-src-attr"),
        ("", "try { eval('1') } catch {}", "CSP forbids eval: script-src"),
        ("", "fetch('http://127.0.0.1:10/').catch(() => {})", "CSP forbids http://127.0.0.1:10/: connect-src"),
        ("", "nonsense()", "uncaught: ReferenceError"),
        ("", "Promise.reject(new Error('late'))", "uncaught: Error: late"),
        ("", "console.error('hm')", "console: hm"),
        ('<img alt="" src="missing.png">', "", "refused: GET http://127.0.0.1:9/missing.png (status of 404)"),
        ('<a href="http://example.org/">x</a>', "document.querySelector('a').click()", "leaves this machine"),
    ],
)
async def test_what_goes_wrong_on_a_page_is_noticed(tabs: Tabs, page: Page, body: str, script: str, told: str):
    await page.context.route("http://example.org/", lambda route: route.fulfill(body="elsewhere"))
    await show(page, body, script)
    assert any(told in one for one in tabs.complaints), tabs.complaints
    tabs.expect("")


async def test_nothing_is_noticed_where_nothing_is_wrong(tabs: Tabs, page: Page):
    await show(page, "<p>x</p>", "console.log('fine'); document.querySelector('p').style.color = 'black'")
    await axe(page)
    assert tabs.complaints == []


async def test_axe_tells_what_is_wrong_and_where(page: Page):
    await show(page, '<p id="pale">Hardly to be read</p><button></button>', style="#pale { color: #ccc }")
    with pytest.raises(AssertionError) as told:
        await axe(page)
    assert "color-contrast" in str(told.value)
    assert "#pale" in str(told.value)
    assert "button-name" in str(told.value)


async def test_the_walk_finds_what_has_no_mark_and_what_is_covered(page: Page):
    body = """<a href="#1">one</a> <button id="plain">two</button> <button id="under">three</button>
      <div id="over">x</div> <label class="switch"><input type="checkbox" id="switch">four</label>"""
    style = """#plain:focus { outline: none } #under, #over { position: absolute; top: 200px; left: 0; width: 9em }
      #over { z-index: 1; background: #fff }"""
    await show(page, body, style=style)
    stops = await walk(page)
    assert [stop.what for stop in stops] == ['a "one"', 'button#plain "two"', 'button#under "three"', 'input#switch ""']
    assert [stop.marked for stop in stops] == [True, False, True, True]
    assert [stop.instead for stop in stops] == ["", "", 'div#over "x" at 60, 211', ""]
    assert await unreached(page, stops) == []


async def test_a_phone_is_one(tabs: Tabs):
    page = await tabs.open(size=PHONE, scheme="dark")
    await show(page, "")
    facts = (
        """[innerWidth, matchMedia("(prefers-color-scheme: dark)").matches, matchMedia("(pointer: coarse)").matches]"""
    )
    assert await page.evaluate(facts) == [980, True, True]  # as the page has no viewport
