"""How the pages say what the records hold. static/words.js says it alike, for what comes in later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.plugin import Answer, NumberQuestion, Question
from agent.status import duration
from agent.values import CameraState
from agent.web.shapes import CameraFacts

OFFLINE = {
    CameraState.STARTING: "No picture",
    CameraState.CONNECTING: "Connecting",
    CameraState.LIVE: "No picture",
    CameraState.NO_KEY_FRAMES: "Sends no key frames",
    CameraState.UNAUTHORIZED: "Refuses the login",
    CameraState.NOT_FOUND: "No such picture there",
    CameraState.SILENT: "Sends nothing",
    CameraState.GONE: "Can't be reached",
    CameraState.BEHIND: "Sends old pictures",
    CameraState.DAMAGED: "Sends damaged pictures",
    CameraState.NO_PERMISSION: "Not allowed by the system",
    CameraState.BUSY: "In use by another program",
    CameraState.PARKED: "Given up until a restart",
}
ERRORS = {
    "unauthorized": "Login refused",
    "not_found": "No such picture",
    "unreachable": "Not reached",
    "timeout": "No picture in time",
    "stale": "Only an old picture",
    "damaged": "Damaged picture",
    "no_video": "No video",
    "source": "Camera trouble",
    "engine": "Model not running",
    "engine_timeout": "Model took too long",
    "budget": "Too many calls",
    "refused": "Refused by the model",
    "no_answer": "No answer",
    "stopped": "Stopped",
    "internal": "A bug",
}
REASONS = {
    "schedule": "by its schedule",
    "change": "something new to see",
    "mqtt": "asked over MQTT",
    "http": "asked on a page or over the API",
    "manual": "asked on the command line",
}
PARTS = {
    "capture": "Getting the frame",
    "queue": "Waiting for the model",
    "encode": "Making the two pictures",
    "image": "Model reads picture and prompt",
    "generate": "Model writes",
    "other": "The rest",
}

MEASURED = 50
"""Milliseconds of writing from which on a pace is told: less says nothing of it."""


@dataclass(frozen=True, slots=True)
class State:
    """How a camera is: ``kind`` for the eye, ``words`` for everybody."""

    kind: str
    words: str


def state(camera: CameraFacts, *, paused: bool) -> State:
    if not camera.enabled:
        return State("off", "Switched off" if paused else "Switched off; looks only when asked")
    if paused:
        return State("paused", "Paused")
    if not camera.online:
        fresh = camera.state is not CameraState.LIVE or camera.failing is not None
        return State("offline", OFFLINE[camera.state] if fresh else "No fresh caption")
    if camera.failing is not None:
        return State("failed", ERRORS.get(camera.failing.kind, "No caption"))
    return _looking(camera)


def _looking(camera: CameraFacts) -> State:
    if camera.state in (CameraState.STARTING, CameraState.CONNECTING) and (camera.every or camera.cron):
        return State("starting", "Starting")
    if camera.every is not None:
        return State("looking", f"Looks every {duration(camera.every)}")
    return State("looking", "Looks by its timetable") if camera.cron else State("asleep", "Looks when asked")


def engine(said: str) -> State:
    """``ready``, ``starting``, ``failed: …``."""
    known, _, detail = said.partition(":")
    kind = known if known in ("ready", "failed") else "starting"
    return State(kind, f"Engine {known}" + (f": {detail.strip()}" if detail else ""))


def question(name: str, questions: Mapping[str, Question]) -> str:
    """What people call it."""
    asked = questions.get(name)
    return (asked.name if asked else None) or name.replace("_", " ")


def value(answer: Answer, asked: Question | None) -> str:
    """``yes``, ``3 cars``, ``on the step``, ``no answer``."""
    if answer.value is None:
        return "no answer"
    if isinstance(answer.value, bool):
        return "yes" if answer.value else "no"
    said = f"{answer.value:g}" if isinstance(answer.value, float) else str(answer.value)
    return f"{said} {asked.unit}" if isinstance(asked, NumberQuestion) and asked.unit else said


def percent(confidence: float) -> str:
    return f"{confidence:.0%}".replace("%", " %")


def milliseconds(ms: float) -> str:
    """``770 ms``, ``1.24 s``, ``35.7 s``."""
    if ms < 1000:
        return f"{round(ms)} ms"
    if ms < 10_000:
        return f"{ms / 1000:.2f} s"
    return f"{ms / 1000:.1f} s" if ms < 100_000 else duration(ms / 1000)


def ago(time: datetime, now: datetime) -> str:
    """``just now``, ``12 s ago``, ``3 min ago``."""
    seconds = int((now - time).total_seconds())
    if seconds < 1:
        return "just now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
