"""What happens, as it happens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request

from agent.web.problems import described
from agent.web.stream import EventResponse, Stream

router = APIRouter(prefix="/api/v1/stream", tags=["stream"])

LARGEST_SEQ = 2**63 - 1


@router.get(
    "",
    response_class=EventResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events"}, **described(503)},
)
async def stream(
    request: Request,
    last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST_SEQ, description="Resume behind it")] = None,
) -> EventResponse:
    """``observation`` (with an id to resume behind), ``camera``, ``home``, ``removed``, and ``gap`` where one who comes
    back has missed more than is told again.
    """
    events: Stream = request.app.state.stream
    return EventResponse(events.listen(last_event_id))
