"""Talks to the engine: the OpenAI-compatible HTTP API of llama-server."""

from __future__ import annotations

import asyncio
import base64
import json
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import BaseModel, ValidationError

from agent.plugin import Caption, CaptionRequest, CaptionUnavailable, Failure
from plugins.captioners.llama_server.endpoint import Endpoint

HEALTH_WITHIN = 2.0
MOST_BYTES = 1 << 20
"""No answer we ask for is longer."""
LONGEST_QUOTE = 300
_SPECIAL = ("<end_of_utterance>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "</s>", "<eos>")
_QUOTES = (('"', '"'), ("“", "”"))


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Timings(BaseModel):
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    predicted_n: int = 0


class _Completion(BaseModel):
    choices: list[_Choice]
    timings: _Timings = _Timings()


class Client:
    """One engine's API, while that engine lives."""

    def __init__(self, endpoint: Endpoint, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Each call has a deadline of its own, over the whole of it; a proxy has no business between us and the engine.
        timeout = httpx.Timeout(None)
        self._http = httpx.AsyncClient(
            transport=endpoint.transport(), base_url=endpoint.url, headers=headers, timeout=timeout, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def healthy(self) -> bool:
        """It has loaded its model and answers."""
        try:
            async with asyncio.timeout(HEALTH_WITHIN):
                status, _ = await self._send("GET", "/health")
        except (httpx.TransportError, TimeoutError, _TooLong):
            return False
        return status == httpx.codes.OK

    async def sees(self) -> bool | None:
        """The model takes pictures; None where this engine does not tell."""
        try:
            async with asyncio.timeout(HEALTH_WITHIN):
                props = _json((await self._send("GET", "/props"))[1])
                vision = _dig(props, "modalities", "vision")
                if isinstance(vision, bool):
                    return vision
                models = _json((await self._send("GET", "/v1/models"))[1])
        except (httpx.TransportError, TimeoutError, _TooLong):
            return None
        kinds = _dig(models, "data", 0, "architecture", "input_modalities")
        if isinstance(kinds, list):
            return "image" in kinds
        able = _dig(models, "models", 0, "capabilities")
        return "multimodal" in able if isinstance(able, list) else None

    async def caption(self, request: CaptionRequest, temperature: float, model: str) -> Caption:
        """Raises CaptionUnavailable, and EngineLost where the connection broke."""
        try:
            async with asyncio.timeout(request.timeout):
                status, body = await self._send("POST", "/v1/chat/completions", _question(request, temperature))
        except TimeoutError:
            raise CaptionUnavailable(
                Failure.ENGINE_TIMEOUT,
                f"The model took longer than {request.timeout:g} s. Give the camera a longer timeout or use a smaller "
                "model.",
            ) from None
        except httpx.ConnectError:
            raise EngineLost("The engine can't be reached; it is being looked after.") from None
        except httpx.TransportError:
            raise EngineLost("The engine went away in the middle of the caption.") from None
        except _TooLong:
            raise CaptionUnavailable(Failure.NO_ANSWER, "The engine's answer has no end.") from None
        if status != httpx.codes.OK:
            raise _refusal(status, body)
        return _caption(body, model)

    async def _send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body else None
        async with self._http.stream(method, path, content=body, headers=headers) as response:
            received = b""
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > MOST_BYTES:
                    raise _TooLong
            return response.status_code, received


class EngineLost(CaptionUnavailable):
    """The connection to the engine broke, or there was none."""

    def __init__(self, reason: str) -> None:
        super().__init__(Failure.ENGINE, reason)


class _TooLong(Exception):
    pass


def _question(request: CaptionRequest, temperature: float) -> bytes:
    """The picture before the text: SmolVLM answers better so, and a further question about it is nearly free."""
    url = f"data:image/jpeg;base64,{base64.b64encode(request.picture).decode('ascii')}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": request.prompt}]
    question = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": request.max_tokens,
        "temperature": temperature,
        "cache_prompt": True,
    }
    return json.dumps(question).encode()


def _caption(body: bytes, model: str) -> Caption:
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
        tokens=timings.predicted_n,
        image_ms=timings.prompt_ms,
        generate_ms=timings.predicted_ms,
        model=model,
    )


def clean(text: str) -> str:
    """A model's words without the marks of its chat format and without quotes around the whole."""
    for mark in _SPECIAL:
        text = text.replace(mark, " ")
    text = text.strip()
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text[0] == opening and text[-1] == closing and not {opening, closing} & set(inner):
            text = inner.strip()
    return text


def _refusal(status: int, body: bytes) -> CaptionUnavailable:
    words = _dig(_json(body), "error", "message")
    said = words[:LONGEST_QUOTE] if isinstance(words, str) else _quote(body)
    if "mmproj" in said:
        return CaptionUnavailable(Failure.ENGINE, f"The engine's model can't see pictures: {said}")
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        return CaptionUnavailable(Failure.ENGINE, f"The engine is not ready: {said}")
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN} or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return CaptionUnavailable(Failure.ENGINE, f"The engine failed (HTTP {status}): {said}")
    return CaptionUnavailable(Failure.REFUSED, f"The engine would not take the picture or prompt: {said}")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _dig(value: Any, *path: str | int) -> Any:
    """``value[a][b]…``, or None where something on the way is missing."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _quote(body: bytes) -> str:
    return repr(body[:LONGEST_QUOTE].decode("utf-8", "replace"))
