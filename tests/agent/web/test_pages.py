"""The pages as the server makes them, before any script."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from agent.errors import Failure, JournalUnavailable
from agent.plugin import Answer
from agent.values import CameraState, Latency
from agent.web.assets import read_assets
from agent.web.rendering import shelf
from tests.fakes.figured import lived_in
from tests.fakes.furnished import Furnished, drawn_scenes, furnished
from tests.fakes.observations import observation
from tests.fakes.website import Website, website

HTML = {"Accept": "text/html,application/xhtml+xml", "Accept-Encoding": "identity"}
HOSTILE = """</p></title><script>alert(1)</script><img src=x onerror=alert(2)>" ' & {{ 7 * 7 }}"""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Furnished]:
    """With cameras that have seen nothing yet."""
    async with furnished(tmp_path, scenes=drawn_scenes(3, (64, 36))) as home:
        yield home


async def get(site: Website, path: str, status: int = 200, **headers: str) -> str:
    answer = await site.client.get(path, headers={**HTML, **headers})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer.text


def ids(page: str) -> list[str]:
    """Of the timeline's observations."""
    return re.findall(r'data-id="([^"]+)"', page)


def told(page: str) -> str:
    """Its words, without the tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """As a browser reads them."""
    found: list[tuple[str, dict[str, str | None]]] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Parser().feed(page)
    return found


# What holds for every page


async def test_every_page_is_made_anew_and_kept_by_nobody(home: Furnished):
    seen = await home.past("front_door")
    for path in ("/", "/timeline", f"/observations/{seen.id}"):
        answer = await home.site.client.get(path, headers=HTML)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert 'lang="en"' in answer.text
        assert answer.text.count("<h1") == 1


async def test_what_a_model_or_a_config_says_stays_text(home: Furnished):
    home.add("odd", name=HOSTILE, area=HOSTILE, questions={"person": {"type": "text", "ask": HOSTILE, "name": HOSTILE}})
    seen = await home.past("odd", caption=HOSTILE, prompt=HOSTILE, answers={"person": Answer(value=HOSTILE)})
    home.breaks("odd", CameraState.GONE, Failure.UNREACHABLE, HOSTILE)
    failed = await home.past_failure("odd", Failure.UNREACHABLE, HOSTILE, datetime.now(UTC))
    paths = ("/", "/timeline", f"/observations/{seen.id}", f"/observations/{failed.id}")
    searched = [f"/timeline?{name}=" for name in ("q", "camera", "answer", "day", "outcome", "before")]
    for path in (*paths, *(path + str(httpx.QueryParams({"": HOSTILE}))[1:] for path in searched)):
        page = await get(home.site, path)
        for tag, attributes in tags(page):
            assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
            assert tag != "script" or attributes["src"].startswith("/static/")
            assert (attributes.get("src") or "/").startswith("/")
            assert (attributes.get("href") or "/").startswith(("/", "?", "#"))
        assert "{{ 7 * 7 }}" in page or path.startswith("/timeline?"), "a template in it was run"
        assert page.partition("</head>")[0].count("</title>") == 1


async def test_a_page_is_zipped_where_that_is_understood(home: Furnished):
    plain = await home.site.client.get("/", headers=HTML)
    async with home.site.client.stream("GET", "/", headers={"Accept-Encoding": "br;q=1, gzip"}) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert len(raw) < len(plain.content) / 3
    assert b"Front door" in gzip.decompress(raw)
    for unwanted in ("identity", "gzip;q=0", "gzip;q=0.0, br", "br"):
        answer = await home.site.client.get("/", headers={"Accept-Encoding": unwanted})
        assert "Content-Encoding" not in answer.headers, unwanted


async def test_behind_a_prefix_everything_is_found_below_it(tmp_path: Path):
    async with website(tmp_path, web={"proxies": ["127.0.0.1"], "ingress": True}) as site:
        seen = await site.see(caption="A cat.")
        for path in ("/", "/timeline", f"/observations/{seen.id}", "/no/such/page"):
            status = 404 if "such" in path else 200
            page = await get(site, path, status, **{"X-Ingress-Path": "/cam"})
            links = re.findall(r'(?:href|src|action|content|data-src|data-next)="(/[^"]*)"', page)
            links += [url.split()[0] for srcset in re.findall(r'srcset="([^"]+)"', page) for url in srcset.split(", ")]
            assert links
            assert [link for link in links if not link.startswith(("/cam/", "/cam")) or link == "/cam"] == ["/cam"]
            assert (await site.client.get(re.findall(r'src="/cam(/static/[^"]+)"', page)[0])).status_code == 200


async def test_what_is_not_there_is_said_on_a_page(home: Furnished):
    for path in ("/no/such/page", "/observations/nonsense", f"/observations/{'0' * 8}-0000-7000-8000-{'0' * 12}"):
        page = await get(home.site, path, 404)
        assert 'href="/"' in page
    answer = await home.site.client.get("/no/such/page", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert (await home.site.client.get("/api/v1/captions", headers=HTML)).status_code == 405, "a page hides the API"
    assert (await home.site.client.get("/api/v1/nothing", headers=HTML)).headers["Content-Type"].endswith("json")


async def test_a_journal_that_can_not_be_read_is_said_on_a_page(home: Furnished):
    def full(*_arguments):
        raise JournalUnavailable("The disk is full.")

    home.site.journal._do = full
    for path in ("/timeline", f"/observations/{'0' * 8}-0000-7000-8000-{'0' * 12}"):
        assert "The disk is full." in await get(home.site, path, 503)


# Static files


async def test_a_static_file_is_kept_for_good_by_its_version_only(site: Website):
    page = await get(site, "/")
    url = re.findall(r'href="(/static/camscribe\.css\?v=\w+)"', page)[0]
    answer = await site.client.get(url)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Content-Encoding"] == "gzip"
    for other in ("/static/camscribe.css", "/static/camscribe.css?v=old"):
        assert (await site.client.get(other)).headers["Cache-Control"] == "no-cache"
    assert (await site.client.get("/static/nothing.css")).status_code == 404
    assert (await site.client.get("/static/..%2fpages.py")).status_code in (400, 404)


async def test_a_static_file_that_is_known_is_not_sent_again(site: Website):
    etag = (await site.client.get("/static/camscribe.css")).headers["ETag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        answer = await site.client.get("/static/camscribe.css", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["ETag"] == etag
    assert (await site.client.get("/static/camscribe.css", headers={"If-None-Match": '"other"'})).status_code == 200


def test_a_scripts_version_changes_with_what_it_imports(tmp_path: Path):
    (tmp_path / "page.js").write_text('import { a } from "./near.js";\n')
    (tmp_path / "near.js").write_text("import './far.js'\n")
    (tmp_path / "far.js").write_text("1\n")
    before = read_assets(tmp_path)
    (tmp_path / "far.js").write_text("2\n")
    after = read_assets(tmp_path)
    assert set(after["page.js"].imports) == {"near.js", "far.js"}
    assert f'"./near.js?v={after["near.js"].version}"'.encode() in after["page.js"].content
    assert all(before[name].version != after[name].version for name in after)
    (tmp_path / "far.js").write_text('import "./page.js"\n')
    with pytest.raises(ValueError, match=r"far\.js imports page\.js|circle"):
        read_assets(tmp_path)


def test_every_script_that_is_imported_is_there():
    """And each page's preloads name all of them."""
    for name, asset in shelf().assets.items():
        imported = set(re.findall(rb'from "\./([\w.]+)\?v=\w+"|import "\./([\w.]+)\?v=', asset.content))
        assert {(one or other).decode() for one, other in imported} <= set(asset.imports), name
        assert b'from "./' not in re.sub(rb'"\./[\w.]+\?v=\w+"', b"", asset.content), name


# Home


async def test_a_card_tells_all_of_a_camera(home: Furnished):
    seen = await home.past("front_door")
    page = await get(home.site, "/")
    card = re.findall(r'<article.*?data-camera="front_door".*?</article>', page, re.DOTALL)[0]
    words = told(card)
    for word in ("Front door", "Entrance", seen.caption, "person", "cars", "Looks every 30 s", "just now", "Look now"):
        assert word in words
    assert f'href="/observations/{seen.id}"' in card
    assert 'width="64" height="36"' in card, "the page would jump when the picture comes"


async def test_cameras_stand_in_the_configs_order(home: Furnished):
    assert re.findall(r'data-camera="(\w+)"', await get(home.site, "/")) == list(home.site.house.cameras)


@pytest.mark.parametrize(
    ("state", "failure", "words"),
    [
        (CameraState.GONE, Failure.UNREACHABLE, "Can't be reached"),
        (CameraState.UNAUTHORIZED, Failure.UNAUTHORIZED, "Refuses the login"),
        (CameraState.LIVE, Failure.TIMEOUT, "No picture"),
        (CameraState.PARKED, Failure.SOURCE, "Given up until a restart"),
    ],
)
async def test_why_a_camera_is_offline_is_said(home: Furnished, state: CameraState, failure: Failure, words: str):
    home.breaks("front_door", state, failure, "It is the cable.")
    card = (await get(home.site, "/")).partition("</article>")[0]
    assert 'data-state="offline"' in card
    assert words in told(card)
    assert "It is the cable." in told(card)


async def test_off_paused_and_asleep_are_told_apart(home: Furnished):
    states = re.findall(r'data-state="(\w+)"', await get(home.site, "/"))
    assert states == ["looking", "looking", "looking", "asleep"]
    await home.site.house.command("driveway", "enabled", "OFF")
    await home.site.house.command(None, "paused", "ON")
    page = await get(home.site, "/")
    assert re.findall(r'data-state="(\w+)"', page) == ["paused", "off", "paused", "paused"]
    assert "All cameras are paused." in told(re.sub(r"<p[^>]*hidden>.*?</p>", "", page))


async def test_a_home_without_cameras_shows_what_to_write(tmp_path: Path):
    async with furnished(tmp_path, {}) as home:
        page = await get(home.site, "/")
        assert "cameras: front_door: source: rtsp://" in told(page)
        assert "data-camera" not in page


# Timeline


async def test_the_timeline_shows_a_day_by_its_hours(home: Furnished):
    midnight = datetime.now(shelf().zone).replace(hour=0, minute=0, second=0, microsecond=0)
    before = [await home.past("front_door", midnight - timedelta(hours=hours)) for hours in (30, 20, 3, 1)]
    today = [await home.past("garage", midnight + timedelta(seconds=seconds)) for seconds in (1, 2)]
    page = await get(home.site, "/timeline")
    assert ids(page) == [one.id for one in reversed(today)]
    assert "00:00" in told(page)
    yesterday = (midnight - timedelta(hours=2)).date().isoformat()
    page = await get(home.site, f"/timeline?day={yesterday}")
    assert ids(page) == [before[3].id, before[2].id, before[1].id]
    assert re.findall(r'<h2 id="hour[^>]*>([^<]+)', page) == ["23:00", "21:00", "04:00"]
    assert "3 found · Yesterday" in told(page)
    assert re.findall(r'href="\?day=([\w-]+)" aria-label="Later', page) == ["today"]
    assert re.findall(r'href="\?day=([\w-]+)" aria-label="Earlier', page) == [before[0].finished_at.date().isoformat()]
    assert len(ids(await get(home.site, "/timeline?day=all"))) == 6


async def test_filters_are_in_the_address(home: Furnished):
    now = datetime.now(UTC)
    person = await home.past("front_door", now, caption="A man waves.", answers={"person": Answer(value=True)})
    nobody = await home.past("front_door", now, caption="A red car.", answers={"person": Answer(value=False)})
    garage = await home.past("garage", now, caption="A bicycle.")
    broken = await home.past_failure("garage", Failure.UNREACHABLE, "It is gone.", now)
    for query, expected in {
        "camera=garage": [broken, garage],
        "camera=garage&camera=front_door": [broken, garage, nobody, person],
        "answer=person:yes": [person],
        "answer=person%3Ano": [nobody],
        "outcome=error": [broken],
        "outcome=caption&camera=garage": [garage],
        "q=red": [nobody],
        "q=bicy&camera=front_door": [],
    }.items():
        page = await get(home.site, f"/timeline?day=all&{query}")
        assert ids(page) == [one.id for one in expected], query
        assert f"{len(expected)} found" in told(page)
        for export in re.findall(r'href="(/api/v1/observations/export[^"]+json)"', page):
            exported = (await home.site.client.get(html.unescape(export))).json()
            assert [one["id"] for one in exported] == [one.id for one in expected], query


async def test_an_address_that_makes_no_sense_shows_today(home: Furnished):
    seen = await home.past("garage", datetime.now(UTC))
    for query in (
        "day=nonsense",
        "day=0001-01-01",
        "day=9999-12-31",
        "before=x",
        "before=s99999999999999999999",
        "outcome=x",
        "answer=x",
        "answer=:",
        "camera=",
        "q=%00",
        "day=today&day=all",
    ):
        assert seen.id in await get(home.site, f"/timeline?{query}"), query


async def test_more_of_it_are_a_page_further(home: Furnished):
    now = datetime.now(UTC)
    made = [await home.site.see("garage", caption=f"Number {number}.") for number in range(130)]
    found, path = [], "/timeline?day=all&camera=garage"
    while path:
        page = await get(home.site, path)
        found += ids(page)
        more = re.findall(r'id="more" href="([^"]+)">', page)
        path = f"/timeline{html.unescape(more[0])}" if more else ""
    assert found == [one.id for one in reversed(made)]
    assert now <= datetime.now(UTC)


async def test_a_camera_that_is_no_longer_there_keeps_its_past(home: Furnished):
    seen = await home.past("garage", datetime.now(UTC))
    del home.site.house.cameras["garage"]
    page = await get(home.site, "/timeline?camera=garage")
    assert ids(page) == [seen.id]
    assert 'value="garage" checked' in page
    assert "garage" in await get(home.site, f"/observations/{seen.id}")


# One observation


async def test_an_observation_tells_everything(home: Furnished):
    first, seen, last = [await home.past("front_door") for _ in range(3)]
    await home.past("garage")
    page = await get(home.site, f"/observations/{seen.id}")
    words = told(page)
    for said in (
        seen.caption,
        seen.prompt,
        seen.model,
        seen.picture.sha256,
        seen.sent.sha256,
        seen.id,
        "512 \u00d7 512",
        "stretched to a square",
        "Model reads picture and prompt",
        "Is there a person?",
        "by its schedule",
    ):
        assert said in words
    assert re.findall(r'href="/observations/([\w-]+)" rel="prev"', page) == [first.id]
    assert re.findall(r'href="/observations/([\w-]+)" rel="next"', page) == [last.id]
    assert f'data-src="/api/v1/observations/{seen.id}/sent"' in page
    assert not re.search(r'\ssrc="[^"]*/sent"', page), "what the model got is shown unasked"
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', page)]
    assert sum(widths) == pytest.approx(1000, abs=1)


async def test_a_failed_look_says_why_and_has_no_caption(home: Furnished):
    failed = await home.past_failure("garage", Failure.UNREACHABLE, "It is the cable.", datetime.now(UTC))
    words = told(await get(home.site, f"/observations/{failed.id}"))
    assert "Not reached. It is the cable." in words
    assert "There is no picture of this look." in words


async def test_a_pace_is_told_only_where_there_was_time_to_measure_it(home: Furnished):
    for generate, pace in ((1, False), (49, False), (50, True)):
        late = Latency(capture=0, queue=0, encode=0, image=0, generate=generate, other=0, total=generate)
        seen = await home.site.journal.record(observation(tokens=10).model_copy(update={"latency_ms": late}), None)
        words = told(await get(home.site, f"/observations/{seen.id}"))
        assert "Tokens 10" in words
        assert ("(200.0 a second)" in words, "a second" in words) == (pace, pace)


async def test_what_is_drawn_of_a_young_camscribe_is_since_its_start(tmp_path: Path):
    """Its first sample is a step late here."""
    for minutes, window, full in ((1, "hour", 1.0), (10, "hour", 0.9), (1, "day", 1.0), (200, "day", 0.9)):
        figures = lived_in(minutes=minutes, asleep=range(0))
        async with website(tmp_path / f"{minutes}-{window}", figures=figures) as site:
            page = await get(site, f"/performance?window={window}")
        columns = int(re.findall(r'viewBox="0 0 (\d+) 100"', page)[0])
        gaps = sum(int(width) for width in re.findall(r'<rect class="gap" [^>]*width="(\d+)"', page)) / 3
        assert gaps <= 1 + (1 - full) * columns, f"{gaps} of {columns} columns of the {window}"
        assert "Since the start at" in page
        times = re.findall(r'<th scope="row">([\d:]+)', page)
        assert len(times) <= 3 * 12
        assert len(set(times)) == len(times) / 3, "two rows of a table are called alike"
