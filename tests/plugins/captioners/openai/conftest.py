from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.plugin import CaptionRequest, Context, Question, TextQuestion
from plugins.captioners.openai import OpenAI, OpenAIConfig
from tests.fakes.receiver import Answer

Make = Callable[..., OpenAI]
Ask = Callable[..., CaptionRequest]


def says(text: str, **more: Any) -> Answer:
    """What an endpoint answers that says this."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"completion_tokens": 7}, **more}
    return Answer(headers={"content-type": "application/json"}, body=json.dumps(body).encode())


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context("remote", logging.getLogger("camscribe.captioner.remote"), tmp_path / "data", tmp_path / "run")


@pytest.fixture
async def captioner(context: Context) -> AsyncIterator[Make]:
    made: list[OpenAI] = []

    def make(url: str, budget: Any = None, **config: Any) -> OpenAI:
        options = OpenAIConfig.model_validate({"url": url, "model": "tiny", **config}, context={"folder": Path()})
        made.append(OpenAI(options, context, budget))
        return made[-1]

    yield make
    for remote in made:
        running = asyncio.create_task(remote.run())
        await asyncio.sleep(0)
        running.cancel()  # its end closes what is open
        await asyncio.wait({running})


@pytest.fixture
def request_() -> Ask:
    def make(
        picture: bytes = b"\xff\xd8\xff", timeout: float = 10, questions: Mapping[str, str | Question] | None = None
    ) -> Any:
        """A plain text is a question that is answered in words."""
        asked = {
            name: TextQuestion(ask=one) if isinstance(one, str) else one for name, one in (questions or {}).items()
        }
        return CaptionRequest("front_door", picture, "Describe the image.", 60, timeout, asked)

    return make
