"""The OpenAI-compatible chat API: what is asked about a picture, and what comes back."""

from __future__ import annotations

import base64
import builtins
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from agent.plugin import Caption, CaptionUnavailable, Failure
from plugins.captioners.weighing import Token

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
    logprobs: Any = None


class _Piece(BaseModel):
    token: str
    bytes: list[int] | None = None
    logprob: float

    @property
    def said(self) -> builtins.bytes:
        """Of a token that is part of a letter, ``token`` can't tell."""
        return self.token.encode() if self.bytes is None else builtins.bytes(self.bytes)

    @property
    def probability(self) -> float:
        return math.exp(min(0.0, self.logprob)) if math.isfinite(self.logprob) else 0.0


class _Place(_Piece):
    top_logprobs: list[_Piece] = []


class _Places(BaseModel):
    content: list[_Place]


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


TOPS = 20
"""So many tokens that might have been said in a token's place are told; more no endpoint allows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about a picture."""

    text: str
    max_tokens: int
    grammar: str = ""
    """GBNF that the answer keeps to, where the engine can."""
    weighed: bool = False
    """The tokens' probabilities are wanted."""

    @property
    def probabilities(self) -> dict[str, Any]:
        """What the request says of them."""
        return {"logprobs": True, "top_logprobs": TOPS} if self.weighed else {}


@dataclass(frozen=True, slots=True)
class Said:
    """What came back."""

    caption: Caption
    tokens: tuple[Token, ...] = ()
    """With their probabilities; none where they were not asked for, or the engine does not tell."""


def question(picture: bytes, asked: Asked, temperature: float) -> dict[str, Any]:
    """The request's body. The picture before the text: SmolVLM answers better so, and where the server keeps a prompt's
    beginning, a further question about the same picture is nearly free."""
    url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": asked.text}]
    return {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": asked.max_tokens,
        "temperature": temperature,
    }


def read(body: bytes, model: str) -> Said:
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
    caption = Caption(
        text=text,
        truncated=choice.finish_reason == "length",
        tokens=timings.predicted_n or (completion.usage.completion_tokens if completion.usage else 0),
        image_ms=timings.prompt_ms,
        generate_ms=timings.predicted_ms,
        model=model,
    )
    return Said(caption, _tokens(choice.logprobs))


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    """None where they are not what such an API tells: nothing hangs on them but how sure the model is."""
    try:
        places = _Places.model_validate(logprobs).content
        return tuple(Token(place.said, _likely(place)) for place in places)
    except (ValidationError, ValueError):
        return ()


def _likely(place: _Place) -> Mapping[bytes, float]:
    """Different tokens may read alike."""
    likely: dict[bytes, float] = {}
    for piece in place.top_logprobs:
        likely[piece.said] = likely.get(piece.said, 0.0) + piece.probability
    likely.setdefault(place.said, place.probability)
    return likely


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
