"""Is it there, does it work, and what may config.yaml say?"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from agent.config import json_schema
from agent.web.services import Given

router = APIRouter()


class Ready(BaseModel):
    """Whether captions can be had. Why not tells ``/api/v1/health``, which is not for everybody."""

    ready: bool


@router.get("/healthz", tags=["health"], response_class=PlainTextResponse)
async def alive() -> str:
    """It answers: for a supervisor. Open to all."""
    return "ok"


@router.get("/readyz", tags=["health"], responses={200: {"model": Ready}, 503: {"model": Ready}})
async def ready(services: Given) -> JSONResponse:
    """The default captioner works and the journal takes what is written: 200, else 503. Open to all."""
    good = services.house.state.engine == "ready" and services.journal.outage.since is None
    return JSONResponse(Ready(ready=good).model_dump(), 200 if good else 503)


@router.get("/api/v1/health", tags=["health"])
async def health(services: Given) -> dict[str, Any]:
    """What ``camscribe doctor`` asks for: each captioner, camera and output, its problem, and the counters."""
    return services.status()


@router.get("/api/v1/config/schema", tags=["config"])
async def config_schema(services: Given) -> dict[str, Any]:
    """The JSON schema of config.yaml, with the options of every installed plugin."""
    return await asyncio.to_thread(json_schema, services.config().registry)
