"""Model files the real engines can't use: told with the cause and what to do; a good one in their place is taken."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from agent.plugin import CaptionRequest, CaptionUnavailable, Failure, Misconfigured
from plugins.captioners.llama_server import LlamaServer
from tests.fakes import broken_models
from tests.fakes.broken_models import Spoilt
from tests.fakes.engine.both import RealEngine
from tests.fakes.engine.processes import busy, processor_time
from tests.fakes.engine.waiting import until
from tests.fakes.leftovers import nothing_left
from tests.fakes.scenes import as_sent, known_scenes
from tests.fakes.slow_model import slow_model
from tests.fakes.tiny_model import MMPROJ, TEXT
from tests.plugins.captioners.llama_server.conftest import QUICK, Describes, Running

TOLD = 10.0
"""Seconds from the start to the sentence, three starts later, on a machine that does other things as well."""
CURIOUS = replace(QUICK, look_every=0.1)
BROKEN = r"can't read its model: a GGUF file is broken or cut short\. Download it anew"

WITHOUT_MMPROJ = {
    "llama-server": """
        for word do
          shift
          case $word in --mmproj) left_out=1;; *) [ "$left_out" ] && left_out= || set -- "$@" "$word";; esac
        done""",
    "wheel": """set -- "$1" "$2" "$(printf %s "$3" | sed 's/"mmproj": "[^"]*"/"mmproj": ""/')" """,
}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class Files:
    """A model's two files, to be spoilt and mended under a running captioner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text, self.mmproj = folder / "text.gguf", folder / "mmproj.gguf"
        self.config = {"preset": None, "model": self.text, "mmproj": self.mmproj}
        self.become((TEXT, MMPROJ))

    def become(self, others: Spoilt) -> None:
        for here, other in zip((self.text, self.mmproj), others, strict=True):
            shutil.copyfile(other, self.folder / "new")
            (self.folder / "new").replace(here)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (broken_models.text_cut_short, BROKEN),
        (broken_models.mmproj_cut_short, BROKEN),
        (broken_models.text_scribbled_over, BROKEN),
        (broken_models.text_without_a_tensor, BROKEN),
        (
            broken_models.text_with_impossible_numbers,
            r"can't load this model\. Try another file of it, a newer llama-s",
        ),
        (broken_models.text_of_an_unknown_kind, r"too old for this model\. Install a newer llama-server .*'zlama'"),
        (broken_models.mmproj_of_another_model, r"projector of another model\. Name the mmproj file that belongs to"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_files_that_cannot_be_used(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    files: Files,
    spoil: Callable[[Path], Spoilt],
    words: str,
    caplog: pytest.LogCaptureFixture,
):
    files.become(spoil(files.folder))
    engine = await asyncio.to_thread(captioner, CURIOUS, **real.config, **files.config)
    async with nothing_left(short), running(engine):
        began = time.monotonic()
        with pytest.raises(CaptionUnavailable, match=words) as caught:
            await engine.ready(60)
        assert time.monotonic() - began < TOLD
        assert caught.value.kind is Failure.ENGINE
        await until(lambda: engine.state.startswith("failed: gave up after 5 starts: The engine "))
        assert len(told(caplog)) == 1, "once, however often it was tried"
        files.become((TEXT, MMPROJ))
        await describes(engine)


@pytest.mark.parametrize("missing", ["text", "mmproj"])
async def test_file_that_went_away_after_the_config_was_read(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    describes: Describes,
    short: Path,
    files: Files,
    missing: str,
):
    engine = await asyncio.to_thread(captioner, CURIOUS, **real.config, **files.config)
    getattr(files, missing).unlink()
    async with nothing_left(short), running(engine):
        with pytest.raises(CaptionUnavailable, match=r"can't find a file of its model\. Put it back, or name another"):
            await engine.ready(60)
        files.become((TEXT, MMPROJ))
        await describes(engine)


async def test_model_cut_short_under_the_running_engine(
    real: RealEngine,
    captioner: Callable[..., LlamaServer],
    running: Running,
    request_: Callable[..., CaptionRequest],
    describes: Describes,
    short: Path,
    files: Files,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    """A download into the file itself, a disk that fails: its pages are gone from under the engine."""
    files.become((slow_model(tmp_path, 400), MMPROJ))
    engine = await asyncio.to_thread(captioner, CURIOUS, **real.config, **files.config)
    async with nothing_left(short), running(engine):
        await engine.ready(60)
        process = psutil.Process(engine.engine.pid)
        before = processor_time(process)
        picture = as_sent(known_scenes(1)[0][1], engine.view().size)
        asking = asyncio.create_task(engine.caption(request_(picture, timeout=60)))
        await busy(process, before)
        with files.text.open("r+b") as file:
            file.truncate(100_000)
        with pytest.raises(CaptionUnavailable, match="went away in the middle of the caption"):
            await asking
        await until(lambda: BROKEN[:20] in engine.state)
        assert "lost a part of a file it uses (SIGBUS): a model file was cut short, or its disk fails" in caplog.text
        files.become((TEXT, MMPROJ))
        await describes(engine)


async def test_model_without_eyes_is_a_fault_of_the_config(
    real: RealEngine, captioner: Callable[..., LlamaServer], short: Path, tmp_path: Path
):
    """What a llama-server serves that was given no projector: a model for text alone."""
    config = real.behind(WITHOUT_MMPROJ[real.name], tmp_path / "bin")
    engine = await asyncio.to_thread(captioner, **config)
    async with nothing_left(short):
        began = time.monotonic()
        with pytest.raises(Misconfigured, match=r"can't see pictures: name its picture projector .* under mmproj"):
            await asyncio.wait_for(engine.run(), 60)
        assert time.monotonic() - began < TOLD
        with pytest.raises(CaptionUnavailable, match="can't see pictures"):
            await engine.ready(1)


def test_model_without_mmproj_is_a_fault_of_the_config(captioner: Callable[..., LlamaServer]):
    with pytest.raises(ValidationError, match="model and mmproj go together; mmproj is missing"):
        captioner(preset=None, model=TEXT)


def test_text_model_as_mmproj_is_a_fault_of_the_config(captioner: Callable[..., LlamaServer]):
    with pytest.raises(ValidationError, match="it is a language model: that belongs under model"):
        captioner(preset=None, model=TEXT, mmproj=TEXT)


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What somebody has to act on."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]
