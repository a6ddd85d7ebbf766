"""The captioner plugin: asks its endpoints in order, within its budget."""

from __future__ import annotations

import asyncio

from agent.plugin import (
    Caption,
    Captioner,
    CaptionRequest,
    CaptionUnavailable,
    Context,
    Detail,
    Failure,
    Geometry,
    ModelView,
    Wire,
)
from plugins.captioners.answering import caption_and_answers
from plugins.captioners.chat import Asked, Said
from plugins.captioners.openai.budget import Budget
from plugins.captioners.openai.config import OpenAIConfig
from plugins.captioners.openai.remote import Remote

CHECK_WITHIN = 8.0
LONGEST_EDGE = 4096


class OpenAI(Captioner[OpenAIConfig]):
    """Captions by whoever speaks the OpenAI-compatible chat API."""

    def __init__(self, config: OpenAIConfig, context: Context, budget: Budget | None = None) -> None:
        super().__init__(config, context)
        self.slots = config.parallel
        self._budget = budget or Budget(config.calls_per_minute)
        self._remotes = [Remote(endpoint) for endpoint in (config, *config.fallbacks)]

    def view(self, detail: Detail = Detail.MEDIUM) -> ModelView:
        size = self.config.picture_size
        if self.config.geometry is Geometry.SQUARE or detail is Detail.MEDIUM:
            return ModelView(self.config.geometry, size)
        return ModelView(self.config.geometry, size // 2 if detail is Detail.LOW else min(size * 2, LONGEST_EDGE))

    @property
    def model(self) -> str:
        return self.config.model

    @property
    def state(self) -> str:
        """``ready``, ``ready (a fallback): …`` or ``failed: …``."""
        awake = [remote for remote in self._remotes if not remote.resting]
        first = self._remotes[0]
        if awake and awake[0] is first:
            return "ready"
        reason = first.rest.reason if first.rest else ""
        return f"ready (a fallback answers): {reason}" if awake else f"failed: {reason}"

    async def run(self) -> None:
        """Nothing to keep alive: only what is open is closed at the end."""
        try:
            await asyncio.Event().wait()
        finally:
            for remote in self._remotes:
                await remote.close()

    async def ready(self, timeout: float) -> None:
        """Waits for the budget: what waits in the queue meanwhile can still be replaced by something fresher."""
        if not await self._budget.free(timeout):
            raise self._spent()

    async def check(self) -> str:
        tried = await asyncio.gather(*(_tried(remote) for remote in self._remotes), return_exceptions=True)
        served: list[str] = []
        faults: list[str] = []
        for found in tried:
            if isinstance(found, CaptionUnavailable):
                faults.append(str(found))
            elif isinstance(found, BaseException):
                raise found
            else:
                served.append(found)
        if faults:
            others = [f"Meanwhile it is {text}." for text in served[:1]]
            raise CaptionUnavailable(Failure.ENGINE, " ".join([*faults, *others]))
        return ", else ".join(served)

    async def caption(self, request: CaptionRequest) -> Caption:
        ends = asyncio.get_running_loop().time() + request.timeout

        async def ask(asked: Asked) -> Said:
            return await self._first_that_answers(request.picture, asked, ends)

        return await caption_and_answers(request, ask)

    def wire(self, request: CaptionRequest) -> Wire:
        asked = Asked(request.prompt, request.max_tokens)
        return self._remotes[0].wire(request.picture, asked, self.config.temperature)

    async def _first_that_answers(self, picture: bytes, asked: Asked, ends: float) -> Said:
        """Raises CaptionUnavailable with every endpoint's reason; its kind is the last one's."""
        reasons: list[str] = []
        kind = Failure.ENGINE
        for place, remote in enumerate(self._remotes):
            left = ends - asyncio.get_running_loop().time()
            if remote.resting and remote.rest:
                reasons.append(remote.rest.reason)
                continue
            if left <= 0:
                break
            if not self._budget.spend():
                raise self._spent()
            try:
                # One that hangs must leave time for the next.
                others = any(not other.resting for other in self._remotes[place + 1 :])
                within = min(left, remote.endpoint.timeout or (left / 2 if others else left))
                return await self._ask(remote, picture, asked, within)
            except CaptionUnavailable as error:
                kind = error.kind
                reasons.append(str(error))
                if remote is not self._remotes[-1]:
                    self.log.debug("%s Asking the next endpoint.", error)
        raise CaptionUnavailable(kind, " ".join(dict.fromkeys(reasons)))

    async def _ask(self, remote: Remote, picture: bytes, asked: Asked, within: float) -> Said:
        """Once more without probabilities where it may be these that are refused; from then on without."""
        try:
            return await remote.ask(picture, asked, self.config.temperature, within)
        except CaptionUnavailable as error:
            wanted = asked.weighed and remote.weighs
            if error.kind is not Failure.REFUSED or not wanted or not self._budget.spend():
                raise
        remote.weighs = False
        try:
            return await remote.ask(picture, asked, self.config.temperature, within)
        except CaptionUnavailable as error:
            remote.weighs = error.kind is Failure.REFUSED  # it was something else
            raise

    def _spent(self) -> CaptionUnavailable:
        calls, wait = self.config.calls_per_minute, self._budget.wait()
        return CaptionUnavailable(
            Failure.BUDGET, f"The {calls} calls of this minute (calls_per_minute) are made; the next in {wait:.0f} s."
        )


async def _tried(remote: Remote) -> str:
    """What an endpoint serves. Raises CaptionUnavailable."""
    place, model = remote.endpoint.place, remote.endpoint.model
    try:
        names = await remote.models(CHECK_WITHIN)
    finally:
        await remote.close()
    if names is None:
        raise CaptionUnavailable(
            Failure.ENGINE, f"{place} answers, but not as such an API does: it lists no models. Check url."
        )
    if names and model not in names:
        offered = ", ".join(names[:10])
        raise CaptionUnavailable(
            Failure.ENGINE,
            f"{place} answers, but offers no model '{model}'; it offers {offered}. It may caption all the same.",
        )
    return f"{model}, served by {place}"
