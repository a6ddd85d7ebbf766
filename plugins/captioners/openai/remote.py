"""One endpoint: asks it, and leaves it alone for a while after it failed."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version

import httpx

from agent.plugin import CaptionUnavailable, Failure, Wire
from plugins.captioners import chat
from plugins.captioners.openai.config import Endpoint
from plugins.tls import UnusableFile, distrust
from plugins.unreachable import why

USER_AGENT = f"camscribe/{version('camscribe')}"
CONNECT_WITHIN = 5.0
"""Seconds; the rest of a look's time is the next endpoint's."""
FIRST_REST, LONGEST_REST = 1.0, 30.0
FIX_FIRST = 60.0
"""Seconds of rest where somebody has to change something first: a key, a model's name, an address."""
KEPT_OPEN = 2.0
"""Seconds an idle connection is used again: long enough for questions, and shorter than servers wait before they close
it, which they may do in the moment we ask."""
LONGEST_ASKED = 3600.0
"""A Retry-After beyond an hour is not believed."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Why an endpoint is left alone, and until when (monotonic seconds)."""

    until: float
    reason: str


class Remote:
    """``ask`` it. While it rests, asking fails at once: no storm of retries hits what is down."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.rest: Rest | None = None
        self.weighs = True
        """It tells probabilities, or has not been asked for any yet."""
        self._pause = FIRST_REST
        self._http: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    @property
    def resting(self) -> float:
        """Seconds it is still left alone; 0.0: it may be asked."""
        return max(0.0, self.rest.until - time.monotonic()) if self.rest else 0.0

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def ask(self, picture: bytes, asked: chat.Asked, temperature: float, timeout: float) -> chat.Said:
        """Raises CaptionUnavailable."""
        body = self._body(picture, asked, temperature)
        try:
            async with asyncio.timeout(timeout):
                status, answer, headers = await self._send("POST", "chat/completions", body)
        except TimeoutError:
            reason = f"{self._name} took longer than {timeout:.3g} s. Give it more time, or use a smaller model."
            raise self._failed(reason, kind=Failure.ENGINE_TIMEOUT) from None
        except UnusableFile as error:
            raise self._failed(f"{self._name} can't be asked: {error}", FIX_FIRST) from None
        except httpx.RequestError as error:
            raise self._failed(f"{self._name} {self._broken(error)}") from None
        except chat.TooLong:
            raise CaptionUnavailable(Failure.NO_ANSWER, f"{self._name} gave an answer without an end.") from None
        if status != httpx.codes.OK:
            raise self._refusal(status, answer, headers)
        said = chat.read(answer, self.endpoint.model)
        self.rest, self._pause = None, FIRST_REST
        return said

    async def models(self, timeout: float) -> list[str] | None:
        """The names it offers; empty where there are too many to tell, None where the answer is none of such an API.

        Raises CaptionUnavailable.
        """
        try:
            async with asyncio.timeout(timeout):
                status, answer, headers = await self._send("GET", "models")
        except TimeoutError:
            raise CaptionUnavailable(Failure.ENGINE, f"{self._name} did not answer within {timeout:g} s.") from None
        except UnusableFile as error:
            raise CaptionUnavailable(Failure.ENGINE, f"{self._name} can't be asked: {error}") from None
        except httpx.RequestError as error:
            raise CaptionUnavailable(Failure.ENGINE, f"{self._name} {self._broken(error)}") from None
        except chat.TooLong:
            return []
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise self._refusal(status, answer, headers)
        found = chat.dig(chat.parsed(answer), "data")
        if not isinstance(found, list):
            return None
        names = [chat.dig(entry, "id") for entry in found]
        return [name for name in names if isinstance(name, str)]

    def wire(self, picture: bytes, asked: chat.Asked, temperature: float) -> Wire:
        body = self._body(picture, asked, temperature)
        return Wire(str(self.endpoint.at("chat/completions")), body, self._headers)

    @property
    def _name(self) -> str:
        return f"The endpoint {self.endpoint.place}"

    @property
    def _headers(self) -> dict[str, str]:
        key = self.endpoint.api_key
        login = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        return {"Content-Type": "application/json", "User-Agent": USER_AGENT} | login

    def _body(self, picture: bytes, asked: chat.Asked, temperature: float) -> bytes:
        question = chat.question(picture, asked, temperature) | (asked.probabilities if self.weighs else {})
        return json.dumps({"model": self.endpoint.model, **question, **self.endpoint.extra_body}).encode()

    async def _send(self, method: str, what: str, body: bytes | None = None) -> tuple[int, bytes, httpx.Headers]:
        """Status, body and headers. Raises httpx.RequestError, UnusableFile, TooLong."""
        http = await self._opened()
        async with http.stream(method, self.endpoint.at(what), content=body) as response:
            return response.status_code, await chat.body_of(response), response.headers

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._http is None:
                secure = self.endpoint.address.scheme == "https"
                # Loading the authorities reads files and takes a while.
                trust = await asyncio.to_thread(self.endpoint.tls.context) if secure else False
                self._http = httpx.AsyncClient(
                    verify=trust,
                    headers=self._headers,
                    timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
                    limits=httpx.Limits(keepalive_expiry=KEPT_OPEN),
                    trust_env=False,
                )
            return self._http

    def _broken(self, error: httpx.RequestError) -> str:
        if untrusted := distrust(error):
            return f"can't be trusted: {untrusted}."
        if isinstance(error, httpx.ConnectTimeout):
            return "does not answer: is it switched on, and the address right?"
        if known := why(error, self.endpoint.address.host):
            return known
        if isinstance(error, httpx.DecodingError):
            return "sent an answer that is not what its head says."
        if isinstance(error, httpx.ConnectError):
            return f"can't be reached ({type(error).__name__})."
        return "went away in the middle of the answer."

    def _failed(self, reason: str, rest: float | None = None, kind: Failure = Failure.ENGINE) -> CaptionUnavailable:
        """It is left alone for a while, longer each time."""
        if rest is None:
            rest, self._pause = self._pause, min(self._pause * 2, LONGEST_REST)
        self.rest = Rest(time.monotonic() + rest, reason)
        return CaptionUnavailable(kind, reason)

    def _refusal(self, status: int, body: bytes, headers: httpx.Headers) -> CaptionUnavailable:
        said = self._without_key(chat.complaint(body))
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            return self._failed(f"{self._name} refused the key (HTTP {status}): check api_key.", FIX_FIRST)
        if status == httpx.codes.NOT_FOUND:
            return self._failed(
                f"{self._name} has no model '{self.endpoint.model}', or is no such API: check model and url. It "
                f"says: {said}",
                FIX_FIRST,
            )
        if httpx.codes.is_redirect(status):
            return self._failed(f"{self._name} sends us elsewhere (HTTP {status}): check url.", FIX_FIRST)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            asked = retry_after(headers) or self._pause
            return self._failed(f"{self._name} wants fewer calls (HTTP 429): set calls_per_minute.", asked)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return self._failed(f"{self._name} failed (HTTP {status}): {said}", retry_after(headers))
        return CaptionUnavailable(
            Failure.REFUSED, f"{self._name} would not take the picture or prompt (HTTP {status}): {said}"
        )

    def _without_key(self, said: str) -> str:
        """Some tell what they were sent."""
        key = self.endpoint.api_key
        return said.replace(key.get_secret_value(), "***") if key else said


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds, of a number or a date; None where there is none that makes sense."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return min(float(text), LONGEST_ASKED)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(seconds, LONGEST_ASKED) if seconds > 0 else None
