"""The OpenAI-compatible chat API: what is asked about a picture, and what comes back."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from agent.plugin import Caption, CaptionUnavailable, Failure

PATH = "/v1/chat/completions"
MOST_BYTES = 1 << 20
"""No answer we ask for is longer."""
LONGEST_QUOTE = 300
_SPECIAL = ("<end_of_utterance>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "</s>", "<eos>")
_THOUGHT = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_QUOTES = (('"', '"'), ("“", "”"))


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Timings(BaseModel):
    """llama-server's own; others have none."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    predicted_n: int = 0


class _Usage(BaseModel):
    completion_tokens: int = 0


class _Completion(BaseModel):
    choices: list[_Choice]
    timings: _Timings = _Timings()
    usage: _Usage | None = None


def question(picture: bytes, text: str, max_tokens: int, temperature: float) -> dict[str, Any]:
    """The request's body. The picture before the text: SmolVLM answers better so, and where the server keeps a prompt's
    beginning, a further question about the same picture is nearly free."""
    url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_tokens,
        "temperature": temperature,
    }


def read(body: bytes, model: str) -> Caption:
    """Raises CaptionUnavailable where it holds no words."""
    try:
        completion = _Completion.model_validate_json(body)
        choice = completion.choices[0]
    except (ValidationError, IndexError):
        raise CaptionUnavailable(
            Failure.NO_ANSWER, f"The engine gave an answer that makes no sense: {_quote(body)}"
        ) from None
    text = clean(choice.message.content or "")
    if not text:
        raise CaptionUnavailable(Failure.NO_ANSWER, "The model answered with nothing. Try another prompt.")
    timings = completion.timings
    return Caption(
        text=text,
        truncated=choice.finish_reason == "length",
        tokens=timings.predicted_n or (completion.usage.completion_tokens if completion.usage else 0),
        image_ms=timings.prompt_ms,
        generate_ms=timings.predicted_ms,
        model=model,
    )


def clean(text: str) -> str:
    """A model's words without its thoughts, the marks of its chat format and quotes around the whole."""
    text = _THOUGHT.sub("", text)
    for mark in _SPECIAL:
        text = text.replace(mark, " ")
    text = text.strip()
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text[0] == opening and text[-1] == closing and not {opening, closing} & set(inner):
            text = inner.strip()
    return text


def complaint(body: bytes) -> str:
    """What a refusal says: its ``error.message``, else its beginning."""
    words = dig(parsed(body), "error", "message")
    return words[:LONGEST_QUOTE] if isinstance(words, str) else _quote(body)


class TooLong(Exception):
    """The answer is longer than any we ask for."""


async def body_of(response: httpx.Response) -> bytes:
    """What an HTTP response that is being streamed holds. Raises TooLong."""
    received = b""
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) > MOST_BYTES:
            raise TooLong
    return received


def parsed(body: bytes) -> Any:
    """The JSON in it, or None."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def dig(value: Any, *path: str | int) -> Any:
    """``value[a][b]…``, or None where something on the way is missing."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _quote(body: bytes) -> str:
    return repr(body[:LONGEST_QUOTE].decode("utf-8", "replace"))
