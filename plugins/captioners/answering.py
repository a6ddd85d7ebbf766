"""A caption, and then each further question about the same picture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agent.plugin import Answer, Caption, CaptionRequest, CaptionUnavailable, Failure, Question, TextQuestion
from plugins.captioners.chat import Asked, Said
from plugins.captioners.forms import Form, folded, form
from plugins.captioners.reading import value_of
from plugins.captioners.weighing import Weighed, of_words, weigh

Ask = Callable[[Asked], Awaitable[Said]]
"""Asks something about the request's picture."""
LOST = frozenset({Failure.ENGINE, Failure.ENGINE_TIMEOUT})
"""After these nobody is there to ask on."""
SENTENCE = 20
"""Tokens for an answer of a fixed form where nothing keeps the model from making a sentence of it."""


async def caption_and_answers(request: CaptionRequest, ask: Ask, *, grammar: bool = False) -> Caption:
    """Raises CaptionUnavailable where there is no caption. A question that gets no answer has the value None.

    ``grammar``: answers keep to a grammar.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + request.timeout
    caption = (await ask(Asked(request.prompt, request.max_tokens))).caption
    answers = {name: Answer(value=None) for name in request.questions}
    for name, question in request.questions.items():
        shape = form(question)
        try:
            async with asyncio.timeout_at(ends):
                said = await ask(_asked(question, shape, grammar=grammar))
        except TimeoutError:
            break
        except CaptionUnavailable as error:
            if error.kind in LOST:
                break
            continue
        weighed = _weighed(question, shape, said, grammar=grammar)
        answers[name] = Answer(value=weighed.value, confidence=weighed.confidence)
        caption = replace(
            caption,
            image_ms=caption.image_ms + said.caption.image_ms,
            generate_ms=caption.generate_ms + said.caption.generate_ms,
        )
    return replace(caption, answers=answers)


def _asked(question: Question, shape: Form | None, *, grammar: bool) -> Asked:
    if shape is None:
        tokens = question.max_tokens if isinstance(question, TextQuestion) else SENTENCE
        return Asked(question.ask, tokens, weighed=True)
    text = f"{question.ask} {shape.hint}"
    if grammar:
        return Asked(text, shape.most_tokens, shape.grammar, weighed=True)
    return Asked(text, max(SENTENCE, shape.most_tokens), weighed=True)


def _weighed(question: Question, shape: Form | None, said: Said, *, grammar: bool) -> Weighed:
    """By the tokens where there are any. Words that no grammar kept to its form must be readable as well."""
    words = said.caption.text
    if shape is None:
        return Weighed(value_of(question, words), of_words(said.tokens))
    weighed = weigh(shape, said.tokens)
    if grammar:
        return weighed if said.tokens else Weighed(shape.value(folded(words)), None)
    read = value_of(question, words)
    return Weighed(read, None) if read is None or weighed.value is None else weighed
