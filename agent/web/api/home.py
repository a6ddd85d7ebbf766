"""camscribe itself: how it is, and what can be set of it."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from agent.web.problems import described
from agent.web.services import Given
from agent.web.shapes import HomeShape

router = APIRouter(prefix="/api/v1/home", tags=["home"])


class HomeSet(BaseModel):
    """What is to be set; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    paused: bool | None = None
    """Nobody looks through any camera until that is ended."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None


@router.get("")
async def home(services: Given) -> HomeShape:
    return HomeShape.of(services.house.state)


@router.patch("", responses=described(409))
async def set_home(wanted: HomeSet, services: Given) -> HomeShape:
    if wanted.paused is not None:
        await services.house.command(None, "paused", "ON" if wanted.paused else "OFF")
    if wanted.log_level is not None:
        await services.house.command(None, "log_level", wanted.log_level)
    return HomeShape.of(services.house.state)
