"""Captions of pictures that the request brings along, and who can make them."""

from __future__ import annotations

from typing import Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from agent.prompt import LONGEST
from agent.upload import from_base64
from agent.values import Observation
from agent.visitor import About
from agent.web.problems import Problem, described
from agent.web.services import Given
from agent.web.uploads import Wanted, captioned, parsed

MOST_TOKENS = 1024
"""A caption that takes a minute keeps the cameras waiting."""

router = APIRouter(prefix="/api/v1", tags=["captions"])


class CaptionWanted(BaseModel):
    """A picture, and what is asked about it."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    image: str
    """A JPEG, PNG or WebP of at most 12 MiB in base64, alone or as a data URL. 40 megapixels at most; 16, where it is
    no JPEG."""
    prompt: str | None = Field(default=None, min_length=1, max_length=LONGEST, pattern=r"\S")
    captioner: str | None = Field(default=None, max_length=64)
    """One of ``/api/v1/captioners``; left out: the default one. One that does not run is started, and stays for ten
    minutes."""
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)


class CaptionerShape(BaseModel):
    """A captioner of config.yaml."""

    model_config = ConfigDict(title="Captioner", use_attribute_docstrings=True)

    name: str
    use: str
    """Its plugin: ``llama_server``, ``transformers``, …"""
    model: str
    state: str
    """``ready``, ``starting``, ``failed: …``, ``not running``."""
    running: bool

    @classmethod
    def of(cls, about: About) -> Self:
        return cls.model_validate(about, from_attributes=True)


class Captioners(BaseModel):
    """In config.yaml's order."""

    captioners: list[CaptionerShape]


def _read(body: bytes) -> Wanted:
    wanted = parsed(CaptionWanted, body)
    return Wanted(from_base64(wanted.image), wanted.prompt, wanted.captioner, wanted.max_tokens)


@router.post(
    "/captions",
    responses=described(400, 408, 409, 413, 415, 422, 429),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": CaptionWanted.model_json_schema()}},
        }
    },
)
async def caption(request: Request, services: Given) -> Observation:
    """Captions the picture, and forgets it: it is in no journal, and nobody else hears of it.

    Its ``camera`` is ``live-page``. A caption that failed is an answer too: its ``error`` says why, as that the model
    is still loading.
    """
    # A form of another site's page could be sent without asking first; JSON can't.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "The request's Content-Type has to be application/json.")
    return await captioned(request, services.visitor, _read)


@router.get("/captioners")
async def captioners(services: Given) -> Captioners:
    """Who can be asked for a caption."""
    return Captioners(captioners=[CaptionerShape.of(about) for about in services.visitor.captioners()])
