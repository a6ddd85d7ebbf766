"""What an engine's answers come to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.plugin import CaptionRequest, CaptionUnavailable, Failure
from plugins.captioners.chat import clean
from tests.fakes.engine.stand_in import ANSWER, Behaviour, misbehave, questions, stand_in
from tests.plugins.captioners.llama_server.conftest import Running

Ask = Callable[..., CaptionRequest]


def refused(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "type": "invalid_request_error"}}


def says(text: str | None, reason: str = "stop") -> dict[str, Any]:
    return {**ANSWER, "choices": [{"message": {"content": text}, "finish_reason": reason}]}


async def test_every_kind_of_answer_is_told_apart(running: Running, short: Path, request_: Ask):
    server = stand_in(short, Behaviour())
    cases: list[tuple[dict[str, Any], Failure, str]] = [
        ({"status": 400, "answer": refused("Failed to load image")}, Failure.REFUSED, "prompt: Failed to load image"),
        ({"status": 400, "answer": refused("x" * 5000)}, Failure.REFUSED, "x" * 300),
        ({"status": 500, "answer": refused("provide the mmproj")}, Failure.ENGINE, "can't see pictures"),
        ({"status": 503, "answer": refused("Loading model")}, Failure.ENGINE, "not ready: Loading model"),
        ({"status": 500, "answer": "<html>"}, Failure.ENGINE, "HTTP 500"),
        ({"status": 401, "answer": refused("Invalid API Key")}, Failure.ENGINE, "HTTP 401"),
        ({"answer": says(" <end_of_utterance>")}, Failure.NO_ANSWER, "nothing"),
        ({"answer": says(None)}, Failure.NO_ANSWER, "nothing"),
        ({"answer": "not JSON"}, Failure.NO_ANSWER, "makes no sense: 'not JSON'"),
        ({"answer": {"choices": []}}, Failure.NO_ANSWER, "makes no sense"),
        ({"endless": True}, Failure.NO_ANSWER, "has no end"),
    ]
    async with running(binary=server) as engine:
        await engine.ready(20)
        for how, kind, words in cases:
            misbehave(server, **how)
            with pytest.raises(CaptionUnavailable) as caught:
                await engine.caption(request_())
            assert caught.value.kind is kind, how
            assert words in str(caught.value)
            assert len(str(caught.value)) < 500
        misbehave(server, answer=says("It was cut", "length"))
        caption = await engine.caption(request_())
        assert (caption.text, caption.truncated, caption.model) == ("It was cut", True, "tiny")
        assert engine.state == "ready"


async def test_picture_comes_before_the_words(running: Running, short: Path, request_: Ask):
    server = stand_in(short, Behaviour())
    async with running(binary=server) as engine:
        await engine.ready(20)
        await engine.caption(request_(b"\xff\xd8 a jpeg", prompt="Who is ät the door?"))
    (question,) = questions(server)
    picture, words = question["messages"][0]["content"]
    assert base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,")) == b"\xff\xd8 a jpeg"
    assert words == {"type": "text", "text": "Who is ät the door?"}
    assert (question["temperature"], question["max_tokens"], question["cache_prompt"]) == (0, 60, True)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" A cat.\n", "A cat."),
        ("A cat.<end_of_utterance>", "A cat."),
        ('"A cat."', "A cat."),
        ('"A cat" and "a dog"', '"A cat" and "a dog"'),
        ("“A cat.”", "A cat."),
        ('"', '"'),
        ("", ""),
    ],
)
def test_words_are_cleaned_of_the_chat_formats_marks(raw: str, text: str):
    assert clean(raw) == text
