"""Through a page with the Tab key alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

MOST = 400

# Each element is known by a number, which the page's own scripts don't see.
PREPARE = """() => {
  window.__stops = new Map()
  window.__named = element => {
    if (!window.__stops.has(element)) window.__stops.set(element, window.__stops.size)
    const words = element.ariaLabel || element.textContent.trim().replace(/\\s+/g, " ").slice(0, 40) || element.name
    const id = element.id ? "#" + element.id : ""
    return {number: window.__stops.get(element), what: `${element.localName}${id} "${words || ""}"`}
  }
  window.__look = element => {
    // What is seen of a hidden box, as a switch has, is around or beside it.
    const shown = [element, element.parentElement]
    if (element.nextElementSibling?.tabIndex < 0) shown.push(element.nextElementSibling)
    const parts = ["outline", "boxShadow", "backgroundColor", "borderColor", "textDecoration"]
    return JSON.stringify(shown.flatMap(one => ["", "::before", "::after"].map(pseudo => {
      const style = getComputedStyle(one, pseudo || null)
      return parts.map(part => style[part])
    })))
  }
  // From the top, wherever the focus or the mouse has been.
  document.body.tabIndex = -1
  document.body.focus({preventScroll: true})
  document.body.removeAttribute("tabindex")
}"""

STAND = """async () => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
  const ends = one => one.effect.getComputedTiming().endTime < 2000
  await Promise.allSettled(document.getAnimations().filter(ends).map(one => one.finished))
  const element = document.activeElement
  const before = window.__stood
  const left = before && before.element !== element ? window.__look(before.element) !== before.look : null
  if (!element || element === document.body || element === document.documentElement) {
    window.__stood = null
    return {left, stop: null}
  }
  window.__stood = {element, look: window.__look(element)}
  const box = element.getBoundingClientRect()
  const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height / 2, innerHeight / 2)]
  const top = document.elementFromPoint(x, y)
  const seen = top !== null && (element.contains(top) || top.contains(element)
    || [...element.labels ?? []].some(label => label.contains(top)))
  const instead = seen ? "" : `${top ? window.__named(top).what : "nothing"} at ${Math.round(x)}, ${Math.round(y)}`
  return {left, stop: {...window.__named(element), instead}}
}"""

REACHABLE = """() => [...document.querySelectorAll(
  "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex], [role=button], [onclick]")]
  .filter(element => !element.disabled && !element.closest("[inert]") && element.tabIndex >= 0
    && element.checkVisibility({visibilityProperty: true}))
  .filter(element => element.type !== "radio" || element.checked)
  .map(element => window.__named(element))"""


@dataclass
class Stop:
    """Where the focus has been."""

    number: int
    what: str
    instead: str
    """What is seen at its place: it is out of the window, or covered. Empty where it is seen itself."""
    marked: bool = False
    """It looked otherwise while it had the focus."""


async def walk(page: Page) -> list[Stop]:
    """Tab from the top of the page until it begins anew, or ends."""
    await page.evaluate(PREPARE)
    stops: list[Stop] = []
    for _ in range(MOST):
        await page.keyboard.press("Tab")
        told: dict[str, Any] = await page.evaluate(STAND)
        if stops and told["left"] is not None:
            stops[-1].marked = told["left"]
        if told["stop"] is None or any(stop.number == told["stop"]["number"] for stop in stops):
            return stops
        stops.append(Stop(**told["stop"]))
    raise AssertionError(f"no end after {MOST} stops; the last are {stops[-5:]}")


async def unreached(page: Page, stops: list[Stop]) -> list[str]:
    """What could be used by mouse and was no stop of the walk."""
    there = await page.evaluate(REACHABLE)
    known = {stop.number for stop in stops}
    return [one["what"] for one in there if one["number"] not in known]
