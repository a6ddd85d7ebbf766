from __future__ import annotations

import pytest
from pydantic import ValidationError

from agent.plugin import Detail, Geometry, ModelView
from plugins.captioners.openai import OpenAIConfig
from tests.plugins.captioners.openai.conftest import Make

KEY = "sk-marker-4711"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
        ("https://gpu.lan/models/api/v1/", "https://gpu.lan/models/api/v1"),
        ("http://gpu.lan:8000/v1/chat/completions", "http://gpu.lan:8000/v1"),
    ],
)
def test_the_address_is_understood_as_people_write_it(written: str, asked: str) -> None:
    assert str(OpenAIConfig(url=written, model="m").address) == asked


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"url": "ftp://x/v1"}, "begins with http"),
        ({"url": "http://"}, "names a host"),
        ({"url": f"http://user:{KEY}@gpu.lan/v1"}, "api_key"),
        ({"api_key": ""}, "empty"),
        ({"api_key": "a\nb"}, "header"),
        ({"model": ""}, "at least 1"),
        ({"extra_body": {"messages": []}}, "messages is set by camscribe"),
        ({"calls_per_minute": 0}, "greater than or equal to 1"),
        ({"fallbacks": [{"url": "http://gpu.lan"}]}, "model"),
    ],
)
def test_what_is_wrong_is_told_without_the_secret(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OpenAIConfig.model_validate({"url": "http://gpu.lan/v1", "model": "m"} | wrong)
    told = "; ".join(error["msg"] for error in caught.value.errors(include_input=False))
    assert word in told or any(word in error["loc"] for error in caught.value.errors())
    assert KEY not in told


def test_the_key_is_never_shown() -> None:
    config = OpenAIConfig(url=f"http://gpu.lan/v1?key={KEY}", model="m", api_key=KEY)
    assert KEY not in f"{config!r} {config} {config.place} {config.model_dump()}"


async def test_detail_changes_the_picture_but_never_a_square(captioner: Make) -> None:
    usual = captioner("http://gpu.lan")
    assert [usual.view(detail).size for detail in Detail] == [384, 768, 1536]
    smol = captioner("http://gpu.lan", geometry="square", picture_size=512)
    assert {smol.view(detail) for detail in Detail} == {ModelView(Geometry.SQUARE, 512)}
