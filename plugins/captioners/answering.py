"""A caption, and then each further question about the same picture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agent.plugin import Answer, Caption, CaptionRequest, CaptionUnavailable, Failure, TextQuestion
from plugins.captioners.reading import value_of

Ask = Callable[[str, int], Awaitable[Caption]]
"""Asks one text about the request's picture, with at most so many tokens for the answer."""
LOST = frozenset({Failure.ENGINE, Failure.ENGINE_TIMEOUT})
"""After these nobody is there to ask on."""
FEW = 20
"""Tokens for an answer of a fixed form."""


async def caption_and_answers(request: CaptionRequest, ask: Ask) -> Caption:
    """Raises CaptionUnavailable where there is no caption. A question that gets no answer has the value None."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + request.timeout
    caption = await ask(request.prompt, request.max_tokens)
    answers = {name: Answer(value=None) for name in request.questions}
    for name, question in request.questions.items():
        try:
            async with asyncio.timeout_at(ends):
                said = await ask(question.ask, question.max_tokens if isinstance(question, TextQuestion) else FEW)
        except TimeoutError:
            break
        except CaptionUnavailable as error:
            if error.kind in LOST:
                break
            continue
        answers[name] = Answer(value=value_of(question, said.text))
        caption = replace(
            caption,
            image_ms=caption.image_ms + said.image_ms,
            generate_ms=caption.generate_ms + said.generate_ms,
        )
    return replace(caption, answers=answers)
