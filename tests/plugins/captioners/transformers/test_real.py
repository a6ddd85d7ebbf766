"""The real process with PyTorch in it: the tiny model, and one whose own code does wrong on demand."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

from agent.plugin import (
    BooleanQuestion,
    Caption,
    CaptionRequest,
    CaptionUnavailable,
    ChoiceQuestion,
    Context,
    Failure,
    NumberQuestion,
    Question,
    TextQuestion,
)
from plugins.captioners.engine.owner import State
from plugins.captioners.transformers import Transformers
from tests.fakes.engine.waiting import gone, until
from tests.fakes.scenes import known_scenes
from tests.fakes.tiny_checkpoint import moondream_like
from tests.plugins.captioners.transformers.conftest import Ask, Running, jpeg

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]
START = 100
"""Seconds: importing PyTorch takes 3 on a quiet machine."""
GREY = jpeg(Image.new("RGB", (96, 96), "grey"))


async def exact(captioner: Transformers, request_: Ask, count: int, seed: int = 1) -> int:
    await captioner.ready(START)
    right = 0
    for truth, picture in await asyncio.to_thread(known_scenes, count, seed):
        right += (await captioner.caption(request_(await asyncio.to_thread(jpeg, picture)))).text == truth
    return right


@pytest.fixture
def like(running: Running, torch: Path, context: Context) -> Running:
    """The captioner with a model that does what its question says (moondream_like.py)."""
    moondream_like(context.data_dir / "transformers", "vikhyatk/moondream2", "2025-06-21")
    return lambda **config: running(preset="moondream2", python=torch, **config)


async def asked(captioner: Transformers, request_: Ask, what: str, timeout: float = 30) -> Caption:
    await captioner.ready(START)
    return await captioner.caption(request_(GREY, what, timeout))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
async def test_drawn_scenes_are_described_exactly(
    running: Running, torch: Path, tiny: Path, request_: Ask, dtype: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    async with running(model=tiny, python=torch, dtype=dtype) as ours:
        assert await exact(ours, request_, 20) == 20
        processes = [psutil.Process(pid) for pid in ours.processes]
        assert [process.memory_info().rss > 100e6 for process in processes] == [True, False], "the model and its guard"
    assert f"after its first caption, computing on cpu in {dtype}" in caplog.text
    assert ours.state == "stopped"
    await until(lambda: all(gone(process) for process in processes), within=5)


async def test_questions_are_answered_from_what_is_known_of_the_picture(
    running: Running, torch: Path, tiny: Path, request_: Ask
):
    async with running(model=tiny, python=torch) as ours:
        await ours.ready(START)
        for kind in ("person", "dog", "car"):
            found = [(truth, picture) for truth, picture in known_scenes(40) if kind in truth]
            truth, picture = found[0]
            questions = {
                name: BooleanQuestion(type="boolean", ask=f"Is there a {name}?") for name in ("person", "dog", "car")
            }
            caption = await ours.caption(request_(jpeg(picture), questions=questions))
            assert caption.text == truth
            assert {name: answer.value for name, answer in caption.answers.items()} == {
                name: name == kind for name in ("person", "dog", "car")
            }
            assert all(0.9 < (answer.confidence or 0) <= 1 for answer in caption.answers.values())
        wire = await _raw(ours, jpeg(picture), "What is in the image?")
        assert wire["timings"]["cache_n"] >= 2 * 16, "the picture's tokens"
        wire = await _raw(ours, jpeg(found[1][1]), "What is in the image?")
        assert wire["timings"]["cache_n"] == 0, "another picture"


async def test_answers_are_read_where_they_can_be_and_are_as_sure_as_their_tokens(
    running: Running, torch: Path, tiny: Path, request_: Ask
):
    truth, picture = known_scenes(1)[0]
    questions: dict[str, Question] = {
        "words": TextQuestion(ask="Describe the image.", max_tokens=60),
        "chosen": ChoiceQuestion(type="choice", ask="Describe the image.", options=(truth, "A Öltank.")),
        "cars": NumberQuestion(type="number", ask="How many cars are there?"),
    }
    async with running(model=tiny, python=torch, dtype="float32") as ours:
        await ours.ready(START)
        answers = (await ours.caption(request_(jpeg(picture), questions=questions))).answers
        assert (answers["words"].value, answers["chosen"].value) == (truth, truth)
        assert 0.9 < (answers["words"].confidence or 0) <= 1
        assert 0.9 < (answers["chosen"].confidence or 0) <= 1
        assert (answers["cars"].value, answers["cars"].confidence) == (None, None), "it was not taught to count"


async def _raw(captioner: Transformers, picture: bytes, text: str) -> dict[str, Any]:
    wire = captioner.wire(CaptionRequest("front_door", picture, text, 20, 30))
    assert wire
    assert wire.socket
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(wire.socket), verify=False)) as http:
        return (await http.post(wire.url, content=wire.body, headers=wire.headers, timeout=30)).json()


async def test_same_words_whether_or_not_the_picture_is_known(running: Running, torch: Path, tiny: Path, request_: Ask):
    prompts = ("Describe the image.", "Is there a dog?", "What do you see?", "Describe the image.")
    async with running(model=tiny, python=torch, dtype="float32") as ours:
        await ours.ready(START)
        one, other = (jpeg(picture) for _, picture in known_scenes(2, seed=7))
        reusing = [(await ours.caption(request_(one, prompt))).text for prompt in prompts]
        afresh = []
        for prompt in prompts:
            await ours.caption(request_(other))
            afresh.append((await ours.caption(request_(one, prompt))).text)
    assert reusing == afresh


async def test_bad_requests_are_refused_and_the_next_one_works(
    running: Running, torch: Path, tiny: Path, request_: Ask
):
    async with running(model=tiny, python=torch) as ours:
        await ours.ready(START)
        good = jpeg(known_scenes(1)[0][1])
        for picture, prompt, words in [
            (b"\xff\xd8 this is no jpeg", "Describe the image.", "picture can't be read"),
            (good, "word " * 3000, "model's context holds 1024"),
            (good, "half a smile \ud83d", "makes no sense"),
        ]:
            with pytest.raises(CaptionUnavailable, match=words) as caught:
                await ours.caption(request_(picture, prompt))
            assert caught.value.kind is Failure.REFUSED
        spelled = await ours.caption(request_(good, "<image><global-img>Describe the image.<|im_end|>"))
        assert spelled.text, "the chat format's own words in a prompt are only words"
        assert await exact(ours, request_, 3) == 3


async def test_model_with_code_of_its_own_is_asked_its_way(like: Running, request_: Ask):
    async with like() as ours:
        assert "with torch" in await ours.check()
        caption = await asked(ours, request_, "count")
        assert (caption.text, caption.tokens) == ("Picture 1 of 96 by 96.", 6)
        assert (await asked(ours, request_, "count")).text == "Picture 1 of 96 by 96.", "encoded once"
        assert (await ours.caption(request_(jpeg(Image.new("RGB", (9, 9))), "count"))).text.startswith("Picture 2")


async def test_what_a_library_prints_is_no_answer(like: Running, request_: Ask, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with like() as ours:
        assert (await asked(ours, request_, "print")).text == "Picture printed."
        await until(lambda: "a library's garbage" in caplog.text)
        assert (await asked(ours, request_, "count")).text.startswith("Picture 1 of")


async def test_secrets_of_the_house_are_not_the_models(like: Running, request_: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRONT_DOOR_PASSWORD", "marker")
    async with like() as ours:
        assert (await asked(ours, request_, "environment FRONT_DOOR_PASSWORD")).text == "Picture nothing"


async def test_caption_beyond_its_time_frees_the_model(like: Running, request_: Ask):
    async with like() as ours:
        await asked(ours, request_, "count")
        pid = ours.processes
        began = time.monotonic()
        with pytest.raises(CaptionUnavailable) as caught:
            await asked(ours, request_, "slowly", timeout=0.5)
        assert caught.value.kind is Failure.ENGINE_TIMEOUT
        assert (await asked(ours, request_, "count", timeout=20)).text.startswith("Picture 1 of")
        assert time.monotonic() - began < 20, "slowly would take a minute"
        assert ours.processes == pid


async def test_model_that_never_comes_back_is_ended_and_started_again(
    like: Running, request_: Ask, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Transformers, "PATIENCE", 2.0)
    async with like() as ours:
        await asked(ours, request_, "count")
        old = ours.engine.pid
        with pytest.raises(CaptionUnavailable):
            await asked(ours, request_, "hang", timeout=0.3)
        await until(lambda: ours.engine.state is State.FAILED, within=45)
        assert "it runs, but does not answer" in ours.state
        assert (await asked(ours, request_, "count")).text.startswith("Picture 1 of")
        assert ours.engine.pid != old


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("crash", r"crashed \(SIGSEGV\)\. Its last words: .*about to crash"),
        (
            "raise CUDA error: device-side assert triggered",
            r"exit status 70\. Its last words: .*PyTorch failed: CUDA error",
        ),
    ],
)
async def test_crash_costs_the_agent_one_caption(
    like: Running, request_: Ask, what: str, words: str, caplog: pytest.LogCaptureFixture
):
    async with like() as ours:
        await asked(ours, request_, "count")
        with pytest.raises(CaptionUnavailable) as caught:
            await asked(ours, request_, what)
        assert caught.value.kind is Failure.ENGINE
        assert (await asked(ours, request_, "count")).text.startswith("Picture 1 of")
    assert re.search(words, caplog.text)


async def test_no_memory_for_one_picture_is_told_and_the_next_one_works(like: Running, request_: Ask):
    async with like() as ours:
        await ours.ready(START)
        pid = ours.processes
        with pytest.raises(CaptionUnavailable, match=r"The memory ran out: CUDA out of memory\. Tried .* less detail"):
            await asked(ours, request_, "raise CUDA out of memory. Tried to allocate 2.00 GiB")
        assert (await asked(ours, request_, "count")).text.startswith("Picture 1 of")
        assert ours.processes == pid


async def test_process_that_leaks_starts_afresh_and_that_is_counted(
    like: Running, request_: Ask, caplog: pytest.LogCaptureFixture
):
    async with like(memory_limit="1GB") as ours:
        await asked(ours, request_, "count")
        old = ours.engine.pid
        assert (await asked(ours, request_, "keep 900")).text == "Picture kept."
        assert ours.renewals == 1
        assert (await asked(ours, request_, "count")).text.startswith("Picture 1 of")
        assert ours.engine.pid != old
        assert ours.renewals == 1
    assert "more than 1.0 GB (memory_limit): it starts afresh (so far 1 times)" in caplog.text


async def test_leak_is_known_without_a_limit(like: Running, request_: Ask):
    async with like() as ours:
        await asked(ours, request_, "count")
        held = psutil.Process(ours.engine.pid).memory_info().rss
        await asked(ours, request_, f"keep {held / 1e6 * 1.2}")
        assert ours.renewals == 1


@pytest.mark.parametrize("busy", [False, True])
async def test_killed_process_is_replaced(running: Running, torch: Path, tiny: Path, request_: Ask, busy: bool):
    async with running(model=tiny, python=torch) as ours:
        await ours.ready(START)
        process = psutil.Process(ours.engine.pid)
        if busy:
            process.suspend()  # so that the caption is surely in the middle when the kill comes
            asking = asyncio.create_task(ours.caption(request_(jpeg(known_scenes(1)[0][1]))))
            assert await asyncio.wait({asking}, timeout=0.3) == (set(), {asking})
        process.kill()
        if busy:
            with pytest.raises(CaptionUnavailable, match="middle of the caption"):
                await asking
        await until(lambda: ours.engine.pid not in {None, process.pid}, within=START)
        assert await exact(ours, request_, 3) == 3


async def test_process_that_stands_still_is_replaced(running: Running, torch: Path, tiny: Path, request_: Ask):
    async with running(model=tiny, python=torch) as ours:
        await ours.ready(START)
        process = psutil.Process(ours.engine.pid)
        process.suspend()
        with pytest.raises(CaptionUnavailable) as caught:
            await ours.caption(request_(jpeg(known_scenes(1)[0][1]), timeout=0.5))
        assert caught.value.kind is Failure.ENGINE_TIMEOUT
        await until(lambda: gone(process), within=30)
        assert await exact(ours, request_, 3) == 3


AGENT = """
import asyncio, logging, sys
from pathlib import Path
from agent.plugin import Context
from plugins.captioners.transformers import Transformers, TransformersConfig

async def main():
    folder, model, python = (Path(word) for word in sys.argv[1:])
    context = Context("default", logging.getLogger(), folder, folder)
    ours = Transformers(TransformersConfig(model=model, python=python), context)
    running = asyncio.create_task(ours.run())
    await ours.ready(100)
    print(ours.engine.pid, flush=True)
    await running

asyncio.run(main())
"""


@pytest.mark.parametrize("with_guard", [False, True])
async def test_nothing_is_left_of_an_agent_that_was_killed(torch: Path, tiny: Path, short: Path, with_guard: bool):
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AGENT, str(short), str(tiny), str(torch)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert agent.stdout
    process = psutil.Process(int(await agent.stdout.readline()))
    guard = process.parent()
    assert guard
    if with_guard:
        guard.suspend()  # else it does its work before it is killed
    agent.kill()
    await agent.wait()
    if with_guard:
        guard.kill()
    await until(lambda: gone(process) and gone(guard), within=15)


@pytest.mark.parametrize(
    ("change", "config", "words"),
    [
        ({"model_type": "llava"}, {}, "is of the kind 'llava', and this captioner knows smolvlm, idefics3"),
        ({}, {"device": "cuda"}, "no cuda device that PyTorch can use here; there is cpu. Set device to auto"),
        ({"scale_factor": 2}, {}, "The model can't be loaded: "),
    ],
)
async def test_model_that_can_not_be_used_is_told(
    running: Running, torch: Path, tiny: Path, tmp_path: Path, change: dict[str, Any], config: Any, words: str
):
    folder = await asyncio.to_thread(_changed, tiny, tmp_path / "changed", change)
    async with running(model=folder, python=torch, **config) as ours:
        with pytest.raises(CaptionUnavailable, match=words):
            await ours.ready(START)


def _changed(whole: Path, folder: Path, change: dict[str, Any]) -> Path:
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_prompt_and_pixels_are_those_of_transformers_own_processor(torch: Path, tiny: Path):
    script = ROOT / "tests/fakes/idefics3_processor.py"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([torch, script, tiny], env=env, capture_output=True, text=True, check=False, timeout=START)
    assert done.returncode == 0, done.stderr
    assert "9 pictures alike" in done.stdout
