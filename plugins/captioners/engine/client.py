"""Talks to the engine: the OpenAI-compatible HTTP API of llama-server."""

from __future__ import annotations

import asyncio
import base64
import json
from types import TracebackType
from typing import Self

import httpx

from agent.plugin import Caption, CaptionUnavailable, Failure, Wire
from plugins.captioners import chat
from plugins.captioners.engine.endpoint import Endpoint

HEALTH_WITHIN = 2.0


class Client:
    """One engine's API, while that engine lives."""

    def __init__(self, endpoint: Endpoint, key: str | None = None, lead: str = "") -> None:
        """``lead``: what every message says before its picture."""
        self._endpoint = endpoint
        self._lead = lead
        self._headers = headers = {"Authorization": f"Bearer {key}"} if key else {}
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
        except (httpx.TransportError, TimeoutError, chat.TooLong):
            return False
        return status == httpx.codes.OK

    async def sees(self) -> bool | None:
        """The model takes pictures; None where this engine does not tell."""
        try:
            async with asyncio.timeout(HEALTH_WITHIN):
                props = chat.parsed((await self._send("GET", "/props"))[1])
                vision = chat.dig(props, "modalities", "vision")
                if isinstance(vision, bool):
                    return vision
                models = chat.parsed((await self._send("GET", "/v1/models"))[1])
        except (httpx.TransportError, TimeoutError, chat.TooLong):
            return None
        kinds = chat.dig(models, "data", 0, "architecture", "input_modalities")
        if isinstance(kinds, list):
            return "image" in kinds
        able = chat.dig(models, "models", 0, "capabilities")
        return "multimodal" in able if isinstance(able, list) else None

    async def ask(
        self, picture: bytes, text: str, max_tokens: int, temperature: float, model: str, timeout: float
    ) -> Caption:
        """Raises CaptionUnavailable, and EngineLost where the connection broke."""
        body = self.body(encoded(picture), chat.Asked(text, max_tokens), temperature)
        return (await self.complete(body, model, timeout)).caption

    def body(self, picture: bytes, asked: chat.Asked, temperature: float, slot: int = -1) -> bytes:
        """The request, for any slot or for one: what that holds of the same picture already is not computed again.

        ``picture`` is one of ``encoded``. An answer that keeps to a grammar is the likeliest, whatever the temperature.
        """
        question = chat.question(b"", asked, 0.0 if asked.grammar else temperature) | asked.probabilities
        question |= {"id_slot": slot, "cache_prompt": True} | ({"grammar": asked.grammar} if asked.grammar else {})
        if self._lead:
            question["messages"][0]["content"].insert(0, {"type": "text", "text": self._lead})
        before, mark, after = json.dumps(question).encode().partition(b";base64,")
        return b"".join((before, mark, picture, after))

    async def complete(self, body: bytes, model: str, timeout: float) -> chat.Said:
        """``body`` is one of ``body``. Raises as ``ask`` does."""
        return chat.read(await self.answer(body, timeout), model)

    async def answer(self, body: bytes, timeout: float) -> bytes:
        """The whole of it, as JSON. Raises as ``ask`` does."""
        try:
            async with asyncio.timeout(timeout):
                status, answer = await self._send("POST", chat.PATH, body)
        except TimeoutError:
            raise CaptionUnavailable(
                Failure.ENGINE_TIMEOUT,
                f"The model took longer than {timeout:g} s. Give the camera a longer timeout or use a smaller model.",
            ) from None
        except httpx.ConnectError:
            raise EngineLost("The engine can't be reached; it is being looked after.") from None
        except httpx.TransportError:
            raise EngineLost("The engine went away in the middle of the caption.") from None
        except chat.TooLong:
            raise CaptionUnavailable(Failure.NO_ANSWER, "The engine's answer has no end.") from None
        if status != httpx.codes.OK:
            raise _refusal(status, answer)
        return answer

    def wire(self, body: bytes) -> Wire:
        headers = {**self._headers, "Content-Type": "application/json"}
        return Wire(f"{self._endpoint.url}{chat.PATH}", body, headers, self._endpoint.socket)

    async def _send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body else None
        async with self._http.stream(method, path, content=body, headers=headers) as response:
            return response.status_code, await chat.body_of(response)


class EngineLost(CaptionUnavailable):
    """The connection to the engine broke, or there was none."""

    def __init__(self, reason: str) -> None:
        super().__init__(Failure.ENGINE, reason)


def encoded(picture: bytes) -> bytes:
    """A picture as ``body`` takes it: done once, however much is asked about it."""
    return base64.b64encode(picture)


def _refusal(status: int, body: bytes) -> CaptionUnavailable:
    said = chat.complaint(body)
    if "mmproj" in said:
        return CaptionUnavailable(Failure.ENGINE, f"The engine's model can't see pictures: {said}")
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        return CaptionUnavailable(Failure.ENGINE, f"The engine is not ready: {said}")
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN} or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return CaptionUnavailable(Failure.ENGINE, f"The engine failed (HTTP {status}): {said}")
    return CaptionUnavailable(Failure.REFUSED, f"The engine would not take the picture or prompt: {said}")
