"""The cameras: how they are, what they are set to, and a look now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from agent.camera import Camera
from agent.values import Observation
from agent.web.pictures import picture_response
from agent.web.problems import Problem, described
from agent.web.services import Given
from agent.web.shapes import CameraShape

router = APIRouter(prefix="/api/v1/cameras", tags=["cameras"])


def _camera(camera: str, services: Given) -> Camera:
    found = services.house.cameras.get(camera)
    if found is None:
        raise Problem(404, f"There is no camera '{camera[:60]}'.")
    return found


Named = Annotated[Camera, Depends(_camera)]


class Cameras(BaseModel):
    """All of them, in config.yaml's order."""

    cameras: list[CameraShape]


class CameraSet(BaseModel):
    """What is to be set; what is left out stays. It outlives a restart, as ``controls`` in config.yaml says."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool | None = None
    every: str | None = Field(default=None, max_length=50, examples=["30s"])
    prompt: str | None = Field(default=None, min_length=1, max_length=4000)
    captioner: list[Annotated[str, Field(max_length=64)]] | None = Field(default=None, min_length=1, max_length=20)


class LookWanted(BaseModel):
    """How to look."""

    model_config = ConfigDict(extra="forbid")

    prompt: str | None = Field(default=None, min_length=1, max_length=4000)
    """Asked instead of the camera's own prompt and questions."""


@router.get("")
async def cameras(services: Given) -> Cameras:
    infos, running = services.house.state.cameras, services.house.cameras
    return Cameras(cameras=[CameraShape.of(info, running[id_]) for id_, info in infos.items()])


@router.get("/{camera}", responses=described(404))
async def camera(camera: Named, services: Given) -> CameraShape:
    return CameraShape.of(services.house.state.cameras[camera.id], camera)


@router.patch("/{camera}", responses=described(404, 409))
async def set_camera(camera: Named, wanted: CameraSet, services: Given) -> CameraShape:
    """One after the other: where one is refused, those before it stand."""
    values = {
        "captioner": None if wanted.captioner is None else ",".join(wanted.captioner),
        "prompt": wanted.prompt,
        "every": wanted.every,
        "enabled": None if wanted.enabled is None else ("ON" if wanted.enabled else "OFF"),
    }
    for name, value in values.items():
        if value is not None:
            await services.house.command(camera.id, name, value)
    return CameraShape.of(services.house.state.cameras[camera.id], camera)


@router.post("/{camera}/look", responses=described(404, 409))
async def look(camera: Named, wanted: LookWanted | None = None) -> Observation:
    """A look now; waits for what comes of it. A look that failed is an answer too: its ``error`` says why."""
    return await camera.ask("http", wanted.prompt if wanted else None)


@router.get(
    "/{camera}/picture",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "A JPEG"}, 304: {}, **described(404)},
)
async def last_picture(camera: Named, request: Request, services: Given) -> Response:
    """Of its last good look."""
    last = camera.last_good
    jpeg = await services.journal.picture(last) if last else None
    if last is None or last.picture is None or jpeg is None:
        raise Problem(404, f"There is no picture of '{camera.id}' yet.")
    return picture_response(request, jpeg, last.picture.sha256, lasting=False)
