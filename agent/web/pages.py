"""The pages: made on the server, so that they are whole before any script runs; static/*.js then keeps them live."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.convertors import PathConvertor, register_url_convertor

from agent.errors import JournalUnavailable
from agent.web import timeline as timeline_
from agent.web.performance import performance_page
from agent.web.problems import Problem
from agent.web.rendering import render, serve, shelf
from agent.web.services import Given, Services
from agent.web.shapes import CameraShape

__all__ = ["make_pages", "render"]


class _Page(PathConvertor):
    """A path that is none of the API's: what is wrong with one of those, it says in its own way."""

    regex = r"(?!api/).*"


register_url_convertor("page", _Page())

SHOWN = 60
"""Observations that the timeline shows at once, and so many more each time."""


def make_pages(_services: Services) -> APIRouter:
    """The routes of the pages and of their static files. Blocks: it reads them."""
    shelf()
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", home)
    router.add_api_route("/live", live)
    router.add_api_route("/timeline", timeline)
    router.add_api_route("/observations/{id_}", observation)
    router.add_api_route("/performance", performance_page)
    router.add_api_route("/static/{name}", static_file)
    router.add_api_route("/favicon.ico", favicon)
    router.add_api_route("/{path:page}", missing)  # the last: whatever else a browser asks for
    return router


async def static_file(request: Request, name: str) -> Response:
    asset = shelf().assets.get(name)
    if asset is None:
        raise Problem(404, "There is no such file.")
    return serve(request, asset)


async def favicon(request: Request) -> Response:
    """Where browsers look for one on a page that names none."""
    return serve(request, shelf().assets["icon.svg"])


async def home(request: Request, services: Given) -> Response:
    state, running = services.house.state, services.house.cameras
    cameras = [CameraShape.of(info, running[id_]) for id_, info in state.cameras.items()]
    return render(request, "home.html.j2", home=state, cameras=cameras)


async def live(request: Request, services: Given) -> Response:
    return render(request, "live.html.j2", home=services.house.state)


def trouble(request: Request, status: int, title: str, detail: str) -> Response:
    return render(request, "error.html.j2", status=status, title=title, detail=detail)


def no_journal(request: Request, error: JournalUnavailable) -> Response:
    return trouble(request, 503, "The journal can't be read", str(error))


async def missing(request: Request, path: str) -> Response:  # noqa: ARG001 (it may be anything)
    if "text/html" not in request.headers.get("accept", ""):
        raise Problem(404, "There is nothing at this address.")
    return trouble(request, 404, "There is no such page", "The address may be mistyped, or from another version.")


async def timeline(request: Request, services: Given) -> Response:
    zone, cameras = shelf().zone, services.house.state.cameras
    today = services.clock.now().wall.astimezone(zone).date()
    asked = timeline_.Asked.of(request.query_params, today)
    try:
        found = await services.journal.find(asked.filter(zone), asked.before, SHOWN + 1)
        counts = dict(await services.journal.days(asked.on_every_day(), zone))
    except JournalUnavailable as error:
        return no_journal(request, error)
    shown, more = found[:SHOWN], len(found) > SHOWN
    return render(
        request,
        "timeline.html.j2",
        asked=asked,
        hours=timeline_.hours([seen for _, seen in shown], asked, zone),
        more=asked.address(before=f"s{shown[-1][0]}") if more else None,
        counts=counts,
        count=sum(counts.values()) if asked.day is None else counts.get(asked.day, 0),
        total=sum(counts.values()),
        earlier=max((day for day in counts if asked.day and day < asked.day), default=None),
        later=min((day for day in counts if asked.day and asked.day < day), default=None),
        day_words=timeline_.day_words,
        answers=timeline_.answers(cameras, asked),
        cameras=cameras,
        local_zone=zone,
    )


async def observation(request: Request, id_: str, services: Given) -> Response:
    try:
        found = await services.journal.get(id_) if _is_id(id_) else None
        before, after = await services.journal.neighbours(found) if found else (None, None)
    except JournalUnavailable as error:
        return no_journal(request, error)
    if found is None:
        detail = "It may have been deleted, or it is older than camscribe keeps them."
        return trouble(request, 404, "That observation is not there", detail)
    return render(
        request,
        "observation.html.j2",
        seen=found,
        before=before,
        after=after,
        json=found.model_dump_json(indent=2),
        camera=services.house.state.cameras.get(found.camera),
        local_zone=shelf().zone,
    )


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
