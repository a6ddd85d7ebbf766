"""What was seen: found, paged through, looked at, taken away, deleted."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from agent.journal import Filter
from agent.values import Observation, PictureFacts, SentFacts
from agent.web.export import as_csv, as_json, pages
from agent.web.pictures import picture_response
from agent.web.problems import Problem, described
from agent.web.services import Given
from agent.web.thumbnails import Thumbnails

router = APIRouter(prefix="/api/v1", tags=["observations"])

THUMBNAILS = Thumbnails()
JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {}}, "description": "A JPEG"},
    304: {"description": "The one that the caller has"},
    **described(404, 503),
}


class Wanted(BaseModel):
    """Which observations: all that is given has to be so."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    camera: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(default=[], max_length=100)
    """One of these."""
    from_: AwareDatetime | None = Field(default=None, alias="from", examples=["2026-11-30T00:00:00+01:00"])
    """Recorded then or later. With a time zone."""
    to: AwareDatetime | None = Field(default=None, examples=["2026-12-01T00:00:00+01:00"])
    """Recorded before then. With a time zone."""
    q: str = Field(default="", max_length=200)
    """The caption has words that begin like each of these."""
    answer: list[Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[^:]+:[^\r\n]+$")]] = Field(
        default=[], max_length=10, examples=[["person:yes"]]
    )
    """A question's name, a colon and what was answered: ``yes`` or ``no``, a number, or the text."""
    outcome: Literal["caption", "error"] | None = None
    """Those with a caption, or those that failed."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError("'from' is later than 'to'")
        return self

    def filter(self) -> Filter:
        pairs = [answer.partition(":") for answer in self.answer]
        return Filter(
            cameras=tuple(dict.fromkeys(self.camera)),
            since=self.from_,
            until=self.to,
            text=self.q,
            answers=tuple((name, value) for name, _, value in pairs),
            outcome=self.outcome,
        )


class Page(Wanted):
    """Which observations, and how many of them."""

    before: str | None = Field(default=None, pattern=r"^s[0-9]{1,18}$")
    """The ``next`` of the page before: what comes after that one."""
    limit: int = Field(default=50, ge=1, le=200)


class Export(Wanted):
    """Which observations, and as what."""

    format: Literal["json", "csv"] = "json"


class Observations(BaseModel):
    """A page of them, newest first."""

    observations: list[Observation]
    next: str | None
    """The next page's ``before``; null on the last one."""


class Day(BaseModel):
    """How much there is of a day, in the time zone of the machine that camscribe runs on."""

    day: date
    count: int


class Days(BaseModel):
    """Those of which there is something, newest first."""

    days: list[Day]


class Deleted(BaseModel):
    """How many that were."""

    deleted: int


async def _observation(observation: UUID, services: Given) -> Observation:
    found = await services.journal.get(str(observation))
    if found is None:
        raise _missing()
    return found


Named = Annotated[Observation, Depends(_observation)]


def _missing() -> Problem:
    return Problem(404, "There is no such observation; it may have been removed.")


@router.get("/observations", responses=described(503))
async def observations(page: Annotated[Page, Query()], services: Given) -> Observations:
    """Newest first, a page at a time."""
    before = int(page.before.removeprefix("s")) if page.before else None
    found = await services.journal.find(page.filter(), before, page.limit + 1)
    shown, more = found[: page.limit], len(found) > page.limit
    return Observations(observations=[each for _, each in shown], next=f"s{shown[-1][0]}" if more else None)


@router.get(
    "/observations/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {"application/json": {"schema": {"type": "array"}}, "text/csv": {"schema": {"type": "string"}}},
            "description": "A file to take away, newest first",
        },
        **described(503),
    },
)
async def export(wanted: Annotated[Export, Query()], services: Given) -> StreamingResponse:
    """All of them as a file. In the table, texts that a spreadsheet would take for a formula begin with a '."""
    found = await pages(services.journal, wanted.filter())
    name = f"camscribe-observations-{services.clock.now().wall.astimezone():%Y-%m-%d}.{wanted.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    if wanted.format == "json":
        return StreamingResponse(as_json(found), media_type="application/json", headers=headers)
    answers = await services.journal.answers()
    return StreamingResponse(as_csv(found, answers), media_type="text/csv; charset=utf-8", headers=headers)


@router.delete("/observations", responses=described(503))
async def delete_matching(wanted: Annotated[Wanted, Query()], services: Given) -> Deleted:
    """With their pictures. Says which by one filter at least; what is recorded from now on stays."""
    which = wanted.filter()
    if which == Filter() or (wanted.q and not which.words):
        raise Problem(422, "Say which: by camera, from, to, q, answer or outcome.")
    return Deleted(deleted=await services.journal.delete_matching(which))


@router.get("/days", responses=described(503))
async def days(wanted: Annotated[Wanted, Query()], services: Given) -> Days:
    """How many there are of which day."""
    return Days(days=[Day(day=day, count=count) for day, count in await services.journal.days(wanted.filter())])


@router.get("/observations/{observation}", responses=described(404, 503))
async def one(observation: Named) -> Observation:
    return observation


@router.delete("/observations/{observation}", status_code=204, responses=described(404, 503))
async def delete(observation: UUID, services: Given) -> None:
    """With its pictures."""
    if not await services.journal.delete(str(observation)):
        raise _missing()


@router.get("/observations/{observation}/picture", response_class=Response, responses=JPEG)
async def picture(observation: Named, request: Request, services: Given) -> Response:
    """The one people see."""
    jpeg = await services.journal.picture(observation)
    return _answer(request, jpeg, observation.picture)


@router.get("/observations/{observation}/thumbnail", response_class=Response, responses=JPEG)
async def thumbnail(observation: Named, request: Request, services: Given) -> Response:
    """The same, small: its longer edge is 320 pixels."""
    facts = observation.picture
    small = THUMBNAILS.get(facts.sha256) if facts else None
    if facts and small is None and (jpeg := await services.journal.picture(observation)):
        small = await THUMBNAILS.make(facts.sha256, jpeg)
    return _answer(request, small, facts, "-small")


@router.get("/observations/{observation}/sent", response_class=Response, responses=JPEG)
async def sent(observation: Named, request: Request, services: Given) -> Response:
    """For debugging: exactly what the model got, in the model's own geometry."""
    jpeg = await services.journal.sent(observation)
    return _answer(request, jpeg, observation.sent)


def _answer(request: Request, jpeg: bytes | None, facts: PictureFacts | SentFacts | None, kind: str = "") -> Response:
    if jpeg is None or facts is None:
        raise Problem(404, "There is no such picture; it may have been removed.")
    return picture_response(request, jpeg, f"{facts.sha256}{kind}", lasting=True)
