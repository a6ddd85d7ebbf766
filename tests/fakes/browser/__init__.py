"""The system's Chromium on the pages: every error on one fails the test, unless the test has said that it comes."""

from tests.fakes.browser.axe import axe
from tests.fakes.browser.chromium import chromium, find_chromium
from tests.fakes.browser.keyboard import Stop, unreached, walk
from tests.fakes.browser.pictures import picture
from tests.fakes.browser.tabs import DESKTOP, PHONE, Tabs
from tests.fakes.browser.traffic import Traffic, settle
from tests.fakes.browser.unrolled import unrolled

__all__ = [
    "DESKTOP",
    "PHONE",
    "Stop",
    "Tabs",
    "Traffic",
    "axe",
    "chromium",
    "find_chromium",
    "picture",
    "settle",
    "unreached",
    "unrolled",
    "walk",
]
