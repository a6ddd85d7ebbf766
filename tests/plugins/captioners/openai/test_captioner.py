"""Against a real HTTP server that answers as it is told; the real engine is in test_real.py."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent.plugin import BooleanQuestion, CaptionUnavailable, ChoiceQuestion, Failure, NumberQuestion, Question
from plugins.captioners.chat import Asked
from plugins.captioners.openai.config import Endpoint
from plugins.captioners.openai.remote import Remote
from tests.fakes.broker import free_port
from tests.fakes.certificates import Authority
from tests.fakes.receiver import Answer, Receiver
from tests.plugins.captioners.openai.conftest import Ask, Make, says

KEY = "sk-marker-4711"


async def test_a_caption_and_what_was_asked_for_it(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as server:
        remote = captioner(server.url, api_key=KEY, extra_body={"reasoning_effort": "none"})
        server.answer(says(' "<think>Hm.</think>A cat." '))
        caption = await remote.caption(request_())
        assert (caption.text, caption.tokens, caption.truncated) == ("A cat.", 7, False)
        (request,) = server.requests
        assert request.path == "/v1/chat/completions"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        asked = request.json
        assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("tiny", 60, 0.0)
        assert asked["reasoning_effort"] == "none"
        picture, text = asked["messages"][0]["content"]
        assert picture["image_url"]["url"] == "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff").decode()
        assert text == {"type": "text", "text": "Describe the image."}


async def test_questions_follow_the_caption_and_one_without_an_answer_is_unknown(
    captioner: Make, request_: Ask
) -> None:
    async with Receiver.running() as server:
        server.answer(says("A cat."), says("yes"), says(""), says("two"))
        caption = await captioner(server.url).caption(request_(questions={"cat": "?", "dog": "?", "eyes": "?"}))
        assert {id_: answer.value for id_, answer in caption.answers.items()} == {
            "cat": "yes",
            "dog": None,
            "eyes": "two",
        }


BOOLEAN = BooleanQuestion(type="boolean", ask="Is there a cat?")
TYPED: dict[str, Question] = {
    "cat": BOOLEAN,
    "cars": NumberQuestion(type="number", ask="How many cars?", max=10, unit="cars"),
    "bin": ChoiceQuestion(type="choice", ask="Which bin is out?", options=("blue", "green, with a lid", "none")),
}


def weighed(text: str, *places: dict[str, float]) -> Answer:
    """With the probabilities of its tokens: the first of each place is what was said."""
    tops = [[{"token": one, "logprob": math.log(p)} for one, p in place.items()] for place in places]
    content = [{**place[0], "top_logprobs": place} for place in tops]
    choice = {"message": {"role": "assistant", "content": text}, "logprobs": {"content": content}}
    return Answer(body=json.dumps({"choices": [choice]}).encode())


async def test_typed_answers_are_told_how_to_be_and_read_as_they_come(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as server:
        remote = captioner(server.url)
        server.answer(says("A cat."), says("Yes, there is."), says("I see 3 cars."), says("The green, with a lid."))
        first = await remote.caption(request_(questions=TYPED))
        assert [answer.value for answer in first.answers.values()] == [True, 3, "green, with a lid"]
        assert all(answer.confidence is None for answer in first.answers.values())
        caption, *asked = [request.json for request in server.requests]
        assert "logprobs" not in caption
        assert all((one["logprobs"], one["top_logprobs"]) == (True, 20) for one in asked)
        assert [one["messages"][0]["content"][1]["text"] for one in asked] == [
            "Is there a cat? Answer yes or no.",
            "How many cars? Answer with a whole number (cars) from 0 to 10 only.",
            "Which bin is out? Answer with one of these only: blue; green, with a lid; none.",
        ]
        server.answer(says("A cat."), says("Perhaps."), says("3 cars and 2 dogs"), says("blue or none"))
        unknown = await remote.caption(request_(questions=TYPED))
        assert [answer.value for answer in unknown.answers.values()] == [None] * 3
        server.answer(says("A cat."), says("It is not."), says("11"), says("red"))
        unknown = await remote.caption(request_(questions=TYPED))
        assert [answer.value for answer in unknown.answers.values()] == [None] * 3


@pytest.mark.parametrize(
    ("answer", "value", "confidence"),
    [
        (weighed("Yes.", {"Yes": 0.6, "No": 0.2, "yes": 0.1}, {".": 0.9}), True, 0.7778),
        (weighed("Yes", {"Yes": 0.4, "No": 0.3, "no": 0.3}), False, 0.6),
        (weighed("The answer is no.", {"The": 0.9, "yes": 0.1}, {" answer": 1.0}), False, None),
        (weighed("There is a cat.", {"There": 0.9, "yes": 0.1}, {" is": 1.0}), None, None),
        (weighed("Yes and no", {"Yes": 1.0}, {" and": 1.0}), None, None),
    ],
)
async def test_they_are_as_sure_as_the_endpoint_tells(
    captioner: Make, request_: Ask, answer: Answer, value: bool | None, confidence: float | None
) -> None:
    async with Receiver.running() as server:
        server.answer(says("A cat."), answer, weighed("KEEP OUT", {"KEEP": 0.81}, {" OUT": 1.0}))
        said = await captioner(server.url).caption(request_(questions={"cat": BOOLEAN, "sign": "What does it say?"}))
        assert (said.answers["cat"].value, said.answers["cat"].confidence) == (value, confidence)
        assert (said.answers["sign"].value, said.answers["sign"].confidence) == ("KEEP OUT", 0.9)


NO_LOGPROBS = Answer(400, body=b'{"error": {"message": "logprobs is not supported"}}')


@pytest.mark.parametrize("status", [400, 422])
async def test_an_endpoint_that_refuses_to_tell_probabilities_is_asked_without_from_then_on(
    captioner: Make, request_: Ask, status: int
) -> None:
    async with Receiver.running() as server:
        remote = captioner(server.url, calls_per_minute=100)
        server.answer(says("A cat."), replace(NO_LOGPROBS, status=status), says("yes"), says("3"), says("blue"))
        first = await remote.caption(request_(questions=TYPED))
        assert [answer.value for answer in first.answers.values()] == [True, 3, "blue"]
        assert ["logprobs" in request.json for request in server.requests] == [False, True, False, False, False]
        assert remote.state == "ready"


async def test_one_that_refuses_the_question_itself_is_asked_for_probabilities_again(
    captioner: Make, request_: Ask
) -> None:
    async with Receiver.running() as server:
        refusal = replace(NO_LOGPROBS, body=b'{"error": {"message": "too long"}}')
        server.answer(says("A cat."), refusal, refusal, says("3"), says("blue"))
        first = await captioner(server.url).caption(request_(questions=TYPED))
        assert [answer.value for answer in first.answers.values()] == [None, 3, "blue"]
        assert ["logprobs" in request.json for request in server.requests] == [False, True, False, True, True]


async def test_asking_again_without_probabilities_takes_of_the_budget(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as server:
        server.answer(says("A cat."), NO_LOGPROBS, says("yes"))
        said = await captioner(server.url, calls_per_minute=2).caption(request_(questions={"cat": BOOLEAN}))
        assert said.answers["cat"].value is None
        assert len(server.requests) == 2


async def test_the_next_endpoint_answers_while_the_first_is_down_and_the_first_is_left_alone(
    captioner: Make, request_: Ask
) -> None:
    async with Receiver.running() as second:
        dead = f"http://127.0.0.1:{free_port()}/v1"
        remote = captioner(dead, fallbacks=[{"url": second.url, "model": "other"}])
        second.answer(*[says("From the second.")] * 20)
        began = time.monotonic()
        captions = [await remote.caption(request_()) for _ in range(20)]
        assert time.monotonic() - began < 10
        assert {(caption.text, caption.model) for caption in captions} == {("From the second.", "other")}
        assert remote.state.startswith("ready (a fallback answers): ")
        assert "refuses connections" in remote.state


async def test_the_first_is_asked_again_after_its_rest(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as first, Receiver.running() as second:
        remote = captioner(first.url, fallbacks=[{"url": second.url, "model": "other"}])
        first.answer(Answer(503, {"retry-after": "1"}, b'{"error": {"message": "loading"}}'), says("From the first."))
        second.answer(*[says("From the second.")] * 1000)
        assert (await remote.caption(request_())).text == "From the second."
        async with asyncio.timeout(10):
            while (await remote.caption(request_())).text != "From the first.":  # noqa: ASYNC110 (asking is the event)
                await asyncio.sleep(0.05)
        assert remote.state == "ready"
        assert len(first.requests) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(401, body=b"{}"), Failure.ENGINE, "api_key"),
        (Answer(404, body=b'{"error": {"message": "model not found"}}'), Failure.ENGINE, "model not found"),
        (Answer(429), Failure.ENGINE, "calls_per_minute"),
        (Answer(500, body=b'{"error": {"message": "out of memory"}}'), Failure.ENGINE, "out of memory"),
        (Answer(400, body=b'{"error": {"message": "no picture"}}'), Failure.REFUSED, "no picture"),
        (Answer(400, body=b'{"error": {"message": "Bearer sk-marker-4711?"}}'), Failure.REFUSED, r"Bearer \*\*\*\?"),
        (Answer(301, {"location": "/"}), Failure.ENGINE, r"HTTP 301\): check url"),
        (Answer(200, {"content-encoding": "gzip"}, b"no gzip"), Failure.ENGINE, "not what its head says"),
        (Answer(200, body=b"<html>"), Failure.NO_ANSWER, "makes no sense"),
        (says("  "), Failure.NO_ANSWER, "nothing"),
        (Answer(200, body=b"x" * 65536, endless=True), Failure.NO_ANSWER, "without an end"),
        (Answer(hang_up=True), Failure.ENGINE, "went away"),
        (Answer(hang=True), Failure.ENGINE_TIMEOUT, "longer than 0.5 s"),
    ],
    ids=lambda value: None if isinstance(value, (Answer, Failure)) else value,
)
async def test_what_goes_wrong_is_told_in_words(
    captioner: Make, request_: Ask, answer: Answer, kind: Failure, words: str
) -> None:
    async with Receiver.running() as server:
        remote = captioner(server.url, api_key=KEY)
        server.answer(answer)
        began = time.monotonic()
        with pytest.raises(CaptionUnavailable, match=words) as caught:
            await remote.caption(request_(timeout=0.5))
        assert caught.value.kind is kind
        assert KEY not in str(caught.value)
        assert time.monotonic() - began < 5


async def test_a_wrong_key_is_not_tried_again_and_again(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as server:
        remote = captioner(server.url)
        server.answer(*[Answer(401)] * 10)
        for _ in range(10):
            with pytest.raises(CaptionUnavailable, match="api_key"):
                await remote.caption(request_())
        assert len(server.requests) == 1
        assert remote.state.startswith("failed: ")


async def test_a_slow_endpoint_leaves_time_for_the_next(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as slow, Receiver.running() as quick:
        remote = captioner(slow.url, timeout="300ms", fallbacks=[{"url": quick.url, "model": "other"}])
        slow.answer(Answer(hang=True))
        quick.answer(says("In time."))
        assert (await remote.caption(request_(timeout=8))).text == "In time."


async def test_one_that_hangs_leaves_half_of_the_time_to_the_next_and_is_left_alone_then(
    captioner: Make, request_: Ask
) -> None:
    async with Receiver.running() as slow, Receiver.running() as quick:
        remote = captioner(slow.url, fallbacks=[{"url": quick.url, "model": "other"}])
        slow.answer(*[Answer(hang=True)] * 2)
        quick.answer(*[says("In time.")] * 2)
        for _ in range(2):
            assert (await remote.caption(request_(timeout=4))).text == "In time."
        assert len(slow.requests) == 1


async def test_what_the_url_asks_stays_behind_its_path(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as server:
        server.answer(says("A cat."), Answer(body=b'{"data": []}'))
        remote = captioner(f"{server.url}/openai/chat/completions?api-version=1#top")
        await remote.caption(request_())
        assert remote.wire(request_()).url == f"{server.url}/openai/chat/completions?api-version=1"
        assert "api-version" not in await remote.check()
        assert [request.path for request in server.requests] == [
            "/openai/chat/completions?api-version=1",
            "/openai/models?api-version=1",
        ]


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    captioner: Make, request_: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server may be closing it in this moment."""
    monkeypatch.setattr("plugins.captioners.openai.remote.KEPT_OPEN", 0.0)
    async with Receiver.running() as server:
        server.answer(says("A cat."), says("A dog."))
        remote = captioner(server.url)
        await remote.caption(request_())
        await remote.caption(request_())
        assert server.connections == 2


async def test_the_budget_holds_for_questions_too(captioner: Make, request_: Ask) -> None:
    async with Receiver.running() as server:
        server.answer(*[says("A cat.")] * 10)
        remote = captioner(server.url, calls_per_minute=3)
        caption = await remote.caption(request_(questions={"a": "?", "b": "?", "c": "?"}))
        assert [answer.value for answer in caption.answers.values()] == ["A cat.", "A cat.", None]
        with pytest.raises(CaptionUnavailable, match="calls_per_minute") as caught:
            await remote.caption(request_())
        assert caught.value.kind is Failure.BUDGET
        with pytest.raises(CaptionUnavailable, match="calls_per_minute"):
            await remote.ready(0.01)
        assert len(server.requests) == 3


async def test_https_with_an_own_authority_and_without_it(captioner: Make, request_: Ask, tmp_path: Path) -> None:
    authority = await asyncio.to_thread(Authority, tmp_path / "ca")
    pair = await asyncio.to_thread(authority.pair, "server", "IP:127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    async with Receiver.running(tls) as server:
        server.answer(says("Safely."))
        trusting = captioner(server.url, tls={"ca": str(authority.ca)})
        assert (await trusting.caption(request_())).text == "Safely."
        with pytest.raises(CaptionUnavailable, match="certificate is not trusted"):
            await captioner(server.url).caption(request_())
        with pytest.raises(CaptionUnavailable, match="there is no file"):
            await captioner(server.url, tls={"ca": str(tmp_path / "none.pem")}).caption(request_())


async def test_the_doctor_hears_what_the_endpoint_offers(captioner: Make) -> None:
    async with Receiver.running() as server:
        models = Answer(body=b'{"data": [{"id": "tiny"}, {"id": "llava:7b"}]}')
        server.answer(models, models, Answer(401), Answer(404))
        assert "tiny, served by" in await captioner(server.url).check()
        with pytest.raises(CaptionUnavailable, match="no model 'big'; it offers tiny, llava:7b"):
            await captioner(server.url, model="big").check()
        with pytest.raises(CaptionUnavailable, match="api_key"):
            await captioner(server.url).check()
        with pytest.raises(CaptionUnavailable, match=r"lists no models\. Check url"):
            await captioner(server.url).check()
        server.answer(models, Answer(401))
        twice = captioner(server.url, fallbacks=[{"url": server.url, "model": "tiny"}])
        with pytest.raises(CaptionUnavailable, match=r"api_key.* Meanwhile it is tiny, served by"):
            await twice.check()
        server.answer(Answer(body=b"x" * 65536, endless=True))
        assert "served by" in await captioner(server.url).check()
        assert server.sent < 64 << 20
    with pytest.raises(CaptionUnavailable, match="refuses connections"):
        await captioner(server.url).check()


async def test_the_key_is_in_no_log(captioner: Make, request_: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with Receiver.running() as server:
        remote = captioner(server.url, api_key=KEY, fallbacks=[{"url": server.url, "model": "m", "api_key": KEY}])
        server.answer(Answer(500), says("A cat."))
        await remote.caption(request_())
    assert KEY not in caplog.text
    assert KEY not in repr(remote.wire(request_()))


async def test_each_failure_lengthens_the_rest_and_a_success_ends_it() -> None:
    async with Receiver.running() as server:
        remote = Remote(Endpoint(url=server.url, model="tiny"))
        rests = []
        for answer in (Answer(hang_up=True), Answer(hang_up=True), says("A cat."), Answer(hang_up=True)):
            server.answer(answer)
            await asyncio.sleep(remote.resting)
            with suppress(CaptionUnavailable):
                await remote.ask(b"\xff\xd8\xff", Asked("?", 60), 0, 10)
            rests.append(remote.resting)
        await remote.close()
    assert 0.5 < rests[0] <= 1 < rests[1] <= 2
    assert rests[2] == 0
    assert 0.5 < rests[3] <= 1
