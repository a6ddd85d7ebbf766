"""What the messages hold. Every key is always there: a template in Home Assistant stumbles over a missing one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.plugin import (
    Answer,
    BooleanQuestion,
    CameraInfo,
    ChoiceQuestion,
    HomeState,
    NumberQuestion,
    Observation,
    Question,
)

STATE_LIMIT = 255
"""Characters Home Assistant takes as a state."""
CAPTION_LIMIT = 8000
"""Bytes of caption in an attribute: Home Assistant's recorder drops all attributes beyond 16,384 bytes."""
ANSWER_LIMIT = 300
"""Bytes of a text among the answers there, of which there are twenty at most."""
ELLIPSIS = "…"
_LOOK = ("id", "reason", "taken_at", "finished_at", "truncated", "changed", "captioner", "model", "tokens")
COUNTERS = ("captions_per_minute", "queued", "dropped")
"""Of the hub: they always change."""
_NO_ANSWER = Answer(value=None)


def encode(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def state(camera: CameraInfo, look: Observation | None, *, picture: bool, fresh: bool = True) -> dict[str, Any]:
    """The camera's last good look and its settings; ``picture``: the one of this look is on the picture topic.

    Answers are given while they are ``fresh`` only: a light may hang on them.
    """
    given = look.answers if look and fresh else {}
    answers = {id_: _fitting(question, given.get(id_, _NO_ANSWER)) for id_, question in camera.questions.items()}
    return {
        "camera": camera.id,
        "name": camera.name,
        **seen(look),
        "answers": _answers(answers),
        "latency_ms": look.latency_ms.model_dump() if look else None,
        "picture": look.picture.model_dump(exclude={"path"}) if look and look.picture and picture else None,
        "enabled": "ON" if camera.enabled else "OFF",
        "every": camera.every,
        "prompt": camera.prompt,
        "captioners": list(camera.captioner),
    }


def is_state_of(camera: str, payload: bytes) -> bool:
    """It is one of ``state``, and nobody else's message on a topic that happens to be called alike."""
    try:
        whole = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(whole, dict) and whole.get("camera") == camera and "captioners" in whole


def health(camera: CameraInfo) -> dict[str, Any]:
    """How the camera is doing."""
    return {
        "online": camera.online,
        "state": camera.state,
        "since": camera.since.wall.isoformat(timespec="seconds"),
        "problem": camera.problem,
        "failing": camera.failing.kind if camera.failing else None,
        "failures": camera.failures,
    }


def event(look: Observation, kind: str) -> dict[str, Any]:
    """What happened, for automations: ``caption``, ``error``, or the name of the question that turned to yes."""
    return {
        "event_type": kind,
        "camera": look.camera,
        **seen(look),
        "error": look.error.model_dump(mode="json") if look.error else None,
    }


def turned_on(camera: CameraInfo, look: Observation, before: Observation | None) -> list[str]:
    """The yes/no questions that this look, after the one before, answers with yes at last."""

    def on(of: Observation | None, id_: str) -> bool:
        answer = of.answers.get(id_) if of else None
        return answer is not None and answer.steady is True

    booleans = [id_ for id_, question in camera.questions.items() if isinstance(question, BooleanQuestion)]
    return [id_ for id_ in booleans if on(look, id_) and not on(before, id_)]


def answer(look: Observation) -> dict[str, Any]:
    """What came of a question that somebody asked."""
    told = seen(look)
    return {
        "short": told["short"],
        "answer": told["caption"],
        "question": cut_bytes(look.prompt or "", CAPTION_LIMIT // 2),
        **{key: told[key] for key in ("id", "reason", "taken_at", "truncated", "captioner", "model")},
        "error": look.error.model_dump(mode="json") if look.error else None,
    }


def _fitting(question: Question, given: Answer) -> Answer:
    """No answer where the question was another one when it was given."""
    value = given.value
    match question:
        case BooleanQuestion():
            fits = isinstance(value, bool)
        case NumberQuestion():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = number and question.min <= float(value or 0) <= question.max
        case ChoiceQuestion():
            fits = value in question.options
        case _:
            fits = isinstance(value, str)
    # A yes or no that was not given leaves what was steady before.
    steady = given.steady if isinstance(question, BooleanQuestion) else None
    return given if fits else Answer(value=None, steady=steady)


def _answers(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Each fits into a state; a longer text is whole in the observation."""

    def one(given: Answer) -> dict[str, Any]:
        text = isinstance(given.value, str)
        value = cut_bytes(cut(" ".join(str(given.value).split()), STATE_LIMIT), ANSWER_LIMIT) if text else given.value
        return {"value": value, "confidence": given.confidence, "steady": given.steady}

    return {id_: one(given) for id_, given in answers.items()}


def seen(look: Observation | None) -> dict[str, Any]:
    """What a look saw, small enough for Home Assistant."""
    fields = look.model_dump(mode="json", include=set(_LOOK)) if look else {}
    whole = (look.caption or "") if look else ""
    caption = cut_bytes(whole, CAPTION_LIMIT)
    return {
        "short": cut(" ".join(caption.split()), STATE_LIMIT) if look and look.caption is not None else None,
        "caption": caption if look and look.caption is not None else None,
        "caption_cut": caption != whole,
        **{key: fields.get(key) for key in _LOOK},
        "answers": _answers(look.answers) if look else {},
    }


def hub(home: HomeState) -> dict[str, Any]:
    return {
        "version": home.version,
        "engine": home.engine,
        "model": home.model,
        "paused": "ON" if home.paused else "OFF",
        "log_level": home.log_level,
        "captions_per_minute": round(home.captions_per_minute, 1),
        "queued": home.queued,
        "dropped": home.dropped,
        "cameras": {
            camera.id: {"name": camera.name, "online": camera.online, "state": camera.state, "problem": camera.problem}
            for camera in home.cameras.values()
        },
    }


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut after a word where there is one, with an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[: limit - len(ELLIPSIS)]
    words = head if text[len(head)].isspace() else head.rpartition(" ")[0]
    return (words or head).rstrip(" ,;:.") + ELLIPSIS


def cut_bytes(text: str, limit: int) -> str:
    """As ``cut``, by the bytes the text takes in JSON."""
    if _size(text) <= limit:
        return text
    low, high = 0, limit
    while low < high:  # the longest cut that fits: a character takes one to six bytes
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(cut(text, middle)) <= limit else (low, middle - 1)
    return cut(text, low)


def _size(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2
